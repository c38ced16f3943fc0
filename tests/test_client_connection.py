"""What does a program see of its client?"""

import ast
import inspect
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase

import socp_twisted.client
from socp_twisted.client import Client, Policy, connect, load_key
from socp_twisted.client import events as told
from socp_twisted.client.pins import Pins
from socp_twisted.client.worker import Inline, Thread
from socp_twisted.errors import Refused
from tests.client_peer import ADDRESS, NOW, fingerprint
from tests.client_room import Room
from tests.vector_files import private


class CommandTests(SynchronousTestCase):
    """Each command returns when it is done, or raises."""

    def setUp(self) -> None:
        """Alice over a link, bob beside it, both logged in."""
        self.room = Room(self)
        started = self.room.run(self.room.client.start())
        self.ear = self.room.open()
        self.successResultOf(started)
        self.bob = self.room.server.enter("bob", Path(self.mktemp()))
        self.client = self.room.client

    def result(self, what: Coroutine[Deferred[Any], Any, Any]) -> Any:
        """Return what a command returns."""
        done = self.room.run(what)
        self.ear.pump()
        return self.successResultOf(done)

    def refusal(self, what: Coroutine[Deferred[Any], Any, Any]) -> str:
        """Return why a command fails."""
        done = self.room.run(what)
        self.ear.pump()
        return str(self.failureResultOf(done, Refused).value)

    def test_tell(self) -> None:
        """Delivered, or a reason."""
        self.result(self.client.tell("bob", "hello"))
        self.assertEqual([e.text for e in self.bob.told(told.TextReceived)], ["hello"])
        self.assertIn("nobody", self.refusal(self.client.tell("carol", "hello")))
        self.room.server.leave(self.bob)
        self.assertIn("nobody", self.refusal(self.client.tell("bob", "hello")))

    def test_all_and_list(self) -> None:
        """Everybody, and who that is."""
        self.assertEqual(self.result(self.client.all("hello")), {})
        [one] = self.result(self.client.list())
        self.assertEqual(one.user_id, "bob")
        self.assertEqual(self.result(self.client.whois("bob")), one)

    def test_verify(self) -> None:
        """Both fingerprints, of users and of the server."""
        shown = self.result(self.client.fingerprints("bob"))
        expected = (fingerprint("alice"), fingerprint("bob"), fingerprint("bob"))
        self.assertEqual(shown, expected)
        self.result(self.client.trust("bob", shown[2]))
        self.assertTrue(self.result(self.client.whois("bob")).verified)
        server = self.result(self.client.server_fingerprints())
        self.assertEqual(server, (fingerprint("srv-a"), fingerprint("srv-a")))

    def test_files(self) -> None:
        """Sent when the other side has said so, received when it has its name."""
        path = Path(self.mktemp())
        path.write_bytes(b"content")
        sending = self.room.run(self.client.send_file("bob", path))
        self.ear.pump()
        [offer] = self.bob.told(told.FileOffered)
        self.assertNoResult(sending)
        self.bob.session.accept_file(offer.file_id, NOW)
        self.ear.pump()
        self.assertEqual(self.successResultOf(sending), {})
        self.bob.session.send_file("alice", path, NOW)
        self.ear.pump()
        [offer] = [e for e in self.room.events() if isinstance(e, told.FileOffered)]
        arrived = self.result(self.client.accept_file(offer.file_id))
        self.assertEqual(arrived.read_bytes(), b"content")

    def test_configure_files(self) -> None:
        """From now on every offer is taken, into another folder."""
        path, folder = Path(self.mktemp()), Path(self.mktemp())
        path.write_bytes(b"content")
        folder.mkdir()
        self.result(self.client.configure_files(Policy.ALWAYS, folder))
        self.bob.session.send_file("alice", path, NOW)
        self.ear.pump()
        [got] = [e for e in self.room.events() if isinstance(e, told.FileReceived)]
        self.assertEqual(got.path.parent, folder.absolute())
        self.assertEqual(got.path.read_bytes(), b"content")

    def test_declined_file(self) -> None:
        """A refusal of the other side is an exception."""
        path = Path(self.mktemp())
        path.write_bytes(b"content")
        sending = self.room.run(self.client.send_file("bob", path))
        self.ear.pump()
        [offer] = self.bob.told(told.FileOffered)
        self.bob.session.stop_file(offer.file_id, "no", NOW)
        self.ear.pump()
        self.failureResultOf(sending, Refused)

    def test_register(self) -> None:
        """While logged in, the account is made or updated."""
        self.result(self.client.register("a passphrase"))
        self.assertIn("alice", self.room.server.accounts)

    def test_lost(self) -> None:
        """What the connection took with it goes on the next one, to the letter."""
        self.room.server.silent = {"MSG_DIRECT"}
        done = self.room.run(self.client.tell("bob", "hello"))
        self.ear.pump()
        [first] = self.ear.user.frames("MSG_DIRECT")
        self.ear.cut()
        self.assertIn("not logged in", self.refusal(self.client.list()))
        self.assertNoResult(done)
        self.room.server.silent.clear()
        self.room.reactor.advance(5)
        ear = self.room.open()
        self.assertEqual(ear.user.frames("MSG_DIRECT"), [first])
        self.successResultOf(done)
        self.assertEqual([e.text for e in self.bob.told(told.TextReceived)], ["hello"])

    def test_lost_for_good(self) -> None:
        """What waits for a connection that nobody will make is reported."""
        self.room.server.silent = {"MSG_DIRECT"}
        done = self.room.run(self.client.tell("bob", "hello"))
        self.ear.pump()
        self.ear.cut()
        for _ in range(10):
            self.assertNoResult(done)
            self.room.reactor.advance(5)
            self.room.refuse()
        self.assertIn("gave up", str(self.failureResultOf(done, Refused).value))

    def test_lost_while_closing(self) -> None:
        """So is what was on its way when the user leaves."""
        self.room.server.silent = {"MSG_DIRECT"}
        done = self.room.run(self.client.tell("bob", "hello"))
        self.ear.pump()
        self.result(self.client.close())
        self.failureResultOf(done, Refused)

    def test_no_answer(self) -> None:
        """The clock ends what nobody answers, though it was asked three times."""
        self.room.server.silent = {"MSG_DIRECT"}
        done = self.room.run(self.client.tell("bob", "hello"))
        self.ear.pump()
        for _ in range(50):
            self.room.reactor.advance(1)
        self.assertIn("no answer", str(self.failureResultOf(done, Refused).value))

    def test_close(self) -> None:
        """The events end, the link is closed with 1000, commands are refused."""
        self.result(self.client.close())
        self.result(self.client.close())
        self.assertEqual(self.ear.code, 1000)
        kinds = [type(event) for event in self.room.events()]
        self.assertIn(told.ConnectionLost, kinds)
        ended = self.room.run(self.client.events().__anext__())
        self.failureResultOf(ended, StopAsyncIteration)
        self.assertEqual(self.refusal(self.client.tell("bob", "x")), "closed")
        self.assertEqual(self.room.reactor.getDelayedCalls(), [])

    def test_bug(self) -> None:
        """An exception of ours ends the connection with 4000, and is in the log."""

        class Broken(Inline):
            def do(self, work: Any) -> Any:
                return fail(ZeroDivisionError())

        whole, self.client._worker = self.client._worker, Broken()
        self.ear.link.onMessage(b"{}", False)
        self.client._worker = whole
        self.assertEqual(self.ear.code, 4000)
        self.assertNotEqual(self.flushLoggedErrors(ZeroDivisionError), [])

    def test_flood(self) -> None:
        """A link whose frames wait for the worker is not read meanwhile."""
        waiting: list[Any] = []

        class Slow(Inline):
            def do(self, work: Any) -> Any:
                done: Deferred[Any] = Deferred()
                waiting.append(lambda: done.callback(work()))
                return done

        self.client._worker = Slow()
        transport = StringTransport()
        self.ear.link.transport = transport
        for _ in range(64):
            self.ear.link.onMessage(b"{}", False)
        self.assertEqual(transport.producerState, "paused")
        for work in waiting:
            work()
        self.assertEqual(transport.producerState, "producing")


