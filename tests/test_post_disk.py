"""Is a message on disk before anything else happens to it, whatever happens then?"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.overlay.effects import Effect, Send, SendAll
from socp_twisted.post.flow import Flow, Way
from socp_twisted.store.interface import Message, StoreError
from tests.posting import PostTestCase, put_disk
from tests.users import SlowStore

DELIVERIES = ("USER_DELIVER", "SERVER_DELIVER")


class FullDisk:
    """A store that refuses some of what it is asked, until there is room again."""

    def __init__(self, store: Any, *names: str) -> None:
        self._store = store
        self.refused = set(names)

    def __getattr__(self, name: str) -> Any:
        """Do what the store does, or raise as it would."""
        operation = getattr(self._store, name)

        async def perhaps(*args: Any, **kwargs: Any) -> Any:
            if name in self.refused:
                raise StoreError("the database cannot grow: the disk is full")
            return await operation(*args, **kwargs)

        return perhaps


class DiskTests(PostTestCase):
    """What is accepted is on disk before anything leaves."""

    def setUp(self) -> None:
        """One node, with alice and bob on it."""
        super().setUp()
        self.a = self.start()
        self.alice, self.bob = self.users(self.a, "alice", "bob")
        assert self.a.node.post is not None
        self.post = self.a.node.post

    def test_first_the_disk(self) -> None:
        """While the disk is busy nothing is sent; when it is done, all is."""
        slow = SlowStore(self.stores["srv-a"])
        put_disk(self.post, slow)
        self.alice.tell("bob", id="m")
        self.assertEqual((self.bob.received, self.alice.received), ([], []))
        for _ in range(4):
            slow.turn()
            self.network.settle()
        self.assertEqual(self.bob.heard(), ["USER_DELIVER"])
        self.assertEqual(self.alice.outcomes(), [("m", "delivered")])

    def test_together(self) -> None:
        """Messages of one connection wait for the disk together, and leave in order."""
        slow = SlowStore(self.stores["srv-a"])
        put_disk(self.post, slow)
        sent = [self.alice.tell("bob", f"{n}", id=f"m{n}") for n in range(3)]
        self.alice.say("LIST_REQUEST", "alice", "*", {}, id="list")
        self.alice.tell("nobody", reader="bob", id="m3")
        self.alice.say_raw({"type": "FILE_END"})
        self.assertEqual((self.bob.received, self.alice.received), ([], []))
        slow.turn()
        self.network.settle()
        self.assertEqual(self.given(self.bob), sent)
        for _ in range(2):
            slow.turn()
            self.network.settle()
        heard = ["ACK", "ACK", "ACK", "LIST_RESPONSE", "ERROR", "ERROR"]
        self.assertEqual(self.alice.heard(), heard)

    def test_receipt_waits_for_nothing(self) -> None:
        """A receipt is no answer to what its giver has said: it goes at once."""
        bob = self.reader(self.a, "bob")
        self.alice.tell("bob", id="m")
        slow = SlowStore(self.stores["srv-a"])
        put_disk(self.post, slow)
        bob.tell("alice", id="n")
        self.give(bob, *bob.of("USER_DELIVER"))
        self.assertEqual(len(slow._waiting), 2)
        slow.turn()
        self.network.settle()
        self.assertEqual(self.alice.outcomes(), [("m", "delivered")])

    def test_on_disk_when_sent(self) -> None:
        """Whenever a delivery leaves, its message is in the database."""
        bob = self.reader(self.a, "bob")
        found: list[int] = []
        perform = self.post._perform

        def watch(effects: Iterable[Effect]) -> None:
            effects = list(effects)
            for one in effects:
                if isinstance(one, (Send, SendAll)) and one.type in DELIVERIES:
                    found.append(self.waits(self.a))
            perform(effects)

        self.post._perform = watch
        self.post._sending._perform = self.post._overdue._perform = watch
        self.bob.leave()
        self.alice.tell("bob", id="m")
        self.assertEqual(found, [1])
        self.give(bob, *bob.of("USER_DELIVER"))
        self.assertEqual(self.waits(self.a), 0)

    def test_full(self) -> None:
        """A disk that refuses: one sentence, nothing sent, and later all is well."""
        full = FullDisk(self.stores["srv-a"], "accept")
        put_disk(self.post, full)
        frame = self.frame(self.alice, "bob")
        self.send(self.alice, frame, "m1")
        code, detail = self.alice.fault()
        self.assertEqual(code, "LIMIT")
        self.assertEqual(detail, "the message cannot be kept: the disk refuses")
        self.assertEqual((self.bob.received, self.waits(self.a)), ([], 0))
        full.refused.clear()
        self.send(self.alice, frame, "m2")
        self.assertEqual(self.alice.outcomes()[-1], ("m2", "delivered"))
        self.assertEqual(self.bob.heard(), ["USER_DELIVER"])

    def test_full_after_accepting(self) -> None:
        """What was accepted waits for room, and is then delivered once."""
        self.bob.leave()
        self.alice.tell("bob", id="m")
        full = FullDisk(self.stores["srv-a"], "settle", "told")
        put_disk(self.post, full)
        [bob] = self.users(self.a, "bob")
        self.assertEqual(self.alice.outcomes(), [("m", "queued")])
        self.assertEqual((bob.received, self.waits(self.a)), ([], 1))
        full.refused.clear()
        self.network.pass_time(40, 5)
        self.assertEqual(self.alice.outcomes()[-1], ("m", "delivered"))
        self.assertEqual(bob.heard(), ["USER_DELIVER"])
        self.assertIsNone(self.alice.close)

    def test_bug_ahead(self) -> None:
        """A bug while it is signed ahead loses no message that is noted by then."""

        def broken(message: Message) -> Iterator[Effect]:
            raise RuntimeError("a bug")

        self.post._deliveries = broken  # type: ignore[method-assign]
        self.alice.tell("bob", id="m")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.bob.heard(), ["USER_DELIVER"])
        self.assertEqual(self.alice.outcomes(), [("m", "delivered")])

    def test_many_at_once(self) -> None:
        """However many wait for one recipient's turn, all of them get it."""
        self.bob.leave()
        devices = [self.person(self.a, "alice") for _ in range(5)]
        frame = self.frame(self.alice, "bob")
        self.send(self.alice, frame)
        slow = SlowStore(self.stores["srv-a"])
        put_disk(self.post, slow)
        bob = self.person(self.a, "bob")
        for _ in range(2):  # bob is met and told; then what waits is read
            slow.turn()
        [reading], slow._waiting = slow._waiting, []
        for number in range(1, 151):
            self.send(devices[number % 5], replace(frame, ts=frame.ts + number))
        for accepting in slow._waiting:
            accepting.callback(None)
        put_disk(self.post, self.stores["srv-a"])
        reading.callback(None)
        self.network.settle()
        self.assertEqual(self.given(bob), [frame.ts + n for n in range(151)])
        self.send(self.alice, replace(frame, ts=frame.ts + 151), "last")
        self.assertEqual(self.alice.outcomes()[-1], ("last", "delivered"))

    def test_left_meanwhile(self) -> None:
        """Who leaves while the disk is busy gets it when they are back, once."""
        slow = SlowStore(self.stores["srv-a"])
        put_disk(self.post, slow)
        self.alice.tell("bob", id="m")
        self.bob.leave()
        for _ in range(4):
            slow.turn()
            self.network.settle()
        self.assertEqual(self.alice.outcomes(), [("m", "queued")])
        self.assertEqual(self.waits(self.a), 1)
        put_disk(self.post, self.stores["srv-a"])
        self.users(self.a, "bob")
        self.network.pass_time(2)
        self.assertEqual(self.alice.outcomes()[-1], ("m", "delivered"))
        self.assertEqual(self.waits(self.a), 0)

    def test_sender_left_meanwhile(self) -> None:
        """Who leaves while the disk is busy is told when they are back, once."""
        slow = SlowStore(self.stores["srv-a"])
        put_disk(self.post, slow)
        self.alice.tell("bob", id="m")
        self.alice.wire.cut()
        for _ in range(4):
            slow.turn()
            self.network.settle()
        self.assertEqual(self.bob.of("USER_DELIVER")[0].payload["sender"], "alice")
        put_disk(self.post, self.stores["srv-a"])
        for expected in ([("m", "delivered")], []):
            alice = self.person(self.a, "alice")
            self.assertEqual(alice.outcomes(), expected)
            alice.leave()

    def test_slow(self) -> None:
        """While a look at what is late takes long, no second one begins."""
        bob = self.reader(self.a, "bob")
        self.bob.leave()
        self.alice.tell("bob", id="m")
        self.network.pass_time(20)
        slow = SlowStore(self.stores["srv-a"])
        put_disk(self.post, slow)
        self.network.pass_time(30)
        for _ in range(20):
            slow.turn()
            self.network.settle()
        self.assertEqual(len(bob.of("USER_DELIVER")), 2)


