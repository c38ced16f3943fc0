"""How does a client come online, and stay there?"""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client import events as told
from socp_twisted.client.stream import EventStream, Waiters
from socp_twisted.errors import ConfigurationError, Refused
from tests.client_peer import ADDRESS, Server, fingerprint
from tests.client_room import Room
from tests.vector_files import public


class RetryTests(SynchronousTestCase):
    """A server is dialled ten times in all, 5 s apart, and then left alone."""

    def setUp(self) -> None:
        """A client that has begun to connect."""
        self.room = Room(self)
        self.started = self.room.run(self.room.client.start())

    def test_gives_up(self) -> None:
        """The tenth failure is the last; the caller and the stream hear of it."""
        for attempt in range(1, 11):
            self.assertEqual(self.room.attempts(), attempt)
            self.assertNoResult(self.started)
            self.room.refuse()
            self.room.reactor.advance(4.9)
            self.assertEqual(self.room.attempts(), attempt)
            self.room.reactor.advance(0.1)
        self.room.reactor.advance(100)
        self.assertEqual(self.room.attempts(), 10)
        why = self.failureResultOf(self.started, Refused).value
        self.assertIn("after 10 attempts", str(why))
        events = self.room.events()
        dials = [e.attempt for e in events if isinstance(e, told.Connecting)]
        fails = [e.attempt for e in events if isinstance(e, told.ConnectFailed)]
        self.assertEqual(dials, list(range(1, 11)))
        self.assertEqual(fails, dials)
        ends = [e.attempts for e in events if isinstance(e, told.GaveUp)]
        self.assertEqual(ends, [10])

    def test_starts_anew(self) -> None:
        """Who starts anew as soon as they are told waits for the new login."""
        begun: list[Any] = []

        async def watch() -> None:
            async for event in self.room.client.events():
                if isinstance(event, told.GaveUp):
                    begun.append(self.room.run(self.room.client.start()))

        self.room.run(watch())
        for _ in range(10):
            self.room.refuse()
            self.room.reactor.advance(5)
        self.failureResultOf(self.started, Refused)
        [again] = begun
        self.assertNoResult(again)
        self.room.open()
        self.successResultOf(again)

    def test_open_is_no_success(self) -> None:
        """A server that accepts and hangs up is still using up the attempts."""
        for _ in range(10):
            self.room.server.silent = {"USER_HELLO"}
            self.room.open().cut()
            self.room.reactor.advance(5)
        self.assertEqual(self.room.attempts(), 10)
        self.failureResultOf(self.started, Refused)

    def test_new_cycle(self) -> None:
        """A connection that was logged in and is lost begins a new cycle of ten."""
        for _ in range(4):
            self.room.refuse()
            self.room.reactor.advance(5)
        ear = self.room.open()
        self.successResultOf(self.started)
        self.room.events()
        ear.cut()
        self.room.reactor.advance(4.9)
        self.assertEqual(self.room.attempts(), 5)
        self.room.reactor.advance(0.1)
        for _ in range(10):
            self.room.refuse()
            self.room.reactor.advance(5)
        self.assertEqual(self.room.attempts(), 15)
        events = self.room.events()
        self.assertIsInstance(events[0], told.ConnectionLost)
        self.assertIsInstance(events[-1], told.GaveUp)
        dials = [e.attempt for e in events if isinstance(e, told.Connecting)]
        self.assertEqual(dials, list(range(1, 11)))

    def test_logs_in_again(self) -> None:
        """After a reconnection everything works as before, without being asked."""
        self.room.open().cut()
        self.room.reactor.advance(5)
        self.room.open()
        kinds = [type(event) for event in self.room.events()]
        self.assertEqual(kinds.count(told.LoggedIn), 2)
        self.assertEqual(kinds.count(told.ConnectionLost), 1)

    def test_start_again(self) -> None:
        """After giving up, the user may begin a new cycle."""
        for _ in range(10):
            self.room.refuse()
            self.room.reactor.advance(5)
        self.failureResultOf(self.started, Refused)
        again = self.room.run(self.room.client.start())
        self.room.open()
        self.successResultOf(again)

    def test_close_while_waiting(self) -> None:
        """Closing stops the attempts, and leaves nothing on the reactor."""
        self.room.refuse()
        closed = self.room.run(self.room.client.close())
        self.successResultOf(closed)
        self.failureResultOf(self.started, Refused)
        self.assertEqual(self.room.reactor.getDelayedCalls(), [])


