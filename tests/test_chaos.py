"""Are messages accounted for, and honestly?  A short run, and the rules."""

from collections import Counter
from dataclasses import replace
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.chaos.accounting import Account, account
from tests.chaos.logs import find_faults
from tests.chaos.plan import Message, make_plan
from tests.chaos.run import Result
from tests.chaos.weather import CLEAR, Flow, Rule, Weather

HELLO = Message("m1", 0.0, "alice", "bob")


def entries(*what: str) -> list[dict[str, Any]]:
    """Return the lines of a journal about one message, a second apart."""
    return [
        {"t": float(second), "what": one, "text": "m1", "code": "TIMEOUT"}
        for second, one in enumerate(what)
    ]


class PlanTests(SynchronousTestCase):
    """What fails, and when, follows from the seed."""

    def test_seed(self) -> None:
        """The same seed makes the same plan, another one another."""
        self.assertEqual(make_plan(5, 4, 500), make_plan(5, 4, 500))
        self.assertNotEqual(make_plan(5, 4, 500), make_plan(6, 4, 500))

    def test_ends(self) -> None:
        """Every fault ends before the quiet; no target has two at a time."""
        plan = make_plan(1, 5, 10_000)
        self.assertGreater(len(plan.faults), 20)
        free_at: dict[tuple[str, ...], float] = {}
        for fault in plan.faults:
            if fault.seconds < 50:  # the long silence lies over others
                self.assertGreaterEqual(fault.at, free_at.get(fault.target, 0.0))
                free_at[fault.target] = fault.at + fault.seconds
            self.assertLessEqual(fault.at + fault.seconds, plan.seconds)
        self.assertEqual(len(plan.messages), 10_000)
        files = [one for one in plan.messages if one.size]
        self.assertEqual(len(files), 250)
        self.assertEqual(sum(1 for one in files if one.to == "public"), 50)
        self.assertNotIn(True, [one.sender == one.to for one in plan.messages])


class AccountTests(SynchronousTestCase):
    """Each message has one fate, whatever its sender was told."""

    def fates(self, sender: list[dict[str, Any]], recipient: Any = ()) -> Account:
        """Return the account of one message from two journals."""
        journals = {
            "alice": [{"t": 0.0, "what": "start"}, *sender],
            "bob": [{"t": 0.0, "what": "start"}, *recipient],
        }
        return account([HELLO], journals)

    def check(self, found: Account, *fates: str, ok: bool = True) -> None:
        """Compare the fates, and whether they are a failure."""
        self.assertEqual(dict(found.counts), dict.fromkeys(fates, 1))
        self.assertEqual(found.ok, ok)

    def test_once(self) -> None:
        """Seen once, and said to be delivered: all is well."""
        found = self.fates(entries("sending", "queued", "delivered"), entries("seen"))
        self.check(found, "sent", "once")

    def test_everybody(self) -> None:
        """A message to everybody has a fate with each of them."""

        def about(who: str, *what: str) -> list[dict[str, Any]]:
            return [{**one, "text": f"m1@{who}"} for one in entries(*what)]

        sender = [
            *about("bob", "sending", "delivered"),
            *about("carol", "sending", "delivered"),
            *about("dave", "sending", "failed"),
        ]
        found = account(
            [Message("m1", 0.0, "alice", "public"), Message("m2", 0.0, "bob", "alice")],
            {
                "alice": [{"t": 0.0, "what": "start"}, *sender],
                "bob": about("bob", "seen"),
            },
        )
        fates = {"sent": 3, "once": 1, "lost": 1, "reported": 1, "unsent": 1}
        self.assertEqual(dict(found.counts), fates)
        self.assertEqual(found.failures["lost"], ["m1@carol"])

    def test_reported(self) -> None:
        """Not seen, and the sender knows: well, too."""
        found = self.fates(entries("sending", "failed"))
        self.check(found, "sent", "reported")
        self.assertEqual(found.codes["TIMEOUT"], 1)

    def test_false_alarm(self) -> None:
        """Seen, although the sender was told that it failed."""
        found = self.fates(entries("sending", "failed"), entries("seen"))
        self.check(found, "sent", "once", "false alarm")

    def test_lost(self) -> None:
        """Said to be delivered, or kept, and seen by nobody."""
        for last in ("delivered", "queued"):
            found = self.fates(entries("sending", last))
            self.check(found, "sent", "lost", ok=False)
            self.assertEqual(found.failures["lost"], ["m1"])

    def test_doubled(self) -> None:
        """Seen twice by one process."""
        found = self.fates(entries("sending", "delivered"), entries("seen", "seen"))
        self.check(found, "sent", "doubled", ok=False)

    def test_torn(self) -> None:
        """A file that came, but not as it was sent."""
        found = self.fates(entries("sending", "failed"), entries("torn"))
        self.check(found, "sent", "torn", "reported", ok=False)

    def test_file(self) -> None:
        """A file is a message, and counted as what it is."""
        journals = {"alice": entries("start", "sending", "delivered"), "bob": []}
        found = account([replace(HELLO, size=9)], journals)
        self.check(found, "sent", "files", "lost", ok=False)

    def test_again(self) -> None:
        """Seen by two processes: the first died with its receipt."""
        start = {"t": 1.0, "what": "start"}
        seen = [*entries("seen"), start, *entries("seen")]
        found = self.fates(entries("sending", "delivered"), seen)
        self.check(found, "sent", "again")

    def test_unreported(self) -> None:
        """The sender lives, and was told nothing, whether it was seen or not."""
        self.check(self.fates(entries("sending")), "sent", "unreported", ok=False)
        found = self.fates(entries("sending"), entries("seen"))
        self.check(found, "sent", "once", "unreported", ok=False)

    def test_perished(self) -> None:
        """The sender's process died before any answer: nobody is left to be told."""
        start = {"t": 1.0, "what": "start"}
        self.check(self.fates([*entries("sending"), start]), "sent", "perished")
        kept = [*entries("sending", "queued"), start]
        self.check(self.fates(kept), "sent", "lost", ok=False)

    def test_unsent(self) -> None:
        """What no process took was never a message."""
        self.check(self.fates([]), "unsent")


