"""What becomes of a command?  The client is one that does as the test says."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client import events as told
from socp_twisted.client.events import Contact
from socp_twisted.client.terminal import entrance, keyring
from socp_twisted.client.terminal.commands import LogIn, Register
from socp_twisted.client.terminal.completing import Completing
from socp_twisted.client.terminal.entrance import Settings
from socp_twisted.client.terminal.happenings import (
    Compared,
    Done,
    Failed,
    Happening,
    Notice,
    Warned,
)
from socp_twisted.client.terminal.picture import Picture
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
        """Answer every command, or refuse it."""

        async def command(*arguments: Any) -> Any:
            self.asked.append((name, *arguments))
            if self.refusal is not None:
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
    refusal: Refused | None = None

    def setUp(self) -> None:
        """Log in as alice, whose client is a stand-in; bob is there."""
        self.clock = Clock()
        self.told: list[Happening] = []
        self.clients: list[StandIn] = []
        self.talk = Talk(
            self.clock,
            Settings("ws://127.0.0.1:1", Path(self.mktemp()), "alice"),
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
        self.client.refusal = self.refusal
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
        self.assertIn("it is being tried", failed.detail)

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

    def test_unreached(self) -> None:
        """With a key, and no server that took it: what is missing is said."""

        def at_once(work: Any, *arguments: Any) -> Deferred[Any]:
            return succeed(private("bob") if work is keyring.make_key else None)

        self.patch(entrance, "deferToThread", at_once)
        self.refusal = Refused(ErrorCode.TIMEOUT, "nobody answers")
        self.assertIsInstance(self.type("/register eve pw"), Failed)
        notices = [one.text for one in self.told if isinstance(one, Notice)]
        self.assertIn("eve is not registered yet", notices[-1])

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


class CompletionTests(SynchronousTestCase):
    """Tab completes what may stand there."""

    def setUp(self) -> None:
        """Bob and Bert are there, and a file is offered."""
        picture = Picture()
        for user in ("bob", "bert", "carol"):
            picture.absorb(told.UserJoined(Contact(user, "k", "f")))
        picture.absorb(told.FileOffered("f1", "bob", "a", 1, False, True, True))
        self.completing = Completing(picture, lambda: ["alice"])

    def complete(self, line: str) -> list[str]:
        """Return what the line may become."""
        document = Document(line)
        found = self.completing.get_completions(document, CompleteEvent())
        return [line[: len(line) + one.start_position] + one.text for one in found]

    def test_words(self) -> None:
        """Commands, users, numbers of files."""
        self.assertEqual(self.complete("/li"), ["/list "])
        self.assertEqual(self.complete("/tell b"), ["/tell bert ", "/tell bob "])
        self.assertEqual(self.complete("/file p"), ["/file public "])
        self.assertEqual(self.complete("/accept "), ["/accept 1 "])
        self.assertEqual(self.complete("/login a"), ["/login alice "])
        for line in ("li", "//li", "/tell bob b", "/nothing "):
            self.assertEqual(self.complete(line), [], line)

    def test_paths(self) -> None:
        """Also those with a blank."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "it's a file").touch()
        line = f"/file bob {folder}/it's a"
        self.assertEqual(self.complete(line), [f"{line} file"])
