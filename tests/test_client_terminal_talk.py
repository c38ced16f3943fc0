"""What becomes of a command?  The client is one that does as the test says."""

import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client import events as told
from socp_twisted.client.events import Contact
from socp_twisted.client.terminal import entrance, keyring
from socp_twisted.client.terminal.commands import LogIn, Register
from socp_twisted.client.terminal.entrance import Settings
from socp_twisted.client.terminal.happenings import (
    Compared,
    Done,
    Failed,
    Happening,
    Notice,
    Warned,
)
from socp_twisted.client.terminal.run import LogFile
from socp_twisted.client.terminal.talk import Talk
from socp_twisted.errors import ErrorCode, Refused
from tests.vector_files import private


class StandIn:
    """A client without a server: it remembers what it was asked for."""

    def __init__(self, reactor: Any, url: str, **options: Any) -> None:
        """Take what a client takes."""
        self.url = url
        self.options = options
        self.key = private("alice")
        self.asked: list[tuple[Any, ...]] = []
        self.refusal: Refused | None = None
        self.answer: Any = None

    def __getattr__(self, name: str) -> Any:
        """Answer every command, or refuse it; whoever leaves may."""

        async def command(*arguments: Any) -> Any:
            self.asked.append((name, *arguments))
            if self.refusal is not None and name != "close":
                raise self.refusal
            return self.answer

        return command

    async def events(self) -> AsyncIterator[told.Event]:
        """Tell nothing: the test does."""
        await Deferred()
        yield told.EventsDropped(0)


class TalkTestCase(SynchronousTestCase):
    """A talk with a client that is logged in."""

    patient = False

    def setUp(self) -> None:
        """Log in as alice, whose client is a stand-in; bob is there."""
        self.clock = Clock()
        self.told: list[Happening] = []
        self.clients: list[StandIn] = []
        self.refusals: list[Refused | None] = []
        """What the next clients refuse everything with."""
        self.home = Path(self.mktemp())
        self.talk = Talk(
            self.clock,
            Settings("ws://127.0.0.1:1", self.home, "alice"),
            self.told.append,
            patient=self.patient,
            client=self.make,
        )
        enter = self.talk._enter("alice", key=private("alice"))
        self.successResultOf(Deferred.fromCoroutine(enter))
        self.talk.tell(told.LoggedIn("alice", "srv-a", ""))
        self.talk.tell(told.ChannelMembers(1, ()))
        self.talk.tell(told.UserJoined(Contact("bob", "k", "aa bb")))
        self.told.clear()

    def make(self, *arguments: Any, **options: Any) -> Any:
        """Make a stand-in, and remember it."""
        self.clients.append(StandIn(*arguments, **options))
        if self.refusals:
            self.client.refusal = self.refusals.pop(0)
        return self.clients[-1]

    @property
    def client(self) -> StandIn:
        """The one that is in use."""
        return self.clients[-1]

    def begin(self, line: str) -> "Deferred[bool]":
        """Begin what a line asks for."""
        return Deferred.fromCoroutine(self.talk.carry_out(line, 1))

    def type(self, line: str) -> Happening:
        """Do what a line asks for, and return how it ended."""
        done = self.begin(line)
        self.clock.advance(0)
        well = self.successResultOf(done)
        self.assertEqual(well, isinstance(self.told[-1], Done))
        return self.told[-1]


