"""What can somebody who is not meant to read or speak, read or say?"""

import base64
from collections.abc import Iterator
from typing import Any

from twisted.logger import capturedLogs

from socp_twisted.client.keystore import Account
from socp_twisted.trust.signatures import verify
from socp_twisted.wire.encoding import b64u_encode
from socp_twisted.wire.vocabulary import MSG_DIRECT, MSG_PUBLIC_CHANNEL
from tests.keyring import key_of, pub_of, signature
from tests.support import Site
from tests.talkers import TalkingCase
from tests.users import Person, UserTestCase

PASSPHRASES = {"alice": "vermilion otter 17 quay", "bob": "sleepless cardamom drift"}
SECRETS = {
    "direct": "the meeting moved to the boathouse",
    "public": "everybody gets a lantern tonight",
    "long": "a long tale of seven hundred herons; " * 20,
    "file": "column one, column two: embargoed figures\n" * 40,
    "held": "when you are back, burn this note",
}


class ImpostorTests(UserTestCase):
    """S1, S2: nobody speaks in another's name, on any kind of connection."""

    def setUp(self) -> None:
        """Alice, registered, and bob on one node."""
        super().setUp()
        self.a = self.start()
        self.account(self.a, "alice")
        self.alice, self.bob = self.users(self.a, "alice", "bob")

    def pose(self, eve: Person, key: str) -> None:
        """Say something as alice, in every place that names her, under eve's key."""
        eve.user_id, eve.key = "alice", key
        for kind in (MSG_DIRECT, MSG_PUBLIC_CHANNEL):
            public = kind == MSG_PUBLIC_CHANNEL
            for sender_key in (pub_of(key), pub_of("alice")):
                ts, payload = eve.message("bob", public=public, sender="alice")
                payload |= {"to": "bob", "sender_pub": sender_key}
                for sender in ("alice", "bob", ""):
                    eve.say(kind, sender, "bob", payload, ts=ts, key=key)

    def silent(self) -> None:
        """Neither of the two was told anything."""
        self.assertEqual(self.bob.received, [])
        self.assertEqual(self.alice.received, [])

    def test_s01_without_login(self) -> None:
        """A connection that said nothing else."""
        eve = self.person(self.a)
        self.pose(eve, "srv-g")
        self.assertEqual(eve.errors(), ["NOT_ALLOWED"] * 12)
        self.silent()

    def test_s01_after_hello(self) -> None:
        """A connection that claims her id, with her public key, and nothing proved."""
        eve = self.person(self.a)
        eve.user_id = "alice"
        hello = {"pubkey": pub_of("alice"), "enc_pubkey": pub_of("srv-g")}
        eve.say("USER_HELLO", "alice", "*", hello, key="srv-g")
        eve.say("USER_HELLO", "alice", "*", {"pubkey": pub_of("alice")}, key="srv-g")
        eve.forget()
        self.pose(eve, "srv-g")
        self.assertEqual(set(eve.errors()), {"NOT_ALLOWED"})
        self.silent()

    def test_s01_as_another_user(self) -> None:
        """A connection that is logged in as somebody else."""
        eve = self.person(self.a, "carol")
        for person in (self.alice, self.bob):
            person.forget()
        eve.forget()
        self.pose(eve, "srv-d")
        self.assertEqual(set(eve.errors()), {"NOT_ALLOWED"})
        self.silent()

    def test_captured(self) -> None:
        """What alice said, said again by somebody else, is refused."""
        ts, payload = self.alice.message("bob")
        eve = self.person(self.a, "carol")
        for person in (self.alice, self.bob):
            person.forget()
        for sender in ("alice", "carol", ""):
            eve.say(MSG_DIRECT, sender, "bob", payload, ts=ts)
        self.assertEqual(eve.errors(), ["NOT_ALLOWED", "BAD_KEY", "BAD_KEY"])
        self.silent()

    def test_redirected(self) -> None:
        """S24: whom the words were for is signed, and the signature travels along."""
        carol = self.person(self.a, "carol")
        carol.forget()
        ts, payload = self.alice.message("bob")
        self.alice.say(MSG_DIRECT, "alice", "carol", payload, ts=ts)
        told_carol = carol.only("USER_DELIVER").payload
        # The signature names bob, so carol's client refuses it; the server added none.
        self.assertEqual(told_carol["content_sig"], payload["content_sig"])