class ExampleTests(SynchronousTestCase):
    """The echo bot of the package's docstring works as it stands."""

    def test_echo(self) -> None:
        """It compiles, is a dozen lines, and answers what it is told."""
        text = inspect.getdoc(socp_twisted.client)
        assert text is not None
        start, end = text.index("    from pathlib"), text.index("The rooms")
        source = inspect.cleandoc(text[start:end])
        ast.parse(source)
        names: dict[str, Any] = {"__name__": "bot"}
        exec(compile(source, "bot", "exec"), names)
        self.assertIs(names["connect"], connect)
        self.assertIs(names["load_key"], load_key)
        room = Room(self)

        async def room_client(*_: Any, **options: Any) -> Client:
            self.assertEqual(options["user_id"], "alice")
            await room.client.start()
            return room.client

        names["connect"] = room_client
        names["load_key"] = lambda path, passphrase: private("alice")
        bot = names["main"](room.reactor, ADDRESS, "alice", "echo.key", "x")
        ear = room.open()
        bob = room.server.enter("bob", Path(self.mktemp()))
        bob.session.tell("alice", "hello", NOW)
        ear.pump()
        self.assertEqual([e.text for e in bob.told(told.TextReceived)], ["hello"])
        self.successResultOf(room.run(room.client.close()))
        self.successResultOf(bot)


