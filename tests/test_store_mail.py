"""Is a message on disk until it is answered, and no longer than it must?"""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from socp_twisted.store import mail
from socp_twisted.store.interface import Acquaintance, Message, State, Store
from socp_twisted.store.migrations import _scripts
from tests.inline_store import NOW, StoreTestCase, inline_store

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
MANY = 1_000


def message(name: str, **changed: Any) -> Message:
    """Return a message of alice's to bob, as it is handed to the store."""
    head = Message(name, "alice", "bob", "MSG_DIRECT", NOW, f"ref of {name}")
    whole = replace(head, payload={"ciphertext": "AAAA"}, accepted_at=NOW)
    return replace(whole, **changed)


class MailTestCase(StoreTestCase):
    """One open store."""

    def setUp(self) -> None:
        """Open a new database."""
        super().setUp()
        self.store: Store = self.opened()

    def assert_counted(self) -> None:
        """What the database has counted is what waits in it."""
        with closing(sqlite3.connect(self.path)) as other:
            counted = other.execute("SELECT * FROM waiting_counts ORDER BY sender")
            waiting = other.execute(
                "SELECT '', COUNT(*) FROM messages WHERE state = 'waiting' UNION ALL "
                "SELECT * FROM (SELECT sender, COUNT(*) FROM messages "
                "WHERE state = 'waiting' GROUP BY sender ORDER BY sender)"
            )
            self.assertEqual(counted.fetchall(), waiting.fetchall())

    def accept(self, name: str, **changed: Any) -> Message | None:
        """Hand the store a message, with plenty of room."""
        told = message(name, **changed)
        return self.wait(self.store.accept(told, MANY, MANY))

    def settle(self, name: str, state: State = State.DELIVERED, why: str = "") -> Any:
        """Answer a message."""
        return self.wait(self.store.settle(name, state, why, why))

    def names(self, recipient: str = "bob", after: int = 0, limit: int = 99) -> Any:
        """Return what waits for somebody."""
        waiting = self.wait(self.store.waiting(recipient, after, limit))
        return [one.msg_id for one in waiting]


class KeepingTests(MailTestCase):
    """What was accepted comes back as it was, in order, until it is answered."""

    def test_whole(self) -> None:
        """Everything that was told, and its place in the order."""
        kept = self.accept("one")
        self.assertEqual(kept, message("one", seq=1))
        self.assertEqual(self.wait(self.store.message("one")), kept)
        self.assertIsNone(self.wait(self.store.message("two")))

    def test_order(self) -> None:
        """In the order of acceptance, for each recipient, from anywhere on."""
        for name in ("c", "a", "b"):
            self.accept(name)
        self.accept("other", recipient="carol")
        self.assertEqual(self.names(), ["c", "a", "b"])
        self.assertEqual(self.names(after=1, limit=1), ["a"])
        self.assertEqual(self.names("dave"), [])
        self.assertEqual(sorted(self.wait(self.store.recipients())), ["bob", "carol"])

    def test_restart(self) -> None:
        """The next process finds it, and counts on."""
        self.accept("one")
        self.wait(self.store.close())
        self.store = inline_store(self.path)
        self.wait(self.store.open(NOW))
        self.assertEqual(self.accept("two"), message("two", seq=2))
        self.assertEqual(self.names(), ["one", "two"])
        self.wait(self.store.close())

    def test_answered(self) -> None:
        """Answered once, and its content is gone from the disk."""
        self.accept("one")
        done = self.settle("one", State.FAILED, "BAD_KEY")
        self.assertEqual(
            (done.state, done.code, done.payload), ("failed", "BAD_KEY", {})
        )
        self.assertIsNone(self.settle("one"))
        self.assertIsNone(self.settle("never"))
        self.assertEqual((self.names(), self.wait(self.store.recipients())), ([], []))
        with sqlite3.connect(self.path) as other:
            [[payload]] = other.execute("SELECT payload FROM messages")
        self.assertEqual(payload, "")


class GivingWayTests(MailTestCase):
    """Where there is no room, whoever has most lets go of the newest."""

    def test_most(self) -> None:
        """Of whoever has most, the newest first; what is answered counts no more."""
        for name in ("one", "two", "three", "four"):
            self.accept(name)
        self.accept("other", sender="carol")
        self.settle("four")
        self.assertEqual(self.giving_way("dave"), ["three", "two"])
        self.assertEqual(self.giving_way("carol"), ["three", "two"])
        self.assertEqual(self.giving_way("alice"), [])

    def test_as_many(self) -> None:
        """Nobody gives way to who has as many, or would have then; nor for nothing."""
        self.assertEqual(self.giving_way("alice"), [])
        self.accept("one")
        for sender in ("carol", "alice"):
            self.assertEqual(self.giving_way(sender), [])
        self.accept("two")
        self.assertEqual(self.giving_way("carol"), ["two", "one"])
        self.accept("other", sender="carol")
        self.assertEqual(self.giving_way("carol"), [])

    def giving_way(self, sender: str) -> list[str]:
        """Return what may give way to a message of this sender: at most two."""
        found = self.wait(self.store.giving_way(sender, 2))
        return [one.msg_id for one in found]


