"""Who was silent for too long, and what is due?"""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.overlay.effects import Effect, HangUp, SendAll
from socp_twisted.overlay.liveness import Liveness
from socp_twisted.overlay.party import Party, Stage
from socp_twisted.wire.vocabulary import CLOSE_TIMEOUT, HEARTBEAT
from tests.overlay_values import CAPS, add_party, add_server, make_mesh


class LivenessTestCase(SynchronousTestCase):
    """A node whose time the test moves, a second at a time."""

    def setUp(self) -> None:
        """Know nobody."""
        self.mesh = make_mesh()
        self.liveness = Liveness(self.mesh, 5.0)

    def tick(self, seconds: int, *awake: Party) -> list[tuple[int, Effect]]:
        """Let time pass, with signs of life of some; return what was due when."""
        due: list[tuple[int, Effect]] = []
        for second in range(1, seconds + 1):
            self.mesh.now += 1
            for party in awake:
                party.heard = self.mesh.now
            due += [(second, effect) for effect in self.liveness.tick()]
        return due

    def hung_up(self, seconds: int, *awake: Party) -> list[tuple[int, str]]:
        """Return when links are hung up first, and why."""
        found: dict[int, tuple[int, str]] = {}
        for second, effect in self.tick(seconds, *awake):
            if isinstance(effect, HangUp):
                self.assertEqual(effect.code, CLOSE_TIMEOUT)
                found.setdefault(effect.link, (second, effect.reason))
        return list(found.values())


class SilenceTests(LivenessTestCase):
    """Each stage has its patience, and each fault its sentence."""

    def waits(self, stage: Stage, **fields: Any) -> tuple[int, str]:
        """Return when and why a party of this stage is hung up on, if it is silent."""
        add_party(self.mesh, stage, **fields)
        [found] = self.hung_up(120)
        return found

    def test_fresh(self) -> None:
        """Nobody may say nothing for more than a minute (R18)."""
        found = self.waits(Stage.FRESH)
        self.assertEqual(found, (60, "max-login: no first frame within 60 s"))

    def test_greeted(self) -> None:
        """Nor greet and not log in."""
        found = self.waits(Stage.GREETED)
        self.assertEqual(found, (60, "max-login: no login within 60 s"))

    def test_dialled(self) -> None:
        """Whom we dialled has ten seconds for its WELCOME."""
        second, reason = self.waits(Stage.DIALLED, url="ws://h:1")
        self.assertEqual(second, 10)
        self.assertIn("no SERVER_WELCOME within 10 s", reason)

    def test_claimed(self) -> None:
        """Who claims to be one of us has ten seconds for the proof."""
        found = self.waits(Stage.CLAIMED, caps=frozenset(CAPS))
        self.assertEqual(found, (10, "no proof of the key within 10 s"))

    def test_claimed_by_others(self) -> None:
        """A server of others, which proves itself with its next frame, has 45."""
        found = self.waits(Stage.CLAIMED)
        self.assertEqual(found, (45, "no signed frame within 45 s"))

    def test_server(self) -> None:
        """A server that is silent for 45 s is dead."""
        add_server(self.mesh, "srv-b")
        self.assertEqual(self.hung_up(60), [(45, "silent for 45 s")])

    def test_awake(self) -> None:
        """Who says something in time stays, whatever they say."""
        awake = [add_server(self.mesh, f"srv-{n}") for n in range(3)]
        self.assertEqual(self.hung_up(200, *awake), [])

    def test_closing(self) -> None:
        """Who is hung up on already is left alone."""
        add_party(self.mesh, Stage.CLOSING)
        self.assertEqual(self.hung_up(200), [])

    def test_asleep(self) -> None:
        """If we ourselves slept, nobody was silent: what they said is still unread."""
        add_server(self.mesh, "srv-b")
        self.mesh.now += 300
        self.assertEqual(self.hung_up(40), [])


class HeartbeatTests(LivenessTestCase):
    """Each 15 s, and whenever our links change, we say that we are here."""

    def beats(self, seconds: int, *awake: Party) -> list[tuple[int, list[str]]]:
        """Return when heartbeats were sent, and the links that they told."""
        return [
            (second, effect.payload["links"])
            for second, effect in self.tick(seconds, *awake)
            if isinstance(effect, SendAll) and effect.type == HEARTBEAT
        ]

    def test_alone(self) -> None:
        """To nobody we say nothing."""
        self.assertEqual(self.beats(60), [])

    def test_interval(self) -> None:
        """The first at once, the others 15 s apart."""
        b = add_server(self.mesh, "srv-b")
        told = ["srv-b"]
        self.assertEqual(self.beats(40, b), [(1, told), (16, told), (31, told)])

    def test_change(self) -> None:
        """A link that is new, or lost, is told within a second."""
        b = add_server(self.mesh, "srv-b")
        self.beats(5, b)
        c = add_server(self.mesh, "srv-c")
        self.assertEqual(self.beats(5, b, c), [(1, ["srv-b", "srv-c"])])
        self.mesh.directory.servers["srv-c"].links.clear()
        self.assertEqual(self.beats(5, b, c), [(1, ["srv-b"])])
