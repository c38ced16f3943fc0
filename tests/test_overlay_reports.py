"""Is a user told of a claim to their name, and not all day long by who makes it?"""

from typing import Any

from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.overlay.reports import EVERY, REMEMBERED, Reports
from socp_twisted.pacing import LINES
from tests.support import NodeTestCase


class ReportsTests(SynchronousTestCase):
    """One report in a minute about each server to each user, so many remembered."""

    def test_again(self) -> None:
        """The same is news once a minute; another server's, or another user, is too."""
        reports = Reports()
        for server_id, user_id in (("a", "u"), ("b", "u"), ("a", "v")):
            self.assertTrue(reports.is_news(server_id, user_id, 0.0))
            self.assertFalse(reports.is_news(server_id, user_id, EVERY - 1))
        self.assertTrue(reports.is_news("a", "u", EVERY))
        self.assertEqual(len(reports), 1)

    def test_bounded(self) -> None:
        """Whoever invents names makes us forget, not remember ever more."""
        reports = Reports()
        for number in range(2 * REMEMBERED):
            self.assertTrue(reports.is_news("a", f"u{number}", 0.0))
        self.assertLessEqual(len(reports), REMEMBERED)


class TiresomeServerTests(NodeTestCase):
    """A server that says the same all the time is heard once."""

    def setUp(self) -> None:
        """A node with alice, linked to a server that the test plays."""
        super().setUp()
        self.alice = self.user(self.a, "alice")
        self.eve = self.linked_peer()

    def test_claims(self) -> None:
        """A hundred claims to one name: one report to either side, in a minute."""
        for number in range(100):
            self.eve.advertise("alice", key="alice", n=number)
        self.assertEqual(self.alice.errors(), ["NAME_IN_USE"])
        self.assertEqual(self.eve.errors(), ["NAME_IN_USE"])
        for _ in range(4):
            self.network.pass_time(20, 10)
            self.eve.tell("HEARTBEAT", {})
        self.eve.advertise("alice", key="alice", n=100)
        self.assertEqual(self.alice.errors(), ["NAME_IN_USE"] * 2)

    def test_refusals(self) -> None:
        """Nor do its own words fill a user's screen, or steer it."""
        for number in range(100):
            said = {"code": "NAME_IN_USE", "detail": f"\x1b[2J\u202e{number}"}
            self.eve.tell("ERROR", {**said, "user_id": "alice"}, to="srv-a")
        [told] = self.alice.of("ERROR")
        self.assertEqual(told.payload["detail"], "srv-b: ?[2J?0")

    def test_log(self) -> None:
        """Nor is the log its diary."""
        logged = self.log()
        for number in range(3 * LINES):
            said = {"code": "TIMEOUT", "detail": f"{number}"}
            self.eve.tell("ERROR", said, to="srv-a")
        lines = [one for one in map(formatEvent, logged) if "srv-b says" in one]
        self.assertEqual(lines[0], "srv-b says TIMEOUT: 0")
        self.assertEqual(len(lines), LINES)

    def test_last_words(self) -> None:
        """Nor do those with which it closes the link make a line of their own."""
        logged = self.log()
        self.eve.end.sendClose(1000, "bye\x1b[2J\n[SOCP] all is well")
        self.network.settle()
        [line] = [one for one in map(formatEvent, logged) if "lost srv-b" in one]
        self.assertTrue(line.endswith("(1000 bye?[2J?[SOCP] all is well)"), line)

    def log(self) -> list[LogEvent]:
        """Return the list to which what is logged is added."""
        logged: list[LogEvent] = []
        note: Any = logged.append
        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)
        return logged
