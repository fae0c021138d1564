"""The ident and the cover are made of a period's results: the same for the same ones, others for others."""

from array import array
from collections.abc import Callable
from itertools import pairwise

from png_pixels import pixels

from ppp.ledger.store import Store
from ppp.model.period import Period, PeriodKind
from ppp.model.record import Record
from ppp.narrate.sound.cover import MAX_BARS, SIDE, cover
from ppp.narrate.sound.ident import CHORD_MS, TURN_MS, ident
from ppp.narrate.sound.results import EnvironmentResults, read_results
from ppp.narrate.sound.timing import count_samples, to_samples

PERIOD = Period.parse("2024-04-25")


def results_of(environment: str, passed: int, failed: int, total: int) -> EnvironmentResults:
    return EnvironmentResults(environment=environment, passed=passed, failed=failed, total=total)


SLIM, ALPINE = results_of("py312-slim", 9, 1, 10), results_of("py312-alpine", 5, 5, 12)


def test_results_are_those_of_the_period(store: Store, record: Callable[..., Record]) -> None:
    store.add_record(record("a", "1.0", "py312-alpine", result="FAIL", observed_at=PERIOD.start))
    store.add_record(record("b", "1.0", "py39-slim", observed_at=PERIOD.end - 1))
    store.add_record(record("c", "1.0", "py39-slim", result="NA", observed_at=PERIOD.end - 2))
    store.add_record(record("d", "1.0", "py39-slim", observed_at=PERIOD.end))
    store.add_record(record("e", "1.0", "py39-slim", observed_at=PERIOD.start - 1))
    assert read_results(store.db, PERIOD) == (results_of("py39-slim", 1, 0, 2), results_of("py312-alpine", 0, 1, 1))
    assert read_results(store.db, Period.at(PeriodKind.NIGHT, 0)) == ()


def test_an_ident_is_of_its_results() -> None:
    sounds = [ident(results) for results in ((), (SLIM,), (ALPINE,), (SLIM, ALPINE), (ALPINE, SLIM))]
    assert len(set(sounds)) == len(sounds)
    assert ident([SLIM, ALPINE]) == ident((SLIM, ALPINE))


def test_an_ident_takes_a_few_seconds_is_never_too_loud_and_has_no_click() -> None:
    many = [results_of(f"py3{minor}-slim", minor, minor, 2 * minor) for minor in range(1, 30)]
    for results in ([], [SLIM], [SLIM, ALPINE], many):
        samples = array("h", ident(results))
        assert to_samples(CHORD_MS) <= len(samples) <= to_samples(CHORD_MS + 10 * TURN_MS)
        assert max(map(abs, samples)) < 10_000
        assert max(abs(after - before) for before, after in pairwise([0, *samples, 0])) < 3_500
    assert count_samples(ident([SLIM, ALPINE])) == 2 * to_samples(TURN_MS) + to_samples(CHORD_MS)


def test_a_cover_is_a_square_that_podcasts_take_and_shows_results_in_colours() -> None:
    drawn = pixels(cover(PERIOD, [SLIM, ALPINE]))
    assert (len(drawn), {len(row) for row in drawn}) == (SIDE, {SIDE})
    assert {colour for row in drawn for colour in row} == {"#0b0f0d", "#e3ece6", "#7ee2a8", "#ff8f85"}


def test_a_cover_without_failures_has_nothing_red() -> None:
    drawn = pixels(cover(PERIOD, [results_of("py312-slim", 10, 0, 10)]))
    assert "#ff8f85" not in {colour for row in drawn for colour in row}
    one_of_many = pixels(cover(PERIOD, [results_of("py312-slim", 99_999, 1, 100_000)]))
    assert "#ff8f85" in {colour for row in one_of_many for colour in row}


def test_any_number_of_environments_fits_on_a_cover() -> None:
    many = [results_of(f"py3{minor}-slim", minor, 0, minor) for minor in range(1, 40)]
    covers = {cover(PERIOD, many[:count]) for count in (0, 1, MAX_BARS, MAX_BARS + 1, len(many))}
    assert len(covers) == 5
