"""Is each frame that waited for the disk read on, in order, whatever becomes of one?"""

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import SocpError
from socp_twisted.net.link import Link
from socp_twisted.overlay.effects import Effect, LinkId
from socp_twisted.overlay.party import Party, Stage
from socp_twisted.turns import Turns
from socp_twisted.wire.envelope import Envelope


class Connection:
    """A link that notes what is done with it."""

    id = LinkId(1)

    def __init__(self) -> None:
        self.done: list[object] = []

    def onMessage(self, frame: bytes, isBinary: bool) -> None:
        """Note a frame that is read."""
        self.done.append(frame)

    def pause(self, reason: str) -> None:
        """Nothing comes of itself here."""

    def read_on(self, reason: str) -> None:
        """Nothing comes of itself here."""

    def fail(self) -> None:
        """Note that it is given up."""
        self.done.append("failed")


class Slow:
    """A desk that answers when the test says so."""

    def __init__(self) -> None:
        self.answer: Deferred[list[Effect]] = Deferred()

    async def attend(self, party: Party, envelope: Envelope) -> list[Effect]:
        """Wait for the answer."""
        return await self.answer


class BugTests(SynchronousTestCase):
    """A bug with one of the frames costs the connection, and not those behind it."""

    def setUp(self) -> None:
        """A frame is at the desk, and others wait."""
        self.connection, self.desk = Connection(), Slow()
        self.link = cast(Link, self.connection)
        self.turns = Turns(self.perform, self.complain, self.act)
        party = Party(self.link.id, Stage.USER, 0.0, 0.0)
        first = self.frame("MSG_DIRECT")
        self.turns.attend(self.desk, self.link, party, first, alone=False)

    def frame(self, kind: str) -> Envelope:
        """Return a frame."""
        return Envelope.create(kind, "alice", "bob", 1, {})

    def perform(self, effects: Any) -> None:
        """Fail if it is to be performed what fails."""
        for one in effects:
            raise RuntimeError(one)

    def complain(self, party: Party, envelope: Envelope, fault: SocpError) -> None:
        """Nobody is at fault here."""

    def act(self, link: Link, envelope: Envelope) -> None:
        """Fail with one type, and note the others."""
        if envelope.type == "BUG":
            raise RuntimeError("a bug")
        self.connection.done.append(envelope.type)

    def test_waiting(self) -> None:
        """With one that waited: the others are read, then the connection ends."""
        self.assertTrue(self.turns.comes_after(self.link, self.frame("BUG")))
        self.assertTrue(self.turns.is_taken(self.link, b"a message"))
        self.assertTrue(self.turns.comes_after(self.link, self.frame("FILE_END")))
        self.desk.answer.callback([])
        self.assertEqual(self.connection.done, [b"a message", "FILE_END", "failed"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertFalse(self.turns.is_taken(self.link, b"another"))

    def test_at_desk(self) -> None:
        """With what follows from the one at the desk: those that waited are read."""
        self.turns.comes_after(self.link, self.frame("FILE_END"))
        self.desk.answer.callback([cast(Effect, "a bug")])
        self.assertEqual(self.connection.done, ["failed", "FILE_END"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