class WorkerTests(TestCase):
    """The session's work is done elsewhere, in order, and comes back."""

    async def test_order(self) -> None:
        """What was asked for first is done first, off the reactor's thread."""
        import threading

        from twisted.internet import reactor

        worker = Thread(reactor)
        self.addCleanup(worker.stop)
        done: list[int] = []
        later = [worker.do(lambda n=n: done.append(n)) for n in range(20)]  # type: ignore[misc]
        where = await worker.do(threading.current_thread)
        for one in later:
            await one
        self.assertEqual(done, list(range(20)))
        self.assertIsNot(where, threading.current_thread())

    async def test_raises(self) -> None:
        """What the work raises is raised here."""
        from twisted.internet import reactor

        worker = Thread(reactor)
        self.addCleanup(worker.stop)
        with self.assertRaises(ValueError):
            await worker.do(lambda: json.loads("{"))


class ChannelTests(SynchronousTestCase):
    """What was said to everybody is acknowledged soon, and before we leave."""

    def setUp(self) -> None:
        """Alice over a link to a server that fans out; bob says something to all."""
        self.room = Room(self)
        self.home = Path(self.mktemp())
        self.room.pins = Pins(self.home)
        self.room.client = self.room.make()
        self.room.server.caps = ["acks", "channel"]
        started = self.room.run(self.room.client.start())
        self.ear = self.room.open()
        self.successResultOf(started)
        self.bob = self.room.server.enter("bob", Path(self.mktemp()))
        self.bob.session.all("hello", int(self.room.reactor.seconds() * 1000))
        self.room.server.pump()
        texts = [
            one for one in self.room.events() if isinstance(one, told.TextReceived)
        ]
        self.assertEqual([one.text for one in texts], ["hello"])
        [message] = self.bob.frames("MSG_PUBLIC_CHANNEL")
        self.receipt = {"msg_refs": [message["id"]], "refused": []}

    def receipts(self) -> list[dict[str, Any]]:
        """Return the receipts that alice's client has sent."""
        sent = [json.loads(frame) for frame in self.ear.frames]
        return [one["payload"] for one in sent if one["type"] == "ACK"]

    def test_written_down(self) -> None:
        """What was shown is on disk at once: a killed client does not show it again."""
        self.assertGreater((self.home / "alice.shown").stat().st_size, 0)

    def test_soon(self) -> None:
        """Within a quarter of a second, though the clock ticks once a second."""
        self.room.reactor.advance(0.2)
        self.assertEqual(self.receipts(), [])
        self.room.reactor.advance(0.1)
        self.assertEqual(self.receipts(), [self.receipt])

    def test_before_leaving(self) -> None:
        """Who has read it and quits at once has said so."""
        self.successResultOf(self.room.run(self.room.client.close()))
        self.assertEqual(self.receipts(), [self.receipt])
