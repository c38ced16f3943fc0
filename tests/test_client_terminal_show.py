"""What does a person read of each event, and what does a program?"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, get_args

from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client import events as told
from socp_twisted.client.display import harmless
from socp_twisted.client.events import Contact
from socp_twisted.client.terminal import happenings as ours
from socp_twisted.client.terminal.commands import NotUnderstood
from socp_twisted.client.terminal.expecting import Expecting
from socp_twisted.client.terminal.happenings import Happening
from socp_twisted.client.terminal.lines import Line, Tone, local_time, size_text
from socp_twisted.client.terminal.picture import Picture, State
from socp_twisted.client.terminal.record import EVENTS, matches, record, to_json
from socp_twisted.client.terminal.screen import fragments
from socp_twisted.client.terminal.show import SHOWN, Show

KINDS: Final = {*get_args(told.Event), *get_args(ours.Happening)} - {told.Event}
EVIL: Final = "\x1b[2J\nbob: \u202eforged\r"
PRINT: Final = "1a2b " * 15 + "1a2b"


def contact(user_id: str = "bob", **changed: Any) -> Contact:
    """Return a user who is online."""
    fields: dict[str, Any] = {"key": "k", "fingerprint": PRINT, "server_id": "srv-b"}
    return Contact(user_id, **{**fields, **changed})


EXAMPLES: Final[list[Happening]] = [
    told.Connecting("ws://h:1", 2, 10),
    told.ConnectFailed("ws://h:1", 2, 10, EVIL),
    told.Connected("ws://h:1"),
    told.ConnectionLost("ws://h:1", EVIL),
    told.GaveUp("ws://h:1", 10, EVIL),
    told.EventsDropped(3),
    told.PinsNotSaved("no room"),
    told.LoggedIn("alice", EVIL, PRINT),
    told.LoginRefused(EVIL, EVIL),
    told.Registered("alice"),
    told.RegistrationRefused(EVIL, EVIL),
    told.ServerPinned("ws://h:1", EVIL, PRINT),
    told.ServerKeyChanged("ws://h:1", EVIL, PRINT, ""),
    told.ServerKeyChanged("ws://h:1", EVIL, PRINT, PRINT),
    told.ServerUnproven("ws://h:1"),
    told.UserPinned(EVIL, PRINT),
    told.UserKeyChanged(EVIL, PRINT, PRINT),
    told.UserKeyChanged("", PRINT, PRINT),
    told.UserJoined(contact(display_name=EVIL)),
    told.UserLeft(EVIL),
    told.UserList((contact(display_name=EVIL, server_id=EVIL, trusted=False),)),
    told.UserList(()),
    told.ListFailed(EVIL, EVIL),
    told.ChannelMembers(1, ("alice", EVIL)),
    told.TextReceived(EVIL, EVIL, 0),
    told.TextReceived("bob", EVIL, 10**17, public=True, held=True),
    told.Delivered("m", EVIL),
    told.Delivered("m", EVIL, confirmed=False),
    told.Queued("m", EVIL),
    told.NotDelivered("m", EVIL, EVIL, EVIL),
    told.FrameRefused(EVIL, EVIL, EVIL),
    told.ServerError(EVIL, EVIL),
    told.FileOffered("f", EVIL, EVIL, 1, True, False, True),
    told.FileProgress("f", EVIL, EVIL, 1, 2, True),
    told.FileReceived("f", EVIL, EVIL, 1, Path(f"/x/{EVIL}"), True),
    told.FileSent("f", EVIL, EVIL, 1, False),
    told.FileFailed("f", EVIL, EVIL, EVIL, True),
    told.FileFailed("f", EVIL, EVIL, EVIL, False),
    ours.Notice(EVIL),
    ours.Warned(EVIL),
    ours.Done("tell", 1, EVIL),
    ours.Failed("tell", EVIL, EVIL, 3),
    ours.Known(contact(display_name=EVIL, server_id=EVIL)),
    ours.Compared(EVIL, PRINT, PRINT, "", False),
    ours.ServerCompared("ws://h:1", PRINT, PRINT),
]


class EveryEventTests(SynchronousTestCase):
    """Each thing that can happen is shown, and is recorded, and does no harm."""

    def test_complete(self) -> None:
        """No kind of event lacks its lines, its name, or its example here."""
        self.assertEqual(set(SHOWN), KINDS)
        self.assertEqual(set(EVENTS), KINDS)
        self.assertEqual({type(event) for event in EXAMPLES}, KINDS)
        self.assertEqual(len(set(EVENTS.values())), len(EVENTS))

    def test_s19_harmless(self) -> None:
        """Whatever a stranger writes stays text, and on the line where it stands."""
        for event in EXAMPLES:
            for line in Show(Picture()).lines(event):
                self.assertEqual(str(line), harmless(str(line)), event)
                # A notice and the end of a command have lines of ours alone.
                if not isinstance(event, ours.Notice | ours.Done):
                    self.assertFalse(str(line).startswith("bob:"), event)

    def test_json(self) -> None:
        """One line of ASCII without controls, with every field of the event."""
        for event in EXAMPLES:
            line = to_json(event)
            self.assertTrue(line.isascii() and line.isprintable(), line)
            names = {"event", *type(event).__dataclass_fields__}
            self.assertEqual(set(json.loads(line)), names)

    def test_json_shape(self) -> None:
        """Names and fields, to the letter: programs depend on them."""
        self.assertEqual(
            record(told.TextReceived("bob", "it's\n", 5)),
            {
                "event": "text",
                "sender": "bob",
                "text": "it's\n",
                "ts": 5,
                "public": False,
                "held": False,
            },
        )
        joined = record(told.UserJoined(contact(extras=frozenset({"b", "a"}))))
        self.assertEqual(joined["contact"]["extras"], ["a", "b"])
        self.assertEqual(
            record(told.FileReceived("f", "bob", "n", 1, Path("/x/n"), True))["path"],
            "/x/n",
        )
        self.assertEqual(
            record(ours.Failed("tell", "USER_NOT_FOUND", "nobody", 3)),
            {
                "event": "failed",
                "command": "tell",
                "code": "USER_NOT_FOUND",
                "detail": "nobody",
                "line": 3,
                "told": False,
            },
        )

    def test_matches(self) -> None:
        """/expect compares fields as text, also those within another."""
        event = told.UserJoined(contact(local=True))
        for wanted, right in (
            ((), True),
            ((("contact.user_id", "bob"), ("contact.local", "true")), True),
            ((("contact.user_id", "eve"),), False),
            ((("nothing", ""),), False),
            ((("contact.user_id.x", "bob"),), False),
        ):
            self.assertEqual(matches(event, "user_joined", wanted), right, wanted)
        self.assertFalse(matches(event, "text", ()))


class ShowTests(SynchronousTestCase):
    """A person reads who said what, and what to do."""

    def setUp(self) -> None:
        """A screen whose clock stands still."""
        self.picture = Picture(user_id="alice")
        self.show = Show(self.picture, clock=lambda ms: "12:30")

    def read(self, *events: Happening) -> list[str]:
        """Return the lines of these events, one after the other."""
        lines: list[Line] = []
        for event in events:
            lines += self.show.lines(event)
            self.picture.absorb(event)
        return [str(line) for line in lines]

    def test_texts(self) -> None:
        """The sender, the time, and a mark at each further line."""
        self.assertEqual(
            self.read(
                told.TextReceived("bob", "hi\n12:31 eve: no\tx", 0),
                told.TextReceived("bob", "all", 0, public=True, held=True),
            ),
            [
                "12:30 bob: hi",
                "  | 12:31 eve: no   x",
                "12:30 bob to all (held for you): all",
            ],
        )

    def test_arrival(self) -> None:
        """Who was there before us shares a line; who comes later has one."""
        lines = self.read(
            told.LoggedIn("alice", "srv-a", PRINT),
            told.UserPinned("bob", PRINT),
            told.UserJoined(contact("bob")),
            told.UserJoined(contact("carol")),
            told.ChannelMembers(1, ()),
            told.UserPinned("dave", PRINT),
            told.UserJoined(contact("dave", display_name="Dave the \x1b First")),
            told.UserJoined(contact("bob", display_name="Bob B.")),
            told.UserLeft("bob"),
            told.UserJoined(contact("bob", display_name="Bob B.")),
        )
        self.assertEqual(
            lines,
            [
                "logged in as alice at srv-a",
                "online: bob, carol",
                "new to you: bob; /verify <user> compares keys",
                "dave (Dave the \\x1b First) is online; new to you: /verify dave "
                "compares keys",
                "bob has left",
                "bob (Bob B.) is online",
            ],
        )

    def test_changed_keys(self) -> None:
        """A changed key is loud, shows both, and says what to do."""
        changed = told.UserKeyChanged("bob", "aaaa", "bbbb")
        first, *rest = self.show.lines(changed)
        self.assertEqual(first.tone, Tone.LOUD)
        text = " ".join(map(str, rest))
        for part in ("aaaa", "bbbb", "/verify bob", "Nothing is sent"):
            self.assertIn(part, text)
        [first, *_] = self.show.lines(told.UserKeyChanged("alice", "aaaa", "bbbb"))
        self.assertEqual(first.tone, Tone.LOUD)
        server = told.ServerKeyChanged("ws://h:1", "srv-a", "aaaa", "bbbb")
        [first, *rest] = self.show.lines(server)
        self.assertEqual(first.tone, Tone.LOUD)
        self.assertIn("/server yes", " ".join(map(str, rest)))
        self.assertNotIn("\a", str(first))

    def test_files(self) -> None:
        """An offer has a number to answer with, until it is through."""
        offer = told.FileOffered("f1", "bob", "a.txt", 1_200_000, False, True, True)
        self.assertEqual(
            self.read(offer), ["bob offers a.txt (1.2 MB): /accept 1 or /decline 1"]
        )
        self.assertEqual(self.picture.find("", offers=True).file_id, "f1")
        self.assertEqual(self.picture.find("a.txt", offers=True).number, 1)
        self.read(told.FileOffered("f2", "eve", "a.txt", 1, False, True, True))
        for told_file in ("", "a.txt", "7"):
            self.assertRaises(NotUnderstood, self.picture.find, told_file, True)
        self.read(told.FileFailed("f1", "bob", "a.txt", "declined", True))
        self.assertEqual(self.picture.find("", offers=False).number, 2)

    def test_terse(self) -> None:
        """A person is not told that all is well; a program is."""
        delivered = told.Delivered("m", "bob")
        self.assertEqual(self.read(delivered), ["delivered to bob"])
        terse = Show(Picture(), terse=True)
        self.assertEqual(terse.lines(delivered), [])
        terse.lines(told.Queued("m", "bob"))
        self.assertEqual(terse.lines(told.Delivered("m", "carol")), [])
        [line] = terse.lines(delivered)  # what waited is news to a person, too
        self.assertEqual(line.text, "bob has the message now")
        self.assertEqual(terse.lines(delivered), [])

    def test_never_fetched(self) -> None:
        """What the server kept in vain is told, though the command is over."""
        failed = told.NotDelivered("m", "bob", "TIMEOUT", "nobody came")
        self.assertEqual(self.read(failed), [])  # the command says so
        self.read(told.Queued("m", "bob"))
        said = "bob did not get what the server kept for them: nobody came"
        self.assertEqual(self.read(failed), [said])
        self.assertEqual(self.read(failed), [])

    def test_told_before(self) -> None:
        """What an event has said is not said again."""
        self.assertEqual(self.read(ours.Failed("login", "X", "no", told=True)), [])
        self.assertEqual(self.read(ours.Failed("x", "", "no", 2)), ["line 2: no"])

    def test_sizes(self) -> None:
        """Bytes in words."""
        sizes = {0: "0 bytes", 1: "1 byte", 999: "999 bytes", 1000: "1.0 kB"}
        sizes |= {20_000_000: "20.0 MB", 10**13: "10000.0 GB"}
        self.assertEqual({size: size_text(size) for size in sizes}, sizes)

    def test_times(self) -> None:
        """Times that no calendar has are shown as such."""
        self.assertEqual(local_time(10**20), "??:??")
        self.assertRegex(local_time(0), r"\d{4}-\d\d-\d\d \d\d:\d\d")


class PictureTests(SynchronousTestCase):
    """The toolbar follows the events."""

    def test_states(self) -> None:
        """In, lost, tried again, given up."""
        picture = Picture()
        states = []
        for event in (
            told.Connecting("u", 1, 10),
            told.LoggedIn("alice", "srv-a", ""),
            told.ConnectionLost("u", ""),
            told.GaveUp("u", 10, ""),
        ):
            picture.absorb(event)
            states.append(picture.state)
        self.assertEqual(states, [State.TRYING, State.IN, State.TRYING, State.OUT])

    def test_bounded(self) -> None:
        """A stranger who offers files without end does not fill the memory."""
        picture = Picture()
        for number in range(3000):
            picture.transfer(str(number), "n", "eve", True, 1)
        self.assertLessEqual(len(picture.transfers), 1000)


class ScreenTests(SynchronousTestCase):
    """Lines that are too long for the screen are cut by us, not by the terminal."""

    def rows(self, line: Line, width: int) -> list[str]:
        """Return what stands on the screen."""
        text = "".join(text for _, text in fragments(line, width))
        return text.removesuffix("\n").split("\n")

    @given(
        st.text(st.characters(exclude_categories=["C"]), max_size=200),
        st.sampled_from(["", "12:30 bob: ", "x" * 50]),
        st.integers(20, 100),
    )
    def test_s19_margin(self, text: str, label: str, width: int) -> None:
        """No further row begins at the edge, and nothing of the text is missing."""
        first, *further = self.rows(Line(text, Tone.DIRECT, label), width)
        self.assertTrue(first.startswith(label))
        for row in further:
            self.assertTrue(row.startswith("  | "))
            self.assertLess(get_cwidth(row), width)
        shown = "".join([first[len(label) :], *(row[4:] for row in further)])
        self.assertEqual(shown.replace(" ", ""), text.replace(" ", ""))

    def test_wide(self) -> None:
        """Characters of two columns count as two."""
        first, *_ = self.rows(Line("\u6f22" * 30, Tone.DIRECT, "a: "), 40)
        self.assertEqual(get_cwidth(first), 39)


class ExpectingTests(SynchronousTestCase):
    """/expect finds what came before and what comes later, each event once."""

    def setUp(self) -> None:
        """Nothing has happened."""
        self.clock = Clock()
        self.expecting = Expecting(self.clock)

    def expect(self, name: str, *wanted: tuple[str, str]) -> Deferred[Any]:
        """Begin to wait."""
        return Deferred.fromCoroutine(self.expecting.expect(name, wanted, 5.0))

    def feed(self, texts: Iterable[str]) -> None:
        """Let messages arrive."""
        for text in texts:
            self.expecting.feed(told.TextReceived("bob", text, 0))

    def test_each_once(self) -> None:
        """Two messages that came together serve two lines of a script."""
        self.feed("ab")
        found = [self.successResultOf(self.expect("text")).text for _ in range(2)]
        self.assertEqual(found, ["a", "b"])
        waiting = self.expect("text", ("text", "d"))
        self.feed("cd")
        self.assertEqual(self.successResultOf(waiting).text, "d")
        self.assertEqual(self.successResultOf(self.expect("text")).text, "c")

    def test_late(self) -> None:
        """What does not come in time is nothing, and leaves no timer."""
        waiting = self.expect("text")
        self.clock.advance(4.9)
        self.assertNoResult(waiting)
        self.clock.advance(0.1)
        self.assertIsNone(self.successResultOf(waiting))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.feed("a")
