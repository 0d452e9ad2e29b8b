"""An event loop whose time is simulated: while nothing is to be done, it is at once as late as the next thing
is due. What is done takes no time."""

import asyncio
import selectors


class _Leap(selectors.SelectSelector):
    """Waits for nothing: it makes time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing is due any more")
        self.now += max(timeout, 0.0)
        return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Starts at the time 0. Nothing outside can wake it: no sockets, no threads, no signals."""

    def __init__(self) -> None:
        self._leap = _Leap()
        super().__init__(self._leap)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._leap.now
