"""What a failing cell of the newest release says of earlier ones: whether that is new, and which version was good."""

from ppp.model.record import Result
from ppp.publish.packages.history import PackageHistory, last_passing_versions
from ppp.publish.packages.summary import FAILED, previous_results


def earlier_words(history: PackageHistory) -> dict[str, str]:
    """Return the words by environment, for the cells that fail: `new in 1.1, last good 1.0`.

    A cell of an environment in which no earlier release was checked has none.
    """
    before, last_good = previous_results(history), last_passing_versions(history.older)
    words: dict[str, str] = {}
    for verdict in history.newest_verdicts:
        place = verdict.environment
        if verdict.result in FAILED and place in last_good:
            is_new = place in before and before[place].result is Result.PASS
            good = f"last good {last_good[place]}" if last_good[place] else "none good before"
            words[place] = f"new in {history.version}, {good}" if is_new else good
    return words
