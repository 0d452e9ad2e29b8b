"""A clock that a test owns."""


class Clock:
    """Shows the time that the test says it is, in seconds: ``clock.now += 1``."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
