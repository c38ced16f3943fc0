"""Whatever happens to four nodes, a minute of peace makes them one mesh again."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.named_mesh import PORTS, NamedMeshTestCase
from tests.raw_ends import UserEnd
from tests.support import Site

NAMES = ("srv-a", "srv-b", "srv-c", "srv-d")
PEACE = 60
"""Seconds: 45 until a half-open link is noticed, and some to make another."""

nodes = st.sampled_from(NAMES)
pairs = st.sampled_from(list(combinations(NAMES, 2)))
steps = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from((0.5, 2, 5, 12, 30))),
    st.tuples(st.sampled_from(("kill", "start", "freeze", "thaw")), nodes),
    st.tuples(st.sampled_from(("log_in", "log_out")), nodes),
    st.tuples(st.sampled_from(("cut", "hold", "release", "part", "rejoin")), pairs),
)


class ConvergenceTests(NamedMeshTestCase):
    """Any sequence of accidents is healed, and nobody is lost or a ghost."""

    def setUp(self) -> None:
        """Nobody is there yet."""
        super().setUp()
        self.up: dict[str, Site] = {}
        self.users: dict[str, UserEnd] = {}
        self.accidents: dict[str, Callable[[Any], None]] = {
            "wait": self.network.pass_time,
            "start": self.start_node,
            "kill": self.kill_node,
            "freeze": self.freeze_node,
            "thaw": self.thaw_node,
            "log_in": self.log_in,
            "log_out": self.log_out,
            "cut": self.cut,
            "hold": lambda pair: self.hold(pair, True),
            "release": lambda pair: self.hold(pair, False),
            "part": lambda pair: self.network.silent.add(self.ports(pair)),
            "rejoin": lambda pair: self.network.silent.discard(self.ports(pair)),
        }

    @settings(
        max_examples=30,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(steps, min_size=4, max_size=14))
    def test_converges(self, accidents: list[tuple[str, Any]]) -> None:
        """After a minute in which all are up: six links, and the users who are."""
        self.setUp()
        for name in NAMES:
            self.start_node(name)
        self.network.pass_time(8)
        for name in NAMES[:2]:
            self.log_in(name)
        for kind, what in accidents:
            note(f"{self.network.seconds():6.1f} {kind} {what}")
            self.accidents[kind](what)
            self.network.settle()
        self.network.silent.clear()
        for name in NAMES:
            self.start_node(name)
            self.thaw_node(name)
        self.network.pass_time(PEACE)
        online = {
            user_id: f"srv-{user_id[-1]}"
            for user_id, user in self.users.items()
            if user.close is None
        }
        self.assert_mesh(*self.up.values())
        wires = [wire for wire in self.network.wires if 0 not in wire.ports]
        self.assertEqual([wire.held for wire in wires], [False] * 6)
        self.assert_online(online, *self.up.values())

    # -- accidents ---------------------------------------------------------------------

    def start_node(self, name: str) -> None:
        """Start a node that is not up."""
        if name not in self.up:
            self.up[name] = self.launch(name, set(NAMES) - {name})

    def kill_node(self, name: str) -> None:
        """Kill a node that is up."""
        if (site := self.up.pop(name, None)) is not None:
            self.kill(site)

    def freeze_node(self, name: str) -> None:
        """Hang a node that runs."""
        if name in self.up and not self.up[name].machine.frozen:
            self.freeze(self.up[name])

    def thaw_node(self, name: str) -> None:
        """Let a hung node go on."""
        if name in self.up and self.up[name].machine.frozen:
            self.thaw(self.up[name])

    def log_in(self, name: str) -> None:
        """Let the one user of a node in, who is called after it."""
        user_id = f"user-{name[-1]}"
        there = self.users.get(user_id)
        if name not in self.up or self.up[name].machine.frozen:
            return
        if there is None or there.close is not None:
            self.users[user_id] = self.user(self.up[name], user_id, "alice")

    def log_out(self, name: str) -> None:
        """Let that user leave."""
        there = self.users.get(f"user-{name[-1]}")
        if there is not None and there.close is None:
            there.wire.cut()

    def cut(self, pair: tuple[str, str]) -> None:
        """End the connections between two nodes."""
        for wire in self.network.between(*self.ports(pair)):
            wire.cut()

    def hold(self, pair: tuple[str, str], held: bool) -> None:
        """Let the connections between two nodes swallow what is sent, or not."""
        if not any(name in self.up and self.up[name].machine.frozen for name in pair):
            for wire in self.network.between(*self.ports(pair)):
                wire.held = held

    def ports(self, pair: tuple[str, str]) -> frozenset[int]:
        """Return the ports of two nodes."""
        return frozenset(PORTS[name] for name in pair)
