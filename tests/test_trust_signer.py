"""How are signatures made without stopping the world?"""

import threading

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.trust.signatures import check
from socp_twisted.trust.signer import CACHED, ThreadedSigner
from tests.keyring import key_of
from tests.threads import ThreadReactor


class GatedKey:
    """A key that signs when the test lets it."""

    def __init__(self) -> None:
        self._key = key_of("srv-a")
        self._gate = threading.Semaphore(0)
        self._begun = threading.Semaphore(0)

    def sign(self, digest: bytes) -> bytes:
        """Wait for the test, and sign."""
        self._begun.release()
        if not self._gate.acquire(timeout=20):
            raise AssertionError("the test has forgotten this signature")
        return self._key.sign(digest)

    def let(self, count: int) -> None:
        """Let so many signatures be made."""
        self._gate.release(count)

    def wait(self, count: int) -> None:
        """Wait until so many more are begun."""
        for _ in range(count):
            if not self._begun.acquire(timeout=20):
                raise AssertionError("no thread signs")


class ThreadedTests(SynchronousTestCase):
    """The threaded signer gives each its signature, from the reactor's thread."""

    threads = 2

    def setUp(self) -> None:
        """Start two threads."""
        self.reactor = ThreadReactor()
        self.signer = ThreadedSigner(self.reactor, key_of("srv-a"), self.threads)  # type: ignore[arg-type]
        self.signer.start()
        self.addCleanup(self.signer.stop)
        self.given: list[tuple[str, str]] = []

    def sign(self, data: str) -> None:
        """Ask for a signature, and note what was signed and by which thread."""
        mine = threading.get_ident()

        def done(sig: str) -> None:
            self.assertEqual(threading.get_ident(), mine)
            self.given.append((data, sig))

        self.signer.sign(data.encode("ascii"), done)

    def finish(self) -> None:
        """Run the reactor until nothing is waited for."""
        while self.signer.waiting:
            self.reactor.turn()

    def test_signs(self) -> None:
        """Later, not before ``sign`` returns; on a thread, not here; and rightly."""
        self.sign("one")
        self.assertEqual((self.given, self.signer.waiting), ([], 1))
        self.finish()
        [(_, sig)] = self.given
        check(key_of("srv-a").public, b"one", sig)
        self.assertNotIn(threading.current_thread().name, self.reactor.threads)

    def test_many(self) -> None:
        """More than the threads can take at a time: each is signed, rightly, once."""
        names = [f"payload {n}" for n in range(12)]
        for name in names:
            self.sign(name)
        self.assertEqual(self.signer.waiting, 12)
        self.finish()
        self.assertEqual(sorted(name for name, _ in self.given), sorted(names))
        for name, sig in self.given:
            check(key_of("srv-a").public, name.encode("ascii"), sig)

    def test_coalesced(self) -> None:
        """The same data under way is signed once, and given to all, in order."""
        order: list[int] = []
        for n in range(5):
            self.signer.sign(b"same", lambda sig, n=n: order.append(n))  # type: ignore[misc]
        self.assertEqual(self.signer.waiting, 1)
        self.finish()
        self.assertEqual((order, self.signer.made), ([0, 1, 2, 3, 4], 1))

    def test_cached(self) -> None:
        """What was signed before is given at once, without a thread."""
        self.sign("one")
        self.finish()
        self.sign("one")
        self.assertEqual([name for name, _ in self.given], ["one", "one"])
        self.assertEqual((self.signer.made, self.signer.waiting), (1, 0))
        self.assertTrue(self.reactor.idle)

    def test_large_are_not_kept(self) -> None:
        """Large payloads are rarely the same twice, and are not kept."""
        for _ in range(2):
            self.sign("x" * 5000)
            self.finish()
        self.assertEqual(self.signer.made, 2)

    def test_isolated(self) -> None:
        """One whose recipient has left costs the others nothing; the log has it."""

        def gone(sig: str) -> None:
            raise RuntimeError("left")

        self.signer.sign(b"same", gone)
        self.signer.sign(b"same", lambda sig: self.given.append(("same", sig)))
        self.sign("next")
        self.finish()
        self.assertEqual(sorted(name for name, _ in self.given), ["next", "same"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_stop(self) -> None:
        """Stopped, it drops what waits, gives nothing more, and ends its threads."""
        before = threading.active_count()
        for n in range(10):
            self.sign(f"payload {n}")
        self.signer.stop()
        self.assertEqual(self.signer.waiting, 0)
        while not self.reactor.idle:
            self.reactor.turn()
        self.assertEqual(self.given, [])
        self.assertTrue(threading.active_count() <= before - self.threads)

    def test_stop_twice(self) -> None:
        """Stopping again, or asking afterwards, harms nobody."""
        self.signer.stop()
        self.signer.stop()
        self.sign("late")
        self.assertEqual(self.given, [])


class LaneTests(SynchronousTestCase):
    """Lanes take turns: a long queue in one delays no other."""

    def setUp(self) -> None:
        """Start one thread, which signs when it may."""
        self.reactor = ThreadReactor()
        self.key = GatedKey()
        self.signer = ThreadedSigner(self.reactor, self.key, 1)  # type: ignore[arg-type]
        self.signer.start()
        self.addCleanup(self.signer.stop)
        self.addCleanup(self.key.let, 100)
        self.order: list[str] = []

    def sign(self, name: str, lane: int) -> None:
        """Ask for a signature, and note when it is there."""
        data = name.encode("ascii")
        self.signer.sign(data, lambda _: self.order.append(name), lane)

    def finish(self) -> None:
        """Run the reactor until nothing is waited for."""
        self.key.let(self.signer.waiting)
        while self.signer.waiting:
            self.reactor.turn()

    def test_turns(self) -> None:
        """Who comes late with little is served among the first."""
        for number in range(8):
            self.sign(f"many {number}", 1)
        self.sign("few", 2)
        self.sign("other", 3)
        self.finish()
        self.assertEqual(self.order[:5], ["many 0", "few", "other", "many 1", "many 2"])

    def test_quiet(self) -> None:
        """Who was quiet comes before all those who were not, however many."""
        for number in range(3):
            for lane in range(1, 6):
                self.sign(f"many {lane} {number}", lane)
        self.key.let(7)
        self.key.wait(8)
        self.sign("quiet", 9)
        self.finish()
        self.assertEqual(self.order.index("quiet"), 8)

    def test_together(self) -> None:
        """While many wait, the reactor is woken once for several; else for each."""
        for number in range(24):
            self.sign(f"many {number}", number % 3)
        self.key.let(1)
        self.key.wait(2)
        self.assertTrue(self.reactor.idle)
        self.key.let(4)
        self.key.wait(4)
        self.reactor.turn()
        self.assertEqual(len(self.order), 5)
        self.finish()
        self.sign("last", 1)
        self.finish()
        self.assertEqual(self.order[-1], "last")
        self.assertTrue(self.reactor.idle)

    def test_told_at_once(self) -> None:
        """Who was quiet does not wait until there are several."""
        for number in range(24):
            self.sign(f"many {number}", 1)
        self.key.let(8)
        self.key.wait(9)
        while not self.reactor.idle:
            self.reactor.turn()
        self.sign("quiet", 2)
        self.key.let(2)
        self.key.wait(2)
        self.reactor.turn()
        self.assertEqual(self.order[-1], "quiet")
        self.finish()

    def test_forgotten(self) -> None:
        """Lanes that are gone leave nothing behind but a bounded note."""
        from socp_twisted.trust.signer import QUIET_LANES, _Job, _Lanes

        lanes, first, busy = _Lanes(), _Job(b"1", b"first"), _Job(b"2", b"busy")
        for lane in range(3 * QUIET_LANES):
            lanes.push(lane, first)
            self.assertEqual(lanes.pop()[0], first)
            lanes.push(0, busy)
            lanes.pop()
        self.assertLessEqual(len(lanes._over), QUIET_LANES)
        self.assertEqual((len(lanes._turns), bool(lanes)), (0, False))

    def test_in_order(self) -> None:
        """Within a lane the first is served first."""
        for number in range(4):
            for lane in (1, 2):
                self.sign(f"{lane}-{number}", lane)
        self.finish()
        for lane in (1, 2):
            mine = [name for name in self.order if name.startswith(f"{lane}-")]
            self.assertEqual(mine, [f"{lane}-{number}" for number in range(4)])

    def test_shared(self) -> None:
        """What two lanes wait for is signed once, and both get it."""
        self.sign("busy", 1)
        self.sign("busier", 1)
        self.sign("same", 1)
        self.sign("same", 2)
        self.finish()
        self.assertEqual(self.order[2:], ["same", "same"])
        self.assertEqual(self.signer.made, 3)


class CacheTests(SynchronousTestCase):
    """The cache keeps the latest, and no more than it may."""

    def test_bounded(self) -> None:
        """The oldest goes first; using one keeps it."""
        from socp_twisted.trust.signer import _Cache

        cache = _Cache(3)
        for n in range(3):
            cache.keep(b"%d" % n, b"data", f"sig {n}")
        cache.get(b"0")
        cache.keep(b"3", b"data", "sig 3")
        self.assertIsNone(cache.get(b"1"))
        self.assertEqual(cache.get(b"0"), "sig 0")
        self.assertEqual(cache.get(b"3"), "sig 3")
        self.assertTrue(CACHED <= 100_000)