class RecordingCase(TalkingCase):
    """Nodes whose every frame is kept for the test to search."""

    def start(self, *args: Any, **options: Any) -> Site:
        """Start a node that keeps frames."""
        site = super().start(*args, **options)
        site.node.observers.append(lambda _, frame: self.frames.append(frame))
        return site


class SecrecyTests(RecordingCase):
    """S8: servers and wires carry everything, and can read nothing of it."""

    def converse(self) -> None:
        """Two people register and talk; one leaves, is written to, and returns."""
        a = self.start("srv-a", 8765)
        b = self.start("srv-b", 8766, [a])
        self.network.pass_time(2)
        alice, bob = (
            self.talker(site, user_id, passphrase=PASSPHRASES[user_id])
            for site, user_id in ((a, "alice"), (b, "bob"))
        )
        for one in (alice, bob):
            one.session.login(self.now(), register=True)
        self.talk(1)
        alice.session.tell("bob", SECRETS["direct"], self.now())
        bob.session.tell("alice", SECRETS["long"], self.now())
        bob.session.all(SECRETS["public"], self.now())
        self.talk(1)
        path = alice.downloads / "figures.csv"
        path.write_text(SECRETS["file"])
        alice.session.send_file("bob", path, self.now())
        self.talk(3)
        self.assertEqual(bob.texts(), [SECRETS["direct"]])
        self.assertEqual(
            sorted(alice.texts()), sorted([SECRETS["long"], SECRETS["public"]])
        )
        [file] = [one for one in bob.downloads.iterdir() if one.suffix == ".csv"]
        self.assertEqual(file.read_text(), SECRETS["file"])
        bob.leave()
        self.network.pass_time(1)
        alice.session.tell("bob", SECRETS["held"], self.now())
        self.talk(1)
        self.searched_databases = [self.database(name) for name in ("srv-a", "srv-b")]
        # The key comes from the server.
        bob = self.talker(b, "bob", key=None, passphrase=PASSPHRASES["bob"])
        bob.session.login(self.now())
        self.talk(3)
        self.assertEqual(bob.texts(), [SECRETS["held"]])

    def database(self, name: str) -> bytes:
        """Return all that a node has on its disk."""
        path = self.path(name)
        files = [path, path.with_name(f"{path.name}-wal")]
        return b"".join(one.read_bytes() for one in files if one.exists())

    def forbidden(self) -> Iterator[tuple[str, bytes]]:
        """Return what nobody but the two may ever hold, as it could be written."""
        for name, text in SECRETS.items():
            yield from _spellings(name, text[:30].encode())
        for user_id, passphrase in PASSPHRASES.items():
            yield from _spellings(f"{user_id}'s passphrase", passphrase.encode())
            numbers = key_of(user_id).material.private_numbers()
            for part, number in (("d", numbers.d), ("p", numbers.p), ("q", numbers.q)):
                raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
                # From the middle: where it begins within base64 is not known.
                yield from _spellings(f"{user_id}'s {part}", raw[64:96])
            for line in key_of(user_id).to_pem().splitlines()[1:4]:
                yield f"{user_id}'s key file", line

    def test_nobody_reads(self) -> None:
        """No frame and no disk has a text, a file, a passphrase or a private key."""
        with capturedLogs() as events:
            self.converse()
        databases = [
            *self.searched_databases,
            *(self.database(name) for name in ("srv-a", "srv-b")),
        ]
        wires = b"\n".join(self.frames)
        self.assertIn(b"MSG_DIRECT", wires)
        self.assertIn(b"SERVER_DELIVER", wires)
        self.assertIn(b"USER_LOGGED_IN", wires)
        self.assertTrue(all(b"alice" in one or b"bob" in one for one in databases))
        log = "\n".join(str(event) for event in events).encode()
        for name, secret in self.forbidden():
            self.assertNotIn(secret, wires, f"{name} crossed a wire")
            for database in databases:
                self.assertNotIn(secret, database, f"{name} is on a disk")
            self.assertNotIn(secret, log, f"{name} is in the log")

    def test_login_secret(self) -> None:
        """What a client logs in with is kept nowhere, and is in no log."""
        with capturedLogs() as events:
            self.converse()
        account = Account("bob", None, PASSPHRASES["bob"])
        secret = account.password().encode()
        self.assertIn(secret, b"\n".join(self.frames))  # over loopback, as it must be
        for database in self.searched_databases:
            self.assertNotIn(secret, database)
        self.assertNotIn(secret, "\n".join(map(str, events)).encode())

    def test_sealed_on_disk(self) -> None:
        """Of the key that the server keeps it has the sealed form, and only that."""
        self.converse()
        user = self.done(self.stores["srv-b"].user("bob"))
        self.assertIn('"blob"', user.privkey_store)
        self.assertNotIn("PRIVATE", user.privkey_store)

    def test_readable_by_owner_alone(self) -> None:
        """S22: the database, and whatever lies beside it, is the owner's alone."""
        self.start()
        files = {
            file.name: file.stat().st_mode & 0o077 for file in self.folder.iterdir()
        }
        self.assertIn("srv-a.db", files)
        self.assertEqual(files, dict.fromkeys(files, 0))


