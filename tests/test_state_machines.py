"""Whatever users, cables and strangers do, in any order: do three nodes stay sane?"""

import random
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from socp_twisted.overlay.party import Stage
from tests.fuzz.mutations import BYTES, STRUCTURE, to_bytes
from tests.memory_network import Wire
from tests.named_mesh import PORTS, THREE
from tests.support import Site
from tests.users import Person, UserTestCase, key_name

USERS = ("alice", "bob", "carol", "dave")

HEALING = 40
"""Seconds after which everything that was broken is mended: all delays, and a few."""


class Mesh(RuleBasedStateMachine):
    """Three nodes, four users, a pair of scissors, and somebody who sends garbage."""

    def __init__(self, case: "StateTests") -> None:
        super().__init__()
        self.case = case
        case.begin()
        self.sites = [self._launch(name) for name in THREE]
        case.network.pass_time(8)
        self.people: list[tuple[str, Site, Person]] = []
        """Everybody who was let in and has not left: user, node and connection."""
        self.everybody: list[tuple[str, Person]] = []
        """Everybody who was ever let in."""
        self.sent: dict[str, tuple[Person, str, str, int]] = {}
        """Connection, sender, recipient and ts of each message, by the frame's id."""
        self.held: list[Wire] = []
        self.whole_at = 0.0
        """When the nodes will have told each other everything, if nothing breaks."""

    # -- what happens ------------------------------------------------------------------

    @rule(user=st.sampled_from(USERS), where=st.integers(0, 2))
    def log_in(self, user: str, where: int) -> None:
        """Somebody comes: at a second node too, where they are refused."""
        site = self.sites[where]
        elsewhere = any(
            one == user and other is not site for one, other, _ in self.people
        )
        if elsewhere and (self.held or self.case.network.seconds() < self.whole_at):
            # Two nodes that cannot hear each other both let them in, and both keep
            # them: no server's word puts another's user out.
            return
        person = self.case.person(site)
        person.greet(user, key_name(user))
        if person.of("USER_HELLO_ACK"):
            person.prove(person.proof(server=site.id))
        if person.of("USER_LOGGED_IN"):
            self.people.append((user, site, person))
            self.everybody.append((user, person))
        else:
            person.leave()

    @precondition(lambda self: self.people)
    @rule(chance=st.randoms(use_true_random=False))
    def log_out(self, chance: random.Random) -> None:
        """Somebody leaves, or their connection breaks."""
        one = chance.choice(self.people)
        self.people.remove(one)
        if chance.random() < 0.5:
            one[2].leave()
        else:
            one[2].wire.cut()
            self.case.network.settle()

    @precondition(lambda self: self.people)
    @rule(chance=st.randoms(use_true_random=False), to=st.sampled_from(USERS))
    def write(self, chance: random.Random, to: str) -> None:
        """Somebody writes to somebody, who may be anywhere or nowhere."""
        sender, _, person = chance.choice(self.people)
        reference = f"message{len(self.sent)}"
        ts = person.tell(to, id=reference)
        self.sent[reference] = (person, sender, to, ts)

    @rule(where=st.integers(0, 2))
    def restart(self, where: int) -> None:
        """A node dies, and starts again with what is on its disk."""
        site = self.sites[where]
        self.people = [one for one in self.people if one[1] is not site]
        self.case.kill(site)
        self.case.done(self.case.stores[site.id].close())
        # No process starts in no time: two would use the same milliseconds as ts.
        self.case.network.pass_time(1)
        self.sites[where] = self._launch(site.id)
        self._broken()

    @rule(chance=st.randoms(use_true_random=False), where=st.integers(0, 2))
    def rave(self, chance: random.Random, where: int) -> None:
        """Somebody sends frames that were changed, before or after a login."""
        person = self.case.person(self.sites[where])
        if chance.random() < 0.5:
            person.greet("mallory", "srv-g")
        for _ in range(5):
            if person.close is not None:
                return
            ts, payload = person.message("alice") if person.key else (1, {"a": [{}]})
            fields: dict[str, Any] = {
                "type": chance.choice(
                    ("MSG_DIRECT", "USER_HELLO", "SERVER_HELLO_JOIN")
                ),
                "from": "mallory",
                "to": "alice",
                "ts": ts,
                "payload": payload,
            }
            STRUCTURE[chance.choice(list(STRUCTURE))](chance, fields)
            frame = to_bytes(fields)
            if chance.random() < 0.5:
                frame = BYTES[chance.choice(list(BYTES))](chance, frame)
            person.send(frame)
        person.leave()

    @rule(one=st.integers(0, 2))
    def cut(self, one: int) -> None:
        """The connection of two nodes breaks, and both notice."""
        for wire in self._between(one):
            wire.cut()
        self._broken()

    @rule(one=st.integers(0, 2))
    def silence(self, one: int) -> None:
        """What two nodes send each other vanishes, and neither can tell."""
        for wire in self._between(one):
            wire.held = True
            self.held.append(wire)

    @precondition(lambda self: self.held)
    @rule()
    def end_silence(self) -> None:
        """The network is back; what was lost on the way breaks the connection."""
        for wire in self.held:
            wire.held = False
            wire.cut()
        self.held.clear()
        self._broken()

    @rule(seconds=st.sampled_from((1, 3, 6, 12)))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.case.network.pass_time(seconds)

    def _launch(self, name: str) -> Site:
        others = [one for one in THREE if one != name]
        entries = [(f"ws://127.0.0.1:{PORTS[one]}", one) for one in others]
        return self.case.start(name, PORTS[name], entries)

    def _broken(self) -> None:
        self.whole_at = self.case.network.seconds() + 15
        self.case.network.settle()

    def _between(self, one: int) -> list[Wire]:
        here, there = self.sites[one], self.sites[(one + 1) % 3]
        return self.case.network.between(here.port, there.port)

    # -- what always holds -------------------------------------------------------------

    @invariant()
    def no_bug(self) -> None:
        """Nobody has an exception to log."""
        found = self.case.flushLoggedErrors()
        assert not found, found[0].getTraceback()

    @invariant()
    def tables_agree(self) -> None:
        """A node's tables say the same of its own users."""
        for site in self.sites:
            mesh = site.node.mesh
            for user_id, links in mesh.directory.local_users.items():
                location = mesh.directory.user_locations[user_id]
                assert location.server_id == site.id, (site.id, user_id, location)
                for link in links:
                    party = mesh.parties[link]
                    assert (party.stage, party.name) == (Stage.USER, user_id)

    # -- what holds in the end ---------------------------------------------------------

    def teardown(self) -> None:
        """Let everything heal, and look."""
        try:
            self.end_silence()
            self.case.network.pass_time(HEALING)
            self._look()
        finally:
            self.no_bug()
            self.case.finish()

    def _look(self) -> None:
        self.case.assert_mesh(*self.sites)
        here = {(user, site.id) for user, site, one in self.people if one.close is None}
        places = Counter(user for user, _ in here)
        assert not [user for user in places if places[user] > 1], here
        self.case.assert_online(dict(here), *self.sites)
        online = set(places)
        for reference, (person, sender, to, ts) in self.sent.items():
            # On each connection once: a user may have two, and come back on a third.
            arrived = [
                sum(
                    (one.payload["sender"], one.payload["ts"]) == (sender, ts)
                    for one in reader.of("USER_DELIVER")
                )
                for user, reader in self.everybody
                if user == to
            ]
            assert max(arrived, default=0) <= 1, (reference, to, arrived)
            answered = {status for ref, status in person.outcomes() if ref == reference}
            kept = answered & {"queued", "delivered"}
            assert any(arrived) or not kept or to not in online, (
                reference,
                to,
                answered,
            )
            if not any(person is one for _, _, one in self.people):
                continue  # nobody is left to be told
            answers = Counter(
                status for ref, status in person.outcomes() if ref == reference
            )
            queued = answers.pop("queued", 0)
            told = sum(answers.values())
            assert queued <= 1, (reference, queued)
            assert told <= 1, (reference, answers)
            assert told == 1 or (queued and to not in online), (reference, to, answers)


class StateTests(UserTestCase):
    """Everything in any order: nodes agree in the end, and answer once."""

    hold = 3600.0

    def begin(self) -> None:
        """Make an empty network, as for a test of its own."""
        super().setUp()

    def finish(self) -> None:
        """Take it down: each example is one."""
        for store in self.stores.values():
            self.done(store.close())
        for site in self.sites.values():
            site.machine.dead = True

    def setUp(self) -> None:
        """Each example makes its own network."""

    def test_everything(self) -> None:
        """Logins, messages, garbage, cuts and silence."""
        try:
            run_state_machine_as_test(
                lambda: Mesh(self),  # type: ignore[arg-type]  # it calls it, no more
                settings=settings(
                    max_examples=12,
                    stateful_step_count=20,
                    deadline=None,
                    derandomize=True,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        except Exception as why:
            # The steps that led there; trial does not show them.
            steps = "\n".join(getattr(why, "__notes__", ()))
            raise self.failureException(f"{why}\n{steps}") from why
