"""
A node in a process that watches its own reactor: ``python -m tests.fuzz.watched``.

Arguments: the file for what it sees, ports of the loopback that may be dialled (with
commas), and the options of ``twistd socp``.  What counts as a stall is CPU time of the
reactor's thread between two looks at its sockets: what others do with the machine
meanwhile is not ours.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor as global_reactor
from twisted.internet.task import LoopingCall
from twisted.logger import (
    FileLogObserver,
    formatEventAsClassicLogText,
    globalLogBeginner,
)

from socp_twisted.node import Node
from socp_twisted.service import NodeService
from socp_twisted.tap import Options

reactor: Any = global_reactor

HEAVY: Final = 0.02
"""Seconds of CPU time in one callback that are worth a note."""

STALL: Final = 0.1
"""Seconds of CPU time in one callback, or between two looks at the sockets."""

CLOSED: Final = 1
"""A port where nobody listens."""


class ReactorWatch:
    """Measures each callback of the reactor, and each of its turns."""

    def __init__(self) -> None:
        self.longest_call = self.longest_turn = self.longest_wall = 0.0
        self.stalls: list[dict[str, Any]] = []
        self.heaviest: list[dict[str, Any]] = []
        """The few callbacks that took longest, and who caused each."""
        self._turn_began = self._wall_began = 0.0
        self._heaviest: tuple[float, Any] = (0.0, "")
        self._collecting = 0.0
        self.longest_collection = 0.0

    def install(self) -> None:
        """Stand around what the reactor calls."""
        reactor._doReadOrWrite = self._around(reactor._doReadOrWrite, _peer)
        reactor.runUntilCurrent = self._around(
            reactor.runUntilCurrent, lambda *_: "timer"
        )
        poll = reactor.doIteration
        gc.callbacks.append(self._collected)

        def look(delay: float) -> None:
            self._turn_over()
            poll(delay)

        def begin_turn(poller: Callable[..., Any]) -> Callable[..., Any]:
            def wait(*args: Any) -> Any:
                ready = poller(*args)
                self._turn_began, self._wall_began = (
                    time.thread_time(),
                    time.monotonic(),
                )
                self._heaviest = (0.0, "")
                return ready

            return wait

        reactor.doIteration = look
        reactor._poller = _Proxy(reactor._poller, poll=begin_turn(reactor._poller.poll))

    def _around(self, call: Callable[..., Any], who: Callable[..., Any]) -> Any:
        def watched(*args: Any) -> Any:
            began = time.thread_time()
            try:
                return call(*args)
            finally:
                took = time.thread_time() - began
                if took > self.longest_call:
                    self.longest_call = took
                if took > self._heaviest[0]:
                    self._heaviest = (took, who(*args))
                if took > HEAVY:
                    self._note(took, who(*args))

        return watched

    def _note(self, took: float, peer: Any) -> None:
        self.heaviest.append({"call": took, "peer": peer, "at": time.time()})
        self.heaviest.sort(key=lambda one: -float(one["call"]))
        del self.heaviest[8:]

    def _turn_over(self) -> None:
        if not self._turn_began:
            return
        took = time.thread_time() - self._turn_began
        self.longest_turn = max(self.longest_turn, took)
        self.longest_wall = max(self.longest_wall, time.monotonic() - self._wall_began)
        if took > STALL and len(self.stalls) < 200:
            heaviest, peer = self._heaviest
            self.stalls.append(
                {"turn": took, "call": heaviest, "peer": peer, "at": time.time()}
            )

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting = time.thread_time()
        else:
            took = time.thread_time() - self._collecting
            self.longest_collection = max(self.longest_collection, took)


class _Proxy:
    """An object with some of its methods replaced."""

    def __init__(self, inner: Any, **methods: Any) -> None:
        self._inner = inner
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _peer(selectable: Any, *_: Any) -> Any:
    try:
        return selectable.getPeer().port
    except Exception:  # a waker, a port: neither has one
        return type(selectable).__name__


def see(watch: ReactorWatch, node: Node) -> dict[str, Any]:
    """Return what there is to be seen of a node."""
    status = Path("/proc/self/status").read_text().split()
    mesh = node.mesh
    return {
        "rss": int(status[status.index("VmRSS:") + 1]) * 1024,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "parties": len(mesh.parties),
        "local": sorted(mesh.directory.local_users),
        "servers": len(mesh.directory.servers),
        "users": len(mesh.directory.user_locations),
        "longest_call": watch.longest_call,
        "longest_turn": watch.longest_turn,
        "longest_wall": watch.longest_wall,
        "longest_collection": watch.longest_collection,
        "stalls": watch.stalls,
        "heaviest": watch.heaviest,
    }


def stay_home(allowed: set[int]) -> None:
    """Dial nobody but who is allowed: what is fuzzed are addresses, too."""
    dial = reactor.connectTCP

    def connectTCP(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        known = host == "127.0.0.1" and port in allowed
        return dial("127.0.0.1", port if known else CLOSED, *args, **kwargs)

    reactor.connectTCP = connectTCP


def main(arguments: list[str]) -> None:
    """Run until SIGTERM."""
    seen, allowed, *rest = arguments
    observer = FileLogObserver(sys.stdout, formatEventAsClassicLogText)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    stay_home({int(port) for port in allowed.split(",") if port})
    options = Options()
    options.parseOptions(rest)
    service = NodeService(reactor, options.configuration, options.private_key)
    watch = ReactorWatch()
    watch.install()

    def note() -> None:
        draft = Path(f"{seen}.new")
        draft.write_text(json.dumps(see(watch, service.node)))
        draft.replace(seen)

    reactor.callWhenRunning(service.startService)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    LoopingCall(note).start(0.5, now=False)
    reactor.run()
    note()


if __name__ == "__main__":
    main(sys.argv[1:])