class LoginTests(SynchronousTestCase):
    """Whoever cannot log in is told so at once."""

    def setUp(self) -> None:
        """A client that has begun to connect."""
        self.room = Room(self)
        self.started = self.room.run(self.room.client.start())

    def test_refused(self) -> None:
        """A refusal at the first login ends it; nobody dials again."""
        self.room.server.answers["USER_LOGIN"] = lambda user, fields: (
            self.room.server.error(user, fields, "BAD_KEY", "wrong user or password")
        )
        self.room.open()
        why = self.failureResultOf(self.started, Refused).value
        self.assertEqual(str(why), "wrong user or password")
        self.room.reactor.advance(100)
        self.assertEqual(self.room.attempts(), 1)
        ends = [e for e in self.room.events() if isinstance(e, told.GaveUp)]
        self.assertEqual(ends, [told.GaveUp(self.room.client.url, 1, str(why))])

    def test_refused_later(self) -> None:
        """At a reconnection, a refusal that may pass uses up an attempt."""
        ear = self.room.open()
        self.room.server.answers["USER_LOGIN"] = lambda user, fields: (
            self.room.server.error(user, fields, "LIMIT", "too many logins")
        )
        ear.cut()
        self.room.events()
        for _ in range(10):
            self.room.reactor.advance(5)
            self.room.open()
        self.room.reactor.advance(100)
        self.assertEqual(self.room.attempts(), 11)
        fails = [e for e in self.room.events() if isinstance(e, told.ConnectFailed)]
        self.assertEqual({e.reason for e in fails}, {"too many logins"})

    def test_server_changed(self) -> None:
        """Another key at the address ends it; accepted, the next start succeeds."""
        self.room.open()
        self.successResultOf(self.started)
        self.successResultOf(self.room.run(self.room.client.close()))
        self.room.server = Server("srv-b")
        self.room.client = self.room.make()
        started = self.room.run(self.room.client.start())
        self.room.open()
        self.failureResultOf(started, Refused)
        shown = self.room.run(self.room.client.server_fingerprints())
        _, seen = self.successResultOf(shown)
        self.successResultOf(self.room.run(self.room.client.trust_server(seen)))
        again = self.room.run(self.room.client.start())
        self.room.open()
        self.successResultOf(again)


class AddressTests(SynchronousTestCase):
    """A URL that cannot be used is one sentence."""

    def test_urls(self) -> None:
        """No scheme, no port, no host."""
        room = Room(self)
        for url in ("", "localhost:1", "http://x:1", "ws://x", "ws://:1"):
            with self.assertRaises(ConfigurationError):
                room.make(url)

    def test_pinned(self) -> None:
        """The key in a URL is pinned, and must agree with what is."""
        room = Room(self)
        room.make(f"{ADDRESS}#{public('srv-a').text}")
        pin = room.pins.servers.get(ADDRESS)
        assert pin is not None
        self.assertEqual(pin.fingerprint, fingerprint("srv-a"))
        with self.assertRaisesRegex(ConfigurationError, "not the one"):
            room.make(f"{ADDRESS}#{public('srv-b').text}")


class StreamTests(SynchronousTestCase):
    """Events come in order, and never without end."""

    def test_bounded(self) -> None:
        """Who reads too late is told how many are gone."""
        stream = EventStream(limit=2)
        for user_id in ("a", "b", "c"):
            stream.put(told.UserLeft(user_id))
        stream.end()
        seen: list[told.Event] = []

        async def read() -> None:
            async for event in stream:
                seen.append(event)

        self.successResultOf(Deferred.fromCoroutine(read()))
        self.assertEqual(
            seen, [told.EventsDropped(1), told.UserLeft("b"), told.UserLeft("c")]
        )

    def test_cancelled(self) -> None:
        """A reader, or a command, that was cancelled is not waited for."""
        stream, waiters = EventStream(), Waiters()
        reading = Deferred.fromCoroutine(stream.__anext__())
        waiting = waiters.expect("x")
        for one in (reading, waiting):
            one.cancel()
            self.failureResultOf(one)
        stream.put(told.UserLeft("a"))
        waiters.settle("x", None)
        again = Deferred.fromCoroutine(stream.__anext__())
        self.assertEqual(self.successResultOf(again), told.UserLeft("a"))
