"""How long an index asks to wait."""

from email.utils import formatdate

import pytest
from sleeping_clock import SleepingClock

from ppp.watch.journal.throttling import MAX_WAIT_S, Pace, Throttle, limit_wait_s, retry_after_s

NOW = 1_714_003_200.0


def throttle_at(clock: SleepingClock, **pace: float) -> Throttle:
    return Throttle(pace=Pace(**pace), clock=clock, sleep=clock.sleep)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"ratelimit": '"default";r=0;t=30'}, 30),
        ({"ratelimit": '"default";r=5;t=30'}, 0),
        ({"ratelimit": '"burst";r=0;t=7, "day";r=0;t=40;pk=:dGVzdA==:, "hour";r=9;t=900'}, 40),
        ({"ratelimit": '"default"; t=12; r=0'}, 12),
        ({"ratelimit": "limit=100, remaining=0, reset=9"}, 9),
        ({"ratelimit": "limit=100, remaining=50, reset=9"}, 0),
        ({"ratelimit-limit": "100", "ratelimit-remaining": "0", "ratelimit-reset": "8"}, 8),
        ({"ratelimit-remaining": "3", "ratelimit-reset": "8"}, 0),
        ({"ratelimit-remaining": "0"}, 0),
        ({"ratelimit-remaining": "zero", "ratelimit-reset": "-8"}, 0),
        ({"ratelimit": '"default";r=0;t=9999999999'}, MAX_WAIT_S),
        ({"ratelimit": '"default";r=0;t=99999999999999999999'}, 0),
        ({"ratelimit": "\x00;;;r=;t" * 1000}, 0),
    ],
)
def test_limits_in_headers(headers: dict[str, str], seconds: float) -> None:
    assert limit_wait_s(headers) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, 0),
        ("5", 5),
        (" 7 ", 7),
        (formatdate(NOW + 30, usegmt=True), 30),
        (formatdate(NOW - 30, usegmt=True), 0),
        ("99999999", MAX_WAIT_S),
        ("soon", 0),
        ("", 0),
        ("-5", 0),
        ("Mon, 99 Foo 99999 99:99:99 GMT", 0),
        ("9" * 5000, 0),
    ],
)
def test_retry_after(text: str | None, seconds: float) -> None:
    assert retry_after_s(text, now=NOW) == seconds


def test_requests_are_a_second_apart() -> None:
    clock = SleepingClock()
    throttle = throttle_at(clock)
    for _ in range(3):
        assert throttle.wait() == 0
        throttle.accepted({})
    assert clock.slept == [1, 1]


def test_refusals_double_the_wait_up_to_a_limit() -> None:
    clock = SleepingClock()
    throttle = throttle_at(clock, first_wait_s=2, longest_wait_s=10)
    throttle.wait()
    for _ in range(5):
        throttle.refused({}, now=NOW)
        assert throttle.wait() == 0
    assert clock.slept == [2, 4, 8, 10, 10]
    throttle.accepted({})
    throttle.refused({}, now=NOW)
    throttle.wait()
    assert clock.slept[-1] == 2


def test_a_longer_wait_that_is_asked_for_counts() -> None:
    clock = SleepingClock()
    throttle = throttle_at(clock)
    throttle.refused({"retry-after": "25"}, now=NOW)
    assert throttle.wait() == 0
    throttle.accepted({"ratelimit": '"default";r=0;t=40'})
    assert throttle.wait() == 0
    assert clock.slept == [25, 40]


def test_beyond_the_budget_nothing_is_waited() -> None:
    clock = SleepingClock()
    throttle = throttle_at(clock, budget_s=30)
    throttle.refused({"retry-after": "20"}, now=NOW)
    assert throttle.wait() == 0
    throttle.refused({"retry-after": "20"}, now=NOW)
    assert throttle.wait() == 20
    assert clock.slept == [20]
