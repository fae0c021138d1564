"""`/coverage/`: what became of every release that the index named, in words and by day."""

from collections.abc import Mapping, Sequence
from typing import Final

from ppp.ledger.published_journal import Coverage, DayCoverage, JournalGap, JournalInterval, total_coverage
from ppp.publish import text
from ppp.publish.site.templates import render

#: Bytes of HTML for the rows of days, and the newest intervals and gaps that are listed.
DAYS_BUDGET: Final = 16_000
SHOWN_INTERVALS: Final = 20
SHOWN_GAPS: Final = 20

#: What a maintainer should know of each state of a release.
STATE_TEXTS: Final = {
    "tested": "has a result in at least one environment",
    "queued": "waits for its turn, or for another one",
    "skipped": "will not be tested, for the reason given below",
    "lost": "should have been queued and was not: a fault of this node",
}
#: Why a release is skipped; a reason that is not here is shown by its name.
REASON_TEXTS: Final = {
    "unsandboxed": "this machine has no sandbox for packages that nobody asked for",
    "marker": "it was asked for only where an environment marker holds",
    "expired": "it waited longer than the policy keeps a release",
    "withdrawn": "the index withdrew it before its turn",
}
#: The ways in which a journal is read.
ADAPTER_TEXTS: Final = {
    "changelog": "the changelog by serial (XML-RPC)",
    "index": "the serials of the simple index, project by project",
    "feed": "the feed of new releases, which holds only the newest",
}


def coverage_page(
    days: Sequence[DayCoverage],
    adapters: Mapping[str, tuple[int, int]],
    intervals: Sequence[JournalInterval],
    gaps: Sequence[JournalGap],
    *,
    as_of: int | None,
) -> tuple[str, bytes]:
    """Return `/coverage/index.html`; `days` come oldest first, `intervals` and `gaps` newest first."""
    path = "coverage/index.html"
    total = total_coverage(days)
    shown = text.fit_budget([*reversed(days)], DAYS_BUDGET, lambda _: 330)
    return path, render(
        "coverage.html",
        path=path,
        as_of=as_of,
        total=total,
        states=[(state, STATE_TEXTS[state], getattr(total, state)) for state in STATE_TEXTS],
        reasons=[(reason, REASON_TEXTS.get(reason, ""), count) for reason, count in total.skip_reasons.items()],
        days=shown,
        older=len(days) - len(shown),
        adapters=[(name, ADAPTER_TEXTS.get(name, ""), *counts) for name, counts in adapters.items()],
        intervals=intervals[:SHOWN_INTERVALS],
        gaps=gaps[:SHOWN_GAPS],
        shares=state_shares(total),
    )


def state_shares(total: Coverage) -> list[tuple[str, float, float]]:
    """Return the start and width of each state's share in a bar of width 100."""
    start, shares = 0.0, []
    for state in STATE_TEXTS:
        if count := getattr(total, state):
            width = round(100 * count / total.named, 2)
            shares.append((state, round(start, 2), width))
            start += width
    return shares