class AgainTests(MailTestCase):
    """The same message again is the same row, and is answered again."""

    def test_same(self) -> None:
        """Neither content nor place changes, whatever is told of them."""
        first = self.accept("one")
        again = self.accept("one", payload={}, accepted_at=NOW + 1, recipient="eve")
        self.assertEqual(again, first)
        self.assertEqual(self.names(), ["one"])

    def test_another_id(self) -> None:
        """The answer goes to the id that the sender used last; none is no other."""
        self.accept("one")
        for given, kept in (("new", "new"), ("", "new")):
            told = self.accept("one", msg_ref=given)
            assert told is not None
            self.assertEqual(told.msg_ref, kept)

    def test_told_again(self) -> None:
        """Who asks again has not heard: what they were told is forgotten."""
        self.accept("one")
        for state in (State.WAITING, State.DELIVERED):
            if state != State.WAITING:
                self.settle("one", state)
            self.wait(self.store.told("one", state))
            again = self.accept("one")
            assert again is not None
            self.assertEqual((again.state, again.told), (state, ""))

    def test_full(self) -> None:
        """Also where there is no room for another one."""
        self.accept("one")
        for limits in ((1, 9), (9, 1)):
            two = self.store.accept(message("two"), *limits)
            self.assertIsNone(self.wait(two), limits)
            one = self.store.accept(message("one"), *limits)
            self.assertIsNotNone(self.wait(one), limits)


class LimitTests(MailTestCase):
    """Only what waits counts: of one sender, and of all."""

    def test_sender(self) -> None:
        """One sender's are full, another's are not; an answer makes room."""
        self.accept("one")
        two, hers = message("two"), message("hers", sender="carol")
        self.assertIsNone(self.wait(self.store.accept(two, 1, 9)))
        self.assertIsNotNone(self.wait(self.store.accept(hers, 1, 9)))
        self.settle("one")
        self.assertIsNotNone(self.wait(self.store.accept(two, 1, 9)))

    def test_all(self) -> None:
        """Everybody's together are full, whoever asks."""
        self.accept("one")
        hers = message("hers", sender="carol")
        self.assertIsNone(self.wait(self.store.accept(hers, 9, 1)))

    def test_counted(self) -> None:
        """Each way in which a message comes to wait, and ceases to, is counted."""
        for name in ("one", "two", "three", "one"):
            self.accept(name)
        self.accept("hers", sender="carol")
        self.assert_counted()
        noted = message("noted", state=State.DELIVERED, sender="dave")
        self.accept("noted", state=State.DELIVERED, sender="dave")
        self.assert_counted()
        for _ in range(2):
            self.wait(self.store.put_back(noted))
            self.assert_counted()
        for name in ("one", "one", "hers"):
            self.settle(name)
            self.assert_counted()
        self.wait(self.store.expire(NOW + 1, 0, 0, MANY))
        self.assert_counted()
        self.accept("four")
        with closing(sqlite3.connect(self.path)) as other:
            other.execute("DELETE FROM messages WHERE sender = 'alice'")
            other.commit()
        self.assert_counted()
        self.assertIsNotNone(self.accept("five"))

    def test_crash(self) -> None:
        """What was not committed when a process ended was not counted either."""
        self.accept("one")
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            mail.settle(other, "one", State.DELIVERED, "", "", True)
            mail.accept(other, message("two", sender="carol"), MANY, MANY)
        self.assertEqual(self.names(), ["one"])
        self.assert_counted()

    def test_upgraded(self) -> None:
        """What waits in a database from before there were counts, counts."""
        first, *_ = _scripts()
        old = Path(self.mktemp())
        with closing(sqlite3.connect(old, isolation_level=None)) as other:
            other.executescript(f"{first}; PRAGMA user_version = 1")
            for name, sender in (("one", "alice"), ("two", "alice"), ("3", "carol")):
                mail._add(other, message(name, sender=sender), "{}")
            mail.settle(other, "two", State.FAILED, "TIMEOUT", "", False)
        self.path = old
        self.store = self.opened()
        self.assert_counted()
        for limits in ((1, 9), (9, 2)):
            self.assertIsNone(self.wait(self.store.accept(message("4"), *limits)))
        self.assertIsNotNone(self.wait(self.store.accept(message("4"), 2, 3)))


class TellingTests(MailTestCase):
    """A sender who was away is told later, once."""

    def test_untold(self) -> None:
        """What was answered meanwhile, in order, until they are told."""
        for name in ("one", "two", "three", "waits"):
            self.accept(name)
        self.accept("silent", msg_ref="")
        for name in ("two", "one", "three", "silent"):
            self.settle(name)
        self.wait(self.store.told("one", "queued"))
        self.wait(self.store.told("three", State.DELIVERED))
        untold = self.wait(self.store.untold("alice"))
        self.assertEqual([one.msg_id for one in untold], ["one", "two"])
        self.assertEqual(self.wait(self.store.untold("bob")), [])