class CommandTests(TalkTestCase):
    """Each command is one call, and ends with one thing that is told."""

    def test_conversation(self) -> None:
        """Plain lines follow the last one written to, at once."""
        self.type("/tell bob hi")
        self.type("it's me")
        self.type("/all hello")
        self.type("again")
        asked: list[tuple[str, ...]]
        asked = [("tell", "bob", "hi"), ("tell", "bob", "it's me")]
        asked += [("all", "hello"), ("all", "again")]
        self.assertEqual(self.client.asked[1:], asked)
        self.assertEqual(self.talk.conversation, "public")

    def test_failure(self) -> None:
        """What did not arrive is told, and the conversation stays where it was."""
        self.client.refusal = Refused(ErrorCode.USER_NOT_FOUND, "nobody")
        failed = self.type("/tell eve hi")
        self.assertEqual(failed, Failed("tell", "USER_NOT_FOUND", "nobody", 1))
        self.assertEqual(self.talk.conversation, "")

    def test_not_all(self) -> None:
        """A message that some did not get says whom it did not reach."""
        self.client.answer = {"bob": "has left"}
        failed = self.type("/all hi")
        assert isinstance(failed, Failed)
        self.assertEqual(failed.detail, "the message did not reach bob: has left")

    def test_nobody(self) -> None:
        """A message to nobody is not sent, and that is told."""
        self.talk.tell(told.UserLeft("bob"))
        self.assertIsInstance(self.type("/all hi"), Failed)

    def test_bug(self) -> None:
        """A mistake of ours is told as one, is logged, and ends nothing."""
        self.client.answer = 1
        failed = self.type("/verify bob")
        assert isinstance(failed, Failed)
        self.assertIn("bug", failed.detail)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.client.answer = None
        self.assertIsInstance(self.type("/tell bob hi"), Done)

    def test_verify(self) -> None:
        """Trust is for the key that was shown, not for whichever there is by then."""
        self.assertIsInstance(self.type("/verify eve yes"), Failed)
        self.client.answer = ("ours", "pinned", "seen")
        self.assertEqual(self.type("/verify eve"), Done("verify", 1))
        self.assertEqual(
            self.told[-2], Compared("eve", "ours", "pinned", "seen", False)
        )
        self.type("/verify eve yes")
        self.assertEqual(self.client.asked[-1], ("trust", "eve", "seen"))
        self.type("/verify eve " + "ab" * 32)
        self.assertEqual(self.client.asked[-1], ("trust", "eve", "ab" * 32))

    def test_verify_elsewhere(self) -> None:
        """What was compared at another login is not trusted by a yes."""
        self.client.answer = ("ours", "pinned", "seen")
        self.type("/verify dave")
        enter = self.talk._enter("eve", key=private("bob"))
        self.successResultOf(Deferred.fromCoroutine(enter))
        self.talk.tell(told.LoggedIn("eve", "srv-a", ""))
        failed = self.type("/verify dave yes")
        assert isinstance(failed, Failed)
        self.assertIn("compare first", failed.detail)
        self.assertEqual(self.client.asked, [("start",)])

    def test_files(self) -> None:
        """An offer is taken once, by its number; ours says when it failed."""
        self.talk.tell(told.FileOffered("f1", "bob", "a", 1, False, True, True))
        self.type("/accept 1")
        self.assertEqual(self.client.asked[-1], ("accept_file", "f1"))
        self.assertIsInstance(self.type("/accept 1"), Failed)
        self.type("/decline 1")
        self.assertEqual(self.client.asked[-1], ("stop_file", "f1", "broken off"))
        self.client.refusal = Refused(ErrorCode.NOT_ALLOWED, "a: declined")
        failed = self.type("/file bob a b")
        assert isinstance(failed, Failed)
        self.assertEqual(failed.detail, "not sent to bob: a: declined")

    def test_no_connection(self) -> None:
        """A person is told at once that nothing goes out now."""
        self.talk.tell(told.ConnectionLost("u", "x"))
        failed = self.type("/tell bob hi")
        assert isinstance(failed, Failed)
        self.assertIn("not done: there is no connection; it is tried", failed.detail)

    def test_plain_network(self) -> None:
        """Beyond the loopback and without TLS there is a warning."""
        self.talk.settings = Settings("ws://10.0.0.1:1", Path(self.mktemp()))
        enter = self.talk._enter("alice", key=private("alice"))
        self.successResultOf(Deferred.fromCoroutine(enter))
        self.assertIsInstance(self.told[0], Warned)