class OverdueTests(PostTestCase):
    """What is late is looked for in everybody's flow, however slow the disk is."""

    def setUp(self) -> None:
        """One node; alice writes to carol and bob, who give receipts."""
        super().setUp()
        self.a = self.start()
        [self.alice] = self.users(self.a, "alice")
        self.carol, self.bob = (self.reader(self.a, one) for one in ("carol", "bob"))
        assert self.a.node.post is not None
        self.post = self.a.node.post

    def test_begun_meanwhile(self) -> None:
        """A flow that ended while the disk was busy does not end the next one."""
        self.alice.tell("carol")
        self.network.pass_time(8)
        self.alice.tell("bob", "one")
        slow = SlowStore(self.stores["srv-a"])
        put_disk(self.post, slow)
        self.network.pass_time(4)  # carol's is late, and the disk is asked for it
        self.assertEqual(len(slow._waiting), 1)
        self.give(self.bob, *self.bob.of("USER_DELIVER"))
        slow._waiting.pop().callback(None)
        self.alice.tell("bob", "two")
        slow._waiting.pop().callback(None)
        for _ in range(3):
            slow.turn()
            self.network.settle()
        put_disk(self.post, self.stores["srv-a"])
        self.give(self.bob, self.bob.of("USER_DELIVER")[-1])
        self.assertEqual((len(self.given(self.bob)), self.waits(self.a)), (2, 0))

    def test_refused(self) -> None:
        """What a disk that refuses kept from being sent again goes when it does not."""
        self.alice.tell("carol")
        self.network.pass_time(12)
        full = FullDisk(self.stores["srv-a"], "message")
        put_disk(self.post, full)
        self.network.pass_time(32, 1)
        self.assertNotEqual(self.flushLoggedErrors(StoreError), [])
        self.assertEqual(len(self.given(self.carol)), 1)
        full.refused.clear()
        self.network.pass_time(2, 1)
        self.assertEqual(len(self.given(self.carol)), 2)

    def test_bug(self) -> None:
        """One whose turn fails, at each look, has nobody else wait."""

        class Broken(Flow):
            def late(self, now: float) -> list[str]:
                raise RuntimeError("a bug")

        self.post._flows["carol"] = Broken()
        self.alice.tell("bob", id="m")
        self.network.pass_time(12)
        self.assertNotEqual(self.flushLoggedErrors(RuntimeError), [])
        self.assertEqual(self.alice.outcomes(), [("m", "queued")])

    def test_unknown_type(self) -> None:
        """A row that we cannot send keeps none behind it from being sent."""
        self.bob.leave()
        sent = [self.alice.tell("bob", "one")]
        store = self.stores["srv-a"]
        [kept] = self.done(store.waiting("bob", 0, 1))
        unknown = replace(kept, msg_id="x", type="MSG_OF_TOMORROW")
        self.done(store.accept(unknown, 10, 10))
        sent += [self.alice.tell("bob", "two"), self.alice.tell("bob", "three")]
        bob = self.person(self.a, "bob")
        self.network.pass_time(3)
        self.assertNotEqual(self.flushLoggedErrors(KeyError), [])
        self.assertEqual(self.given(bob), sent)
        self.assertEqual(self.waits(self.a), 1)


class FlowTests(SynchronousTestCase):
    """What is under way to one recipient changes while the disk is at work."""

    def test_set_aside(self) -> None:
        """Late is what is still under way; what was answered meanwhile is not."""
        flow = Flow({"m": Way("srv-b", 10.0, "alice")})
        self.assertEqual(flow.late(10.0), ["m"])
        self.assertTrue(flow.set_aside("m", 10.0))
        self.assertEqual((flow.late(10.0), flow.due(50.0)), ([], ["m"]))
        flow.settle("m")
        self.assertFalse(flow.set_aside("m", 11.0))
        self.assertEqual(flow.due(99.0), [])