class ResultTests(SynchronousTestCase):
    """A run is well if something arrived in it, and nothing is wrong."""

    def is_ok(self, *seen: str, log: tuple[str, str] | None = None) -> bool:
        """Say whether a run with one message, and perhaps a line of a log, is well."""
        journals = {"alice": [{"what": "start"}], "bob": [{"what": "start"}]}
        journals["alice"] += entries("sending", "delivered") if seen else []
        journals["bob"] += entries(*seen)
        found = account([HELLO], journals)
        logs = [log] if log is not None else []
        return Result(found, Counter(), Counter(), logs, 1.0, 0.0).ok

    def test_verdict(self) -> None:
        """One message that arrived once is enough, and none is not."""
        self.assertTrue(self.is_ok("seen"))
        self.assertFalse(self.is_ok())
        self.assertFalse(self.is_ok("seen", "seen"))
        self.assertFalse(self.is_ok("seen", log=("srv-a", "Unhandled Error")))


class LogTests(SynchronousTestCase):
    """A log has no secrets, and no errors that nobody expected."""

    def test_found(self) -> None:
        """Texts, keys, and tracebacks are found; ordinary lines are not."""
        lines = [
            "linked to srv-b at ws://127.0.0.1:8766",
            "she said attack-at-dawn",
            "nonce " + "A" * 43,
            "Unhandled Error",
            "bug while reading a frame from tcp4:127.0.0.1:1",
        ]
        found = find_faults({"srv-a": lines}, ["attack-at-dawn", ""])
        self.assertEqual([line for _, line in found], lines[1:])


class Pipe(StringTransport):
    """One end of a carried connection, which can be broken."""

    broken = False

    def abortConnection(self) -> None:
        """Break it."""
        self.broken = True


class WeatherTests(SynchronousTestCase):
    """Rules change what is carried between two ends, one way or both."""

    def setUp(self) -> None:
        """Let one flow of bytes run from A to B."""
        self.clock = Clock()
        self.weather = Weather(self.clock)
        self.reader, self.writer = Pipe(), Pipe()
        self.flow = Flow(self.weather, ("a", "b"), self.reader, self.writer)

    def carried(self) -> bytes:
        """Return what has arrived."""
        return bytes(self.writer.value())

    def test_clear(self) -> None:
        """Bytes arrive at once."""
        self.flow.take(b"hello")
        self.assertEqual(self.carried(), b"hello")

    def test_delay(self) -> None:
        """Bytes arrive later, in order, also when the weather has changed meanwhile."""
        self.weather.set("a", "b", Rule("delay", 0.5))
        self.flow.take(b"one ")
        self.weather.set("a", "b", CLEAR)
        self.flow.take(b"two")
        self.assertEqual(self.carried(), b"")
        self.clock.advance(0.5)
        self.assertEqual(self.carried(), b"one two")

    def test_throttle(self) -> None:
        """So many bytes a second."""
        self.weather.set("a", "b", Rule("throttle", 10.0))
        for _ in range(3):
            self.flow.take(b"12345")
        arrived: list[int] = []
        for _ in range(3):
            self.clock.advance(0.5)
            arrived.append(len(self.carried()))
        self.assertEqual(arrived, [5, 10, 15])

    def test_stall(self) -> None:
        """Nobody reads, and nothing is missing afterwards."""
        self.weather.set("a", "b", Rule("stall"))
        self.assertEqual(self.reader.producerState, "paused")
        self.flow.take(b"late")
        self.assertEqual(self.carried(), b"")
        self.weather.set("a", "b", CLEAR)
        self.assertEqual(self.carried(), b"late")
        self.assertEqual(self.reader.producerState, "producing")

    def test_swallow(self) -> None:
        """Nobody can tell, until what is missing breaks the connection."""
        self.weather.set("a", "b", Rule("swallow"))
        self.flow.take(b"gone")
        self.flow.end()
        self.assertFalse(self.writer.broken or self.writer.disconnecting)
        self.weather.clear()
        self.assertTrue(self.writer.broken and self.reader.broken)
        self.assertEqual(self.carried(), b"")

    def test_cut(self) -> None:
        """Both ends notice, and nobody connects meanwhile."""
        self.weather.set("a", "b", Rule("cut"))
        self.assertTrue(self.writer.broken and self.reader.broken)
        self.assertTrue(self.weather.is_cut("b", "a"))
        self.weather.clear()
        self.assertFalse(self.weather.is_cut("b", "a"))

    def test_end(self) -> None:
        """The end of a connection is carried, after all that was sent before."""
        self.weather.set("a", "b", Rule("delay", 1.0))
        self.flow.take(b"last words")
        self.flow.end()
        self.assertFalse(self.writer.disconnecting)
        self.clock.advance(1.0)
        self.assertEqual(self.carried(), b"last words")
        self.assertTrue(self.writer.disconnecting)
