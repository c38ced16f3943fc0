"""Two people and three servers, all of them real processes: ``socp chat``."""

import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor as global_reactor
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from socp_twisted.client.terminal.keyring import keep_key, key_file
from tests.processes import NodeProcess, ProcessTestCase, together
from tests.sockets import Watch
from tests.vector_files import private

reactor: Any = global_reactor

FAST: Final = ("--retry-delay", "1")
PASSPHRASE: Final = "correct horse"
LEAVING: Final = 2.0
"""Seconds in which a client is gone, whatever it was doing."""

BUSY: Final = 1.0
"""Seconds that a busy machine may add to that."""

_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()=>].?|\r")

Happened = dict[str, Any]


class ChatProcess(ProcessProtocol):
    """One ``socp chat``: what is typed, what it says, and how it ends."""

    def __init__(self, user: str, home: Path, watch: Watch) -> None:
        """Prepare a client; ``start`` starts it."""
        self.user = user
        self.home = home
        self._watch = watch
        self.output = ""
        self.events: list[Happened] = []
        self.code: int | None = None
        """The exit code, or the signal that ended it as a negative number."""
        self._bytes = self._rest = b""
        self._lines = 0

    def start(self, url: str, *options: str, pty: bool = False, **more: str) -> None:
        """Start it, with JSON if it is not at a terminal."""
        path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
        run = "import sys; from socp_twisted.command import main; sys.exit(main())"
        told = {"SOCP_PASSPHRASE": PASSPHRASE, "TERM": "xterm", "COLUMNS": "80"}
        told |= {"PROMPT_TOOLKIT_NO_CPR": "1", "PYTHONPATH": path, **more}
        command = [sys.executable, "-P", "-c", run, "chat", url, "--user", self.user]
        command += ["--home", str(self.home), "--downloads", str(self.home / "got")]
        command += options if pty else ("--json", *options)
        environ = {
            name: value for name, value in {**os.environ, **told}.items() if value
        }
        reactor.spawnProcess(self, sys.executable, command, environ, usePTY=pty)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.code is None

    def type(self, text: str) -> None:
        """Type, without pressing Enter."""
        transport: IProcessTransport = self.transport  # type: ignore[assignment]
        transport.write(text.encode("utf-8"))

    def signal(self, name: str) -> None:
        """Send a signal to this process, and to no other."""
        transport: IProcessTransport = self.transport  # type: ignore[assignment]
        transport.signalProcess(name)

    def end_input(self) -> None:
        """There are no further commands."""
        transport: IProcessTransport = self.transport  # type: ignore[assignment]
        transport.closeStdin()

    def screen(self) -> str:
        """Return what was painted so far, without colours and movements."""
        return _ESCAPES.sub("", self._bytes.decode("utf-8", "replace"))

    def count(self, event: str, **fields: Any) -> int:
        """Return how many events have this name and these fields."""
        return sum(
            one["event"] == event and fields.items() <= one.items()
            for one in self.events
        )

    def texts(self, *, public: bool = False) -> list[str]:
        """Return the messages that have come, in order."""
        return [
            one["text"]
            for one in self.events
            if one["event"] == "text" and one["public"] is public
        ]

    def story(self) -> str:
        """Return what happened, for whoever reads of a failed test."""
        told = "\n".join(str(one)[:300] for one in self.events[-30:])
        return f"--- {self.user} {self.code}\n{told}\n{self.screen()[-2000:]}"

    async def do(self, line: str, seconds: float = 15) -> Happened:
        """Type a command and wait until it has ended; return how."""
        self._lines += 1
        number = self._lines
        self.type(line + "\n")

        def ended() -> Happened | None:
            for one in self.events:
                if one["event"] in ("done", "failed") and one["line"] == number:
                    return one
            return None

        return await self._watch.until(ended, seconds, self.story)

    async def well(self, line: str, seconds: float = 15) -> None:
        """Type a command that ends well."""
        ended = await self.do(line, seconds)
        assert ended["event"] == "done", (line[:80], ended)

    # -- what Twisted calls ------------------------------------------------------------

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Take what it says."""
        self._bytes += data
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"{"):
                self.events.append(json.loads(line))
        self._watch.changed()

    def outReceived(self, data: bytes) -> None:
        """Take what stands on a terminal."""
        self.childDataReceived(1, data)

    def processEnded(self, reason: Failure) -> None:
        """Take the end."""
        value: Any = reason.value
        self.code = -value.signal if value.signal is not None else value.exitCode
        self._watch.changed()


class ChatTestCase(ProcessTestCase):
    """Tests with clients; whatever they start ends with them."""

    def chat(self, user: str, *, key: str = "") -> ChatProcess:
        """Return a client that is not started yet, with a key that is not new."""
        home = Path(self.mktemp()).absolute()
        if key:
            keep_key(home, user, private(key), PASSPHRASE)
        chat = ChatProcess(user, home, self.watch)
        self.addCleanup(self._end_chat, chat)
        return chat

    async def _end_chat(self, chat: ChatProcess) -> None:
        if chat.running and chat.transport is not None:
            chat.signal("KILL")
            await self.watch.until(lambda: not chat.running, 5)

    async def gone(self, chat: ChatProcess, seconds: float = LEAVING + BUSY) -> None:
        """Wait until a client has ended."""
        await self.watch.until(lambda: not chat.running, seconds, chat.story)

    async def both_in(self, one: ChatProcess, other: ChatProcess) -> None:
        """Wait until two users see each other."""
        await together(
            one.well(f"/expect user_joined contact.user_id={other.user} 20", 25),
            other.well(f"/expect user_joined contact.user_id={one.user} 20", 25),
        )


class TwoUsersTests(ChatTestCase):
    """Two users at two of three servers talk, through restarts of all three."""

    async def test_everything(self) -> None:
        """Register, list, texts of all sizes, files, and again after a restart."""
        nodes = self.nodes("abc", *FAST)
        await self.start(*nodes)
        await self.meshed(nodes, 10)
        alice, bob = self.chat("alice", key="alice"), self.chat("bob", key="bob")
        alice.start(nodes[0].url, "--accept-files", "always", "--display-name", "Al")
        bob.start(nodes[1].url, "--accept-files", "always")
        await together(alice.well("/register", 20), bob.well("/register", 20))
        await self.both_in(alice, bob)
        await alice.well("/list")
        [listed] = [one for one in alice.events if one["event"] == "user_list"]
        self.assertEqual([one["user_id"] for one in listed["users"]], ["bob"])
        self.assertEqual(listed["users"][0]["server_id"], "srv-b")

        await self._texts(alice, bob)
        await self._files(alice, bob)
        await self._restart(nodes, alice, bob)
        for chat, code in ((alice, 1), (bob, 0)):  # she tried what cannot be done
            chat.end_input()
            await self.gone(chat)
            self.assertEqual(chat.code, code, chat.story())

    async def _texts(self, alice: ChatProcess, bob: ChatProcess) -> None:
        """From one byte to 64 KiB, both ways, in order."""
        texts = [
            "x",
            "y" * 446,
            "z" * 447,
            'it\'s "40\u20ac" \U0001f468\u200d\U0001f469',
        ]
        texts.append("w" * 65_536)
        for one, other in ((alice, bob), (bob, alice)):
            for text in texts:
                await one.well(f"/tell {other.user} {text}")
            await other.well(f"/expect text text={texts[-1]}")
            self.assertEqual(other.texts(), texts)
        ended = await alice.do("/tell bob " + "w" * 65_537)
        self.assertEqual(ended["event"], "failed")
        self.assertIn("65,537 bytes", ended["detail"])
        await together(alice.well("/all to all"), bob.well("/all it's"))
        for chat, text in ((alice, "it's"), (bob, "to all")):
            await chat.well("/expect text public=true 5")
            self.assertEqual(chat.texts(public=True), [text])
        self.assertEqual((await alice.do("/tell nobody x"))["code"], "USER_NOT_FOUND")

    async def _files(self, alice: ChatProcess, bob: ChatProcess) -> None:
        """Nothing, a little and a lot, whole at the other end."""
        for one, other, sizes in (
            (alice, bob, (0, 1_000_000, 20_000_000)),
            (bob, alice, (0, 1_000_000, 20_000_000)),
        ):
            for size in sizes:
                path = one.home / f"it's {size} bytes.bin"
                path.write_bytes(os.urandom(size))
                await one.well(f"/file {other.user} {path}", 30)
                await other.well("/expect file_received 10")
                got = other.home / "got" / path.name
                self.assertEqual(
                    hashlib.sha256(got.read_bytes()).digest(),
                    hashlib.sha256(path.read_bytes()).digest(),
                )
        ended = await alice.do("/file bob /nowhere at all")
        self.assertIn("cannot read /nowhere at all", ended["detail"])

    async def _restart(
        self, nodes: list[NodeProcess], alice: ChatProcess, bob: ChatProcess
    ) -> None:
        """The servers go and come back: the clients are back by themselves."""
        await self.kill(*nodes)
        await self.start(*nodes)
        for chat in (alice, bob):
            lost, back = chat.count("connection_lost"), chat.count("logged_in")
            self.assertGreaterEqual(lost, 1)
            self.assertGreaterEqual(back, 1)
        await self.both_in(alice, bob)
        await together(alice.well("/tell bob again"), bob.well("/tell alice again"))
        await together(alice.well("/expect text text=again"), bob.well("/list"))
        for chat in (alice, bob):
            self.assertEqual(chat.count("logged_in"), 2, chat.story())


class ScriptTests(ChatTestCase):
    """A script is told how it went, by its exit code too, and never has to wait."""

    async def test_codes(self) -> None:
        """What fails is 1, no login is 3, a signal is 128 and its number."""
        node = self.node("srv-a")
        node.configure([])
        await self.start(node)
        await together(
            self._fails(node), self._not_in(node), self._terminated(node, "TERM", 143)
        )

    async def _fails(self, node: NodeProcess) -> None:
        """Each bad line is told, the next one is carried out, the code is 1."""
        chat = self.chat("alice", key="alice")
        chat.start(node.url)
        for line in ("/nothing", "it's", "/tell bob hi", "/accept", "/file bob /"):
            self.assertEqual((await chat.do(line))["event"], "failed", line)
        await chat.well("/list")
        await chat.well("/whois alice")
        await chat.well("/help")
        chat.end_input()
        await self.gone(chat)
        self.assertEqual(chat.code, 1)

    async def _not_in(self, node: NodeProcess) -> None:
        """A wrong passphrase: nothing is carried out."""
        chat = self.chat("bob", key="bob")
        chat.start(node.url, SOCP_PASSPHRASE="wrong")
        chat.type("/list\n")
        await self.gone(chat, 10)
        self.assertEqual(chat.code, 3)
        [failed] = [one for one in chat.events if one["event"] == "failed"]
        self.assertIn("wrong passphrase", failed["detail"])

    async def _terminated(self, node: NodeProcess, name: str, code: int) -> None:
        """SIGTERM ends it at once, while it waits for its input."""
        chat = self.chat("carol", key="bob")
        chat.start(node.url)
        await self.watch.until(lambda: chat.count("logged_in"), 10, chat.story)
        chat.signal(name)
        await self.gone(chat)
        self.assertEqual(chat.code, code)


class TerminalTests(ChatTestCase):
    """A person at a terminal is not disturbed, and can leave at any time."""

    async def test_newcomer(self) -> None:
        """Name and passphrase, and in; a message while typing; out within 2 s."""
        node = self.node("srv-a")
        node.configure([])
        await self.start(node)
        dora, bob = self.chat("dora"), self.chat("bob", key="bob")
        dora.start(node.url, pty=True, SOCP_PASSPHRASE="")
        for question in ("passphrase for dora:", "the same once more:"):
            await self.sees_text(dora, question)
            dora.type("my secret\r")
        await self.sees_text(dora, "logged in as dora at srv-a", 30)
        dora.type("/tell bob half a line")
        await self.sees_text(dora, "half a line")
        bob.start(node.url)
        await bob.well("/register", 20)
        await bob.well("/tell dora it's \x1b[31mme")
        await self.sees_text(dora, "bob: it's \\x1b[31mme")
        # The line that is being typed stands below what has arrived.
        after = "bob: it's .*> /tell bob half a line"
        await self.watch.until(
            lambda: re.search(after, dora.screen(), re.DOTALL), 5, dora.story
        )
        dora.type(", and its end\r")
        await bob.well("/expect text sender=dora 10")
        self.assertEqual(bob.texts(), ["half a line, and its end"])
        dora.type("/tell bob never mind\x03/list\r")  # as in a shell: the line is gone
        await self.sees_text(dora, "bob  here")
        dora.type("\x03")
        await self.gone(dora)
        self.assertEqual(bob.texts(), ["half a line, and its end"])
        self.assertEqual(dora.code, 0, dora.story())
        self.assertTrue(key_file(dora.home, "dora").exists())
        self.assertNotIn("secret", dora.screen())
        for path in (dora.home / "history", key_file(dora.home, "dora")):
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            self.assertNotIn("secret", path.read_text())

    async def test_r17_leaving(self) -> None:
        """By Ctrl-D, /quit or a signal, also when the server does not answer."""
        node = self.node("srv-a")
        node.configure([])
        await self.start(node)
        chats = [self.chat(f"user-{number}", key="alice") for number in range(4)]
        for chat in chats:
            chat.start(node.url, pty=True)
        for chat in chats:
            await self.sees_text(chat, f"logged in as {chat.user}", 20)
        chats[3].type("/list\r")
        await self.sees_text(chats[3], "user-1  here")
        node.signal("STOP")
        self.addCleanup(node.signal, "CONT")
        first, second, third, fourth = chats
        first.type("\x04")
        second.type("/quit\r")
        third.signal("TERM")
        fourth.type("/tell user-1 never answered\r")
        await self.sees_text(fourth, "user-3 to user-1>")
        fourth.type("\x03")
        for chat in chats:
            await self.gone(chat)
            self.assertEqual(chat.code, 0, chat.story())
            self.assertFalse((chat.home / "chat.log").exists(), "a bug was logged")
        self.assertIn("has not answered for the last message", fourth.screen())

    async def sees_text(
        self, chat: ChatProcess, text: str, seconds: float = 10
    ) -> None:
        """Wait until a text stands on the screen."""
        await self.watch.until(lambda: text in chat.screen(), seconds, chat.story)