class LoginTests(TalkTestCase):
    """A passphrase is asked for when it is needed, and again when it was wrong."""

    def test_again(self) -> None:
        """After the connection was given up, /login alone tries again as before."""
        self.talk.tell(told.GaveUp("u", 10, "x"))
        self.assertEqual(self.talk.wants_passphrase(LogIn()), "")
        self.type("/login")
        self.assertEqual(self.client.asked, [("start",), ("start",)])

    def test_refused(self) -> None:
        """After the server refused us, it is asked for."""
        self.talk.tell(told.LoginRefused("BAD_KEY", "x"))
        self.talk.tell(told.GaveUp("u", 10, "x"))
        self.assertEqual(self.talk.wants_passphrase(LogIn()), "alice")
        failed = self.type("/login")
        assert isinstance(failed, Failed)
        self.assertIn("there is no passphrase of alice", failed.detail)

    def test_other(self) -> None:
        """Another user's is asked for, unless it was told."""
        self.assertEqual(self.talk.wants_passphrase(Register("eve")), "eve")
        self.assertEqual(self.talk.wants_passphrase(Register("eve", "pw")), "")
        self.assertEqual(self.talk.wants_passphrase(Register()), "")

    def test_logged_in(self) -> None:
        """Who is in already is told so; /register then updates the account."""
        self.assertIsInstance(self.type("/login alice"), Failed)
        self.type("/register")
        self.assertEqual(self.client.asked[-1], ("register", ""))

    def register(self, passphrase: str, *refusals: ErrorCode | None) -> bool:
        """Register eve, whose clients are refused so; return whether she is in."""

        def at_once(work: Any, *arguments: Any) -> Deferred[Any]:
            if work is keyring.find_key:
                return succeed(None)
            assert work is keyring.make_key
            keyring.keep_key(self.home, "eve", private("bob"), passphrase)
            return succeed(private("bob"))

        self.patch(entrance, "deferToThread", at_once)
        self.refusals = [Refused(code, "no") if code else None for code in refusals]
        ended = self.type(f"/register eve {passphrase}")
        return isinstance(ended, Done)

    def notices(self) -> str:
        """Return what was said beside the outcome."""
        return "\n".join(one.text for one in self.told if isinstance(one, Notice))

    def warned(self) -> bool:
        """Return whether there was a warning."""
        return any(isinstance(one, Warned) for one in self.told)

    def test_registered(self) -> None:
        """A new account has a key file, and a short passphrase a warning."""
        self.assertTrue(self.register("long enough!", None))
        self.assertFalse(self.warned())
        self.assertTrue(self.register("short", None))
        self.assertTrue(self.warned())

    def test_unreached(self) -> None:
        """With a key, and no server that took it: what is missing is said."""
        self.assertFalse(self.register("long enough!", ErrorCode.TIMEOUT))
        self.assertIn("eve is not registered yet", self.notices())
        self.assertTrue(self.talk.has_key("eve"))

    def test_taken(self) -> None:
        """The key that was made for a name that somebody else has is not kept."""
        taken = ErrorCode.NAME_IN_USE
        self.assertFalse(self.register("long enough!", taken, ErrorCode.BAD_KEY))
        self.assertIn("eve is registered at this server already", self.notices())
        self.assertFalse(self.talk.has_key("eve"))

    def test_taken_by_us(self) -> None:
        """Whoever made the account, and missed the answer, is in with that key."""
        self.assertTrue(self.register("long enough!", ErrorCode.NAME_IN_USE, None))

    def test_taken_by_whom(self) -> None:
        """While nobody says whose the name is, the key stays."""
        taken = ErrorCode.NAME_IN_USE
        self.assertFalse(self.register("long enough!", taken, ErrorCode.TIMEOUT))
        self.assertTrue(self.talk.has_key("eve"))

    def test_leaving(self) -> None:
        """When we have hung up, nothing of that server is known any more."""
        self.successResultOf(Deferred.fromCoroutine(self.talk.close()))
        self.assertEqual(self.client.asked[-1], ("close",))
        self.assertEqual(self.talk.picture.people, {})
        self.assertIsInstance(self.type("/list"), Failed)


class PatienceTests(TalkTestCase):
    """A script's command waits for the connection instead of failing."""

    patient = True

    def test_lost(self) -> None:
        """It goes out when somebody is logged in again and knows who is there."""
        self.talk.tell(told.ConnectionLost("u", "x"))
        done = self.begin("/tell bob hi")
        self.talk.tell(told.LoggedIn("alice", "srv-a", ""))
        self.assertEqual(self.client.asked, [("start",)])
        self.talk.tell(told.ChannelMembers(1, ()))
        self.assertEqual(self.client.asked[-1], ("tell", "bob", "hi"))
        self.clock.advance(0)
        self.assertTrue(self.successResultOf(done))

    def test_no_snapshot(self) -> None:
        """A server that does not say who is there is not waited for."""
        self.talk.tell(told.LoggedIn("alice", "srv-a", ""))
        done = self.begin("/tell bob hi")
        self.clock.advance(2)
        self.clock.advance(0)
        self.assertTrue(self.successResultOf(done))

    def test_gave_up(self) -> None:
        """When nobody tries any more, it fails."""
        self.talk.tell(told.ConnectionLost("u", "x"))
        done = self.begin("/tell bob hi")
        self.talk.tell(told.GaveUp("u", 10, "x"))
        self.clock.advance(0)
        self.assertFalse(self.successResultOf(done))

    def test_expect(self) -> None:
        """/expect fails when nothing comes, and /wait only lets time pass."""
        late, wait = self.begin("/expect text 3"), self.begin("/wait 3")
        self.clock.advance(3)
        self.clock.advance(0)
        self.assertFalse(self.successResultOf(late))
        self.assertTrue(self.successResultOf(wait))

    def test_idle(self) -> None:
        """The end of a script waits for files that are on their way to us."""
        self.talk.tell(told.FileOffered("f", "bob", "a", 1, False, True, False))
        idle = Deferred.fromCoroutine(self.talk.idle())
        self.assertNoResult(idle)
        self.talk.tell(told.FileFailed("f", "bob", "a", "x", True))
        self.successResultOf(idle)


class LogTests(SynchronousTestCase):
    """Bugs and warnings are kept for whoever looks into them."""

    def test_s22_private(self) -> None:
        """In a file for its owner alone, which is made when there is one to write."""
        path = Path(self.mktemp())
        log = LogFile(path)
        self.assertFalse(path.exists())
        for text in ("one", "two"):
            log({"log_format": text, "log_time": 0.0})
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(len(path.read_text("utf-8").splitlines()), 2)
