"""Real clients' sessions on nodes in memory, and the frames between them."""

from pathlib import Path
from typing import TypeVar

from socp_twisted.client import events as told
from socp_twisted.client.files import Policy
from socp_twisted.client.keystore import Account
from socp_twisted.client.outbox import Output
from socp_twisted.client.pins import Pins
from socp_twisted.client.session import Session
from tests.keyring import NOON, key_of
from tests.memory_network import Wire
from tests.raw_ends import RawEnd
from tests.support import Site
from tests.users import UserTestCase, key_name

E = TypeVar("E")


class TalkingCase(UserTestCase):
    """Nodes that hold messages for a day, and real clients on them."""

    hold = 86_400.0

    def setUp(self) -> None:
        """Keep what nodes and users receive: that is all there is on the wires."""
        super().setUp()
        self.frames: list[bytes] = []
        self.sessions: list[Talker] = []

    def talker(
        self,
        site: Site,
        user_id: str,
        *,
        key: str | None = "",
        passphrase: str = "",
        pins: Pins | None = None,
    ) -> "Talker":
        """
        Return a real client's session, connected and not logged in.

        Its key is the test key of the user, or the one named; ``None`` for no key.
        """
        talker = Talker(self, site, user_id, key=key, passphrase=passphrase, pins=pins)
        self.sessions.append(talker)
        return talker

    def enter(self, site: Site, user_id: str, **options: str | None) -> "Talker":
        """Return a real client that is logged in, its events so far forgotten."""
        talker = self.talker(site, user_id, **options)  # type: ignore[arg-type]
        talker.session.login(self.now())
        self.settle()
        self.assertTrue(talker.session.ready)
        talker.events.clear()
        return talker

    def settle(self) -> None:
        """Let everybody say what they have to say, in no time."""
        for _ in range(50):
            if not sum(one.pump() for one in self.sessions):  # each has its turn
                return
        raise AssertionError("they will not stop talking")

    def talk(self, seconds: float = 0.5) -> None:
        """Let everybody say what they have to say, while time goes on."""
        for _ in range(max(1, round(seconds / 0.5))):
            self.settle()
            self.network.pass_time(0.5)
        self.settle()

    def now(self) -> int:
        """Return Unix time in milliseconds."""
        return int((NOON + self.network.seconds()) * 1000)


class Talker:
    """A real client's session at the end of a connection in memory."""

    end: RawEnd
    wire: Wire

    def __init__(
        self,
        case: TalkingCase,
        site: Site,
        user_id: str,
        *,
        key: str | None,
        passphrase: str,
        pins: Pins | None,
    ) -> None:
        self.case, self.site, self.user_id = case, site, user_id
        self.events: list[told.Event] = []
        self.heard: list[str] = []
        """Types of the frames that the server sent."""
        self.said: list[bytes] = []
        """Frames that this client sent."""
        mine = None if key is None else key_of(key or key_name(user_id))
        self.downloads = Path(case.mktemp())
        self.downloads.mkdir()
        self.session = Session(
            Account(user_id, mine, passphrase),
            pins or Pins(None),
            site.url,
            self.downloads,
            policy=Policy.ALWAYS,
        )
        self.connect()

    def connect(self) -> None:
        """Open a connection, once more after a loss."""
        self.end, self.wire = self.case.connect(self.site)
        self.session.connected()

    def come_back(self) -> None:
        """Open a connection after a loss, and log in."""
        self.connect()
        self.session.login(self.case.now())
        self.case.settle()

    def pump(self) -> bool:
        """Pass frames between the session and the wire; say whether there were any."""
        received, self.end.received = self.end.received, []
        for envelope in received:
            self.case.frames.append(envelope.frame)
            self.heard.append(envelope.type)
            self.session.receive(envelope.frame, self.case.now())
        self.session.tick(self.case.now())
        output = self.session.drain()
        self.events.extend(output.events)
        self.send(output)
        return bool(received or output.frames or output.receipts)

    def send(self, output: Output) -> None:
        """Send what the session wants sent."""
        for frame in (*output.frames, *output.receipts):
            self.said.append(frame)
            if self.end.closed is None:
                self.end.sendMessage(frame, isBinary=False)
        self.case.network.settle()

    def lose(self) -> None:
        """Lose the connection; the client is told."""
        self.wire.cut()
        self.case.network.settle()
        self.session.lost(self.case.now())

    def leave(self) -> None:
        """Close the connection."""
        self.end.sendClose(1000)
        self.case.network.settle()
        self.case.sessions.remove(self)

    def told(self, kind: type[E]) -> list[E]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def texts(self) -> list[str]:
        """Return what was shown to the user."""
        return [one.text for one in self.told(told.TextReceived)]

    def outcomes(self, message_id: str) -> list[tuple[str, str]]:
        """Return whom a message reached, or did not, in order of the names."""
        outcomes = [
            (one.to, type(one).__name__)
            for one in self.events
            if isinstance(one, told.Delivered | told.Queued | told.NotDelivered)
            and one.message_id == message_id
        ]
        return sorted(outcomes)
