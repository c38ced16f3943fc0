"""Which limits were reached, and what was refused?  The log says so, if it is news."""

from twisted.logger import Logger

from socp_twisted.overlay.mesh import Mesh

COUNTERS_EVERY = 300.0
"""Seconds between two log lines that say which limits were reached."""


class Counting:
    """Says now and then what a mesh has counted."""

    _log = Logger()

    def __init__(self, mesh: Mesh) -> None:
        """``mesh`` keeps the counters, and the time."""
        self._mesh = mesh
        self._said: dict[str, int] = {}
        self._said_at = mesh.now

    def tick(self) -> None:
        """Say it if the last time is long ago."""
        if self._mesh.now - self._said_at >= COUNTERS_EVERY:
            self.say()

    def say(self) -> None:
        """Say which limits were reached and what was refused, if that is news."""
        self._said_at = self._mesh.now
        counters = dict(sorted(self._mesh.counters.items()))
        if counters != self._said:
            self._said = counters
            self._log.info("so far: {counters}", counters=counters)
