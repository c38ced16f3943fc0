"""Can whoever sends fast have somebody put out who reads slowly, or a server?"""

from typing import Any

from socp_twisted.wire.encoding import b64u_encode
from socp_twisted.wire.limits import Limits
from tests.keyring import pub_of
from tests.support import Site
from tests.talkers import Talker, TalkingCase
from tests.users import Person

QUEUED = 400_000
CIPHERTEXT = b64u_encode(bytes(512 * 20))
COUNT = 60
"""Frames of 14 kB: twice what may be queued."""


class SlowReaderTests(TalkingCase):
    """Carol reads nothing for a moment, and somebody floods her."""

    def site(self, name: str, port: int, *others: Site) -> Site:
        """Start a node where little may be queued."""
        return self.start(name, port, others, limits=Limits(queued=QUEUED))

    def flooder(self, site: Site) -> Person:
        """Let a client in that says anything."""
        flooder = self.person(site)
        flooder.enter("mallory", "srv-c", server=site.id)
        flooder.forget()
        return flooder

    def share(self, flooder: Person, number: int) -> None:
        """Share a key with carol which nobody can use."""
        wrap = {"member": "carol", "wrapped_public_channel_key": CIPHERTEXT}
        share: dict[str, Any] = {"shares": [wrap], "key_id": f"k{number}"}
        share |= {"creator_pub": pub_of("srv-c"), "content_sig": "AAAA"}
        flooder.say("PUBLIC_CHANNEL_KEY_SHARE", "mallory", "public", share)

    def chunk(self, flooder: Person, number: int) -> None:
        """Send carol a chunk of a file that she never accepted."""
        flooder.chunk("carol", index=number, ciphertext=CIPHERTEXT)

    def assert_stays(self, carol: Talker, text: str = "still here") -> None:
        """Carol reads on, and can be written to."""
        self.talk(2)
        self.assertIsNone(carol.end.closed)
        bob = self.enter(carol.site, "bob")
        bob.session.tell("carol", text, self.now())
        self.talk(1)
        self.assertEqual(carol.texts(), [text])

    def test_shares(self) -> None:
        """Keys of the channel, for which nobody gives receipts."""
        a = self.site("srv-a", 8765)
        carol = self.enter(a, "carol", key="alice")
        flooder = self.flooder(a)
        carol.end.transport.reading = False
        for number in range(COUNT):
            self.share(flooder, number)
        self.network.pass_time(3)
        carol.end.transport.reading = True
        self.assert_stays(carol)

    def send_chunks(self, carol: Talker, flooder: Person, count: int) -> list[str]:
        """Send a file to carol, who reads nothing; return what its sender is told."""
        flooder.start_file("carol", size=10_000_000)
        carol.end.transport.reading = False
        flooder.forget()
        for number in range(count):
            self.chunk(flooder, number)
        self.network.pass_time(3)
        return [what for _, what in flooder.outcomes()]

    def test_chunks(self) -> None:
        """Chunks of a file: the sender is told that it is too much, and why."""
        a = self.site("srv-a", 8765)
        carol = self.enter(a, "carol", key="alice")
        flooder = self.flooder(a)
        told = self.send_chunks(carol, flooder, COUNT)
        self.assertEqual(set(told), {"delivered", "LIMIT"})
        flooder.end_file("carol", aborted=True)  # short: it ends the transfer
        carol.end.transport.reading = True
        self.network.pass_time(3)
        outcomes = dict(flooder.outcomes())
        self.assertEqual(len(outcomes), COUNT + 1)
        self.assertEqual(outcomes["end"], "delivered")
        self.assert_stays(carol)

    def test_chunks_from_elsewhere(self) -> None:
        """Another server says the same, in an ERROR that names the frame."""
        a = self.site("srv-a", 8765)
        b = self.site("srv-b", 8766, a)
        self.network.pass_time(2)
        carol = self.enter(b, "carol", key="alice")
        flooder = self.flooder(a)
        told = self.send_chunks(carol, flooder, COUNT)
        self.assertEqual(set(told), {"delivered", "LIMIT"})
        carol.end.transport.reading = True
        self.assert_stays(carol)
        self.assertEqual(len(dict(flooder.outcomes())), COUNT)

    def test_pace(self) -> None:
        """A chunk is acknowledged when its reader has come so far, here and there."""
        a = self.site("srv-a", 8765)
        b = self.site("srv-b", 8766, a)
        self.network.pass_time(2)
        flooder = self.flooder(a)
        for site in (a, b):
            carol = self.enter(site, "carol", key="alice")
            told = self.send_chunks(carol, flooder, 12)
            self.assertLess(len(told), 12)
            self.assertEqual(set(told), {"delivered"})
            carol.end.transport.reading = True
            self.network.pass_time(1)
            told = [what for _, what in flooder.outcomes()]
            self.assertEqual(told, ["delivered"] * 12)
            flooder.end_file("carol", aborted=True)
            carol.leave()
            self.network.pass_time(1)

    def test_slow_server(self) -> None:
        """A link between servers that is slower than one user stays up."""
        a = self.site("srv-a", 8765)
        b = self.site("srv-b", 8766, a)
        self.network.pass_time(2)
        carol = self.enter(b, "carol", key="alice")
        flooder = self.flooder(a)
        flooder.start_file("carol", size=10_000_000)
        flooder.forget()
        [wire] = self.network.between(a.port, b.port)
        wire.client.reading = wire.server.reading = False
        for number in range(COUNT):
            self.chunk(flooder, number)
        self.assertIn("LIMIT", dict(flooder.outcomes()).values())
        self.network.pass_time(3)
        wire.client.reading = wire.server.reading = True
        self.network.pass_time(3)
        self.assert_mesh(a, b)
        self.assert_stays(carol)
        self.assertFalse(a.node.mesh.counters["max-queued"])
