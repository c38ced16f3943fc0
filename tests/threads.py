"""When does a call from another thread happen?  When the test says so."""

import threading

from twisted.internet.testing import MemoryReactorClock


class ThreadReactor(MemoryReactorClock):
    """A reactor whose calls from threads wait until the test runs them."""

    def __init__(self) -> None:
        super().__init__()
        self._turn = threading.Condition()
        self._calls: list[tuple[object, ...]] = []
        self.threads: set[str] = set()

    def callFromThread(self, *call: object) -> None:
        """Keep a call."""
        with self._turn:
            self.threads.add(threading.current_thread().name)
            self._calls.append(call)
            self._turn.notify()

    def turn(self) -> None:
        """Run one call from a thread, once there is one."""
        with self._turn:
            if not self._turn.wait_for(lambda: self._calls, timeout=20):
                raise AssertionError("no thread has called")
            function, *args = self._calls.pop(0)
        function(*args)  # type: ignore[operator]

    @property
    def idle(self) -> bool:
        """Whether no thread has called."""
        return not self._calls