class ExpiryTests(MailTestCase):
    """What waited too long has failed; what is long done is forgotten."""

    def expire(self, now: int, hold: int = DAY) -> list[str]:
        """Let it be later; return what is given up."""
        gone = self.store.expire(
            now - hold, now - 20 * MINUTE, now - 2 * hold - 20 * MINUTE, MANY
        )
        return [one.msg_id for one in self.wait(gone)]

    def test_given_up(self) -> None:
        """Once, in order, with a reason; the content goes, the answer stays."""
        self.accept("one")
        self.accept("two")
        self.accept("later", accepted_at=NOW + 1)
        self.assertEqual(self.expire(NOW + DAY), [])
        self.assertEqual(self.expire(NOW + DAY + 1), ["one", "two"])
        self.assertEqual(self.expire(NOW + DAY + 1), [])
        self.assertEqual(self.names(), ["later"])
        [one, _] = self.wait(self.store.untold("alice"))
        self.assertEqual((one.state, one.code), ("failed", "TIMEOUT"))
        self.assertEqual(one.detail, "nobody came for it in time")
        self.assertEqual(one.payload, {})

    def test_told(self) -> None:
        """What its sender knows is remembered as long as a copy would be taken."""
        self.accept("one")
        self.settle("one")
        self.wait(self.store.told("one", State.DELIVERED))
        self.expire(NOW + 20 * MINUTE)
        self.assertIsNotNone(self.wait(self.store.message("one")))
        self.expire(NOW + 20 * MINUTE + 1)
        self.assertIsNone(self.wait(self.store.message("one")))

    def test_untold(self) -> None:
        """An absent sender has as long to come back as a recipient had."""
        for hold in (MINUTE, DAY):
            self.accept("one")
            self.assertEqual(self.expire(NOW + hold + 1, hold), ["one"])
            self.expire(NOW + 2 * hold + 20 * MINUTE, hold)
            self.assertEqual(len(self.wait(self.store.untold("alice"))), 1)
            self.expire(NOW + 2 * hold + 20 * MINUTE + 1, hold)
            self.assertEqual(self.wait(self.store.untold("alice")), [])

    def test_unasked(self) -> None:
        """Nobody waits to be told of what had no id."""
        self.accept("one", msg_ref="")
        self.settle("one")
        self.expire(NOW + 20 * MINUTE + 1)
        self.assertIsNone(self.wait(self.store.message("one")))


class AcquaintanceTests(MailTestCase):
    """Who was ever seen is known, with the key of the last time."""

    def meet(self, user_id: str, key: str, now: int) -> Acquaintance:
        """See somebody."""
        seen = Acquaintance(user_id, key, "srv-b", now, now)
        return self.wait(self.store.meet(seen))

    def known(self, user_id: str) -> Acquaintance | None:
        """Return what the database has of somebody."""
        with closing(sqlite3.connect(self.path)) as other:
            return mail.acquaintance(other, user_id)

    def test_seen(self) -> None:
        """The first time stays, the rest is renewed; the answer is what was before."""
        self.assertIsNone(self.known("bob"))
        first = Acquaintance("bob", "old", "srv-b", NOW, NOW)
        self.assertEqual(self.meet("bob", "old", NOW), first)
        self.assertEqual(self.meet("bob", "new", NOW + 5), first)
        self.assertEqual(
            self.known("bob"),
            Acquaintance("bob", "new", "srv-b", NOW, NOW + 5),
        )

    def test_bounded(self) -> None:
        """Of many the latest are remembered."""
        for number in range(5):
            self.meet(f"user-{number}", "key", NOW + number)
        self.wait(self.store.expire(0, 0, 0, 2))
        known = [self.known(f"user-{n}") for n in range(5)]
        self.assertEqual([one is not None for one in known], [False] * 3 + [True] * 2)

    def test_proven(self) -> None:
        """Nor more keys than that whose logins were shown, the latest last."""
        for now, hashed in enumerate(("aa", "bb", "cc", "aa")):
            self.wait(self.store.prove(hashed, f"srv-{now}", NOW + now))
        shown = [("bb", "srv-1"), ("cc", "srv-2"), ("aa", "srv-3")]
        self.assertEqual(list(self.wait(self.store.proven_keys()).items()), shown)
        self.wait(self.store.expire(0, 0, 0, 2))
        self.assertEqual(list(self.wait(self.store.proven_keys()).items()), shown[1:])
        for hashed in ("dd", "ee"):
            self.wait(self.store.prove(hashed, "srv-3", NOW + 9))
        self.wait(self.store.expire(0, 0, 0, 2))
        kept = self.wait(self.store.proven_keys()).values()
        self.assertEqual(sorted(kept), ["srv-2", "srv-3"])
