"""A clock that only sleeping moves."""

from dataclasses import dataclass, field


@dataclass
class SleepingClock:
    """Seconds since some time, and how long each sleep was."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