class EavesdropperTests(UserTestCase):
    """What is for one user goes to one user."""

    def test_to_one(self) -> None:
        """A third user hears nothing of a message, a file or their acknowledgements."""
        a, b = self.pair()
        alice, carol = self.users(a, "alice", "carol")
        bob, dave = self.users(b, "bob", "dave")
        for person in (alice, bob, carol, dave):
            person.forget()
        alice.tell("bob", id="m")
        alice.start_file("bob")
        alice.chunk("bob")
        alice.end_file("bob")
        self.assertEqual(carol.received, [])
        self.assertEqual(dave.received, [])

    def test_signed_by_the_server(self) -> None:
        """S20: each frame to a user carries a signature that its client can check."""
        alice, bob = self.users(self.start(), "alice", "bob")
        bob.tell("alice", id="m")
        alice.tell("dave", id="m")
        alice.ask_list()
        self.assertGreater(len(alice.received), 2)
        for envelope in [*alice.received, *bob.received]:
            verify(envelope, pub_of("srv-a"))
            self.assertEqual(envelope.sender, "srv-a")
            self.assertTrue(envelope.id)

    def test_proof_is_no_message(self) -> None:
        """A login proof never passes for the signature of a message."""
        [bob] = self.users(self.start(), "bob")
        eve = self.person(self.sites["srv-a"])
        eve.greet("alice", signed=False)
        proof = eve.proof()
        _, payload = eve.message("bob")
        eve.say(MSG_DIRECT, "alice", "bob", {**payload, "content_sig": proof})
        self.assertEqual(eve.errors(), ["INVALID_SIG"])
        self.assertNotEqual(proof, signature("alice", b""))
        self.assertEqual(bob.received, [])


def _spellings(name: str, secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Return some bytes as text, hex and base64 at each of its three offsets."""
    yield name, secret
    yield f"{name} in hex", secret.hex().encode()
    for offset in range(3):
        cut = secret[offset:]
        cut = cut[: len(cut) // 3 * 3]
        yield f"{name} in base64url", b64u_encode(cut).encode()
        yield f"{name} in base64", base64.b64encode(cut)
