"""What does a client do with what nobody honest would send?"""

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from socp_twisted.client import events as told
from socp_twisted.trust.sealing import seal
from socp_twisted.trust.signatures import direct_content, public_content, sign
from socp_twisted.wire.encoding import b64u_encode
from tests.client_peer import (
    NOW,
    Server,
    SessionCase,
    deliver,
)
from tests.vector_files import private, public


class RefusalTests(SessionCase):
    """Text is shown if its sender signed it, for us, just now, for the first time."""

    def payload(self, ts: int = NOW, **changed: Any) -> dict[str, Any]:
        """Return what a genuine message of alice's to bob would be."""
        ciphertext = seal(public("bob"), b"hello")
        content = direct_content(ciphertext, "alice", "bob", ts)
        return {
            "ciphertext": b64u_encode(ciphertext),
            "sender": "alice",
            "sender_pub": public("alice").text,
            "content_sig": sign(private("alice"), content),
            "ts": ts,
            **changed,
        }

    def refused(self, payload: dict[str, Any]) -> str:
        """Return why bob's client does not show it."""
        _, bob = self.both()
        deliver(self.server, bob, payload)
        self.assertEqual(bob.told(told.TextReceived), [])
        [why] = bob.told(told.FrameRefused)
        return why.reason

    def test_genuine(self) -> None:
        """The payload that the other tests spoil is good."""
        _, bob = self.both()
        deliver(self.server, bob, self.payload())
        self.assertEqual(
            bob.events, [told.TextReceived("alice", "hello", NOW, False, False)]
        )

    def test_no_signature(self) -> None:
        """Missing, empty or another's signature."""
        self.assertIn("signature", self.refused(self.payload(content_sig="")))

    def test_foreign_signature(self) -> None:
        """A signature of the server does not do."""
        sig = sign(private("srv-a"), b"anything")
        self.assertIn("verify", self.refused(self.payload(content_sig=sig)))

    def test_foreign_key(self) -> None:
        """Their own key in ``sender_pub`` does not help an impostor."""
        ciphertext = seal(public("bob"), b"hello")
        content = direct_content(ciphertext, "alice", "bob", NOW)
        _, bob = self.both()
        forged = self.payload(
            ciphertext=b64u_encode(ciphertext),
            sender_pub=public("srv-c").text,
            content_sig=sign(private("srv-c"), content),
        )
        deliver(self.server, bob, forged)
        self.assertEqual(bob.told(told.TextReceived), [])
        self.assertEqual(len(bob.told(told.FrameRefused)), 1)
        self.assertEqual(len(bob.told(told.UserKeyChanged)), 1)

    def test_for_another(self) -> None:
        """What was signed for somebody else is not for us."""
        ciphertext = seal(public("bob"), b"hello")
        content = direct_content(ciphertext, "alice", "carol", NOW)
        reason = self.refused(
            self.payload(
                ciphertext=b64u_encode(ciphertext),
                content_sig=sign(private("alice"), content),
            )
        )
        self.assertIn("verify", reason)

    def test_public_as_direct(self) -> None:
        """What was said to everybody is not passed off as said to us."""
        ciphertext = seal(public("bob"), b"hello")
        content = public_content(ciphertext, "alice", NOW)
        reason = self.refused(
            self.payload(
                ciphertext=b64u_encode(ciphertext),
                content_sig=sign(private("alice"), content),
            )
        )
        self.assertIn("verify", reason)

    def test_stale(self) -> None:
        """Eleven minutes old, and from the future."""
        self.assertIn("ten minutes", self.refused(self.payload(NOW - 660_000)))

    def test_held(self) -> None:
        """What the server kept for us may be older, and says when it was written."""
        _, bob = self.both()
        deliver(self.server, bob, self.payload(NOW - 86_400_000, held=True))
        [text] = bob.told(told.TextReceived)
        self.assertEqual((text.held, text.ts), (True, NOW - 86_400_000))

    def test_replay(self) -> None:
        """The second copy is not shown."""
        _, bob = self.both()
        payload = self.payload()
        deliver(self.server, bob, payload)
        deliver(self.server, bob, payload)
        self.assertEqual(len(bob.told(told.TextReceived)), 1)
        [why] = bob.told(told.FrameRefused)
        self.assertIn("before", why.reason)

    def test_too_long(self) -> None:
        """A ciphertext that would take seconds to decrypt is not begun."""
        huge = b64u_encode(bytes(512 * 200))
        self.assertIn("ciphertext", self.refused(self.payload(ciphertext=huge)))

    def test_server_signature(self) -> None:
        """A frame that the pinned server did not sign changes nothing."""
        alice, _ = self.both()
        self.server.key = private("srv-b")
        self.server.say(alice, "USER_REMOVED", {"user_id": "bob"})
        self.server.pump()
        self.assertTrue(alice.session.whois("bob").online)
        [why] = alice.told(told.FrameRefused)
        self.assertIn("server", why.reason)


class RetypedTests(SessionCase):
    """What the server signed as one thing is not believed as another (S12)."""

    def refused(self, kind: str, field: str, payload: dict[str, Any]) -> None:
        """Fail unless such a frame is refused for that field, and changes nothing."""
        alice, _ = self.both()
        self.server.say(alice, kind, payload)
        self.server.pump()
        [why] = alice.events
        assert isinstance(why, told.FrameRefused)
        said = f"signed as something else than {kind}: it has {field!r}"
        self.assertEqual(why.reason, said)
        self.assertTrue(alice.session.whois("bob").online)

    def test_refusal_as_an_ack(self) -> None:
        """A message that was refused does not become one that arrived."""
        refusal = {"code": "LIMIT", "detail": "no room", "msg_ref": "m1"}
        self.refused("ACK", "code", refusal)

    def test_ack_as_a_refusal(self) -> None:
        """Nor does one that arrived become one that was refused."""
        self.refused("ERROR", "status", {"msg_ref": "m1", "status": "delivered"})

    def test_arrival(self) -> None:
        """The word that somebody came shows nobody as gone."""
        came = {"user_id": "bob", "pubkey": public("bob").text, "online_local": True}
        self.refused("USER_REMOVED", "pubkey", came)
        self.refused("LIST_RESPONSE", "pubkey", {**came, "users": []})

    def test_what_a_user_said(self) -> None:
        """What has a sender was said by a user, and is no word of the server's."""
        said = {"sender": "bob", "msg_ref": "m1", "user_id": "bob"}
        self.refused("ACK", "sender", said)
        self.refused("ERROR", "sender", {**said, "code": "LIMIT"})
        self.refused("USER_ADDED", "sender", {**said, "pubkey": public("bob").text})
        self.refused("USER_REMOVED", "sender", said)
        self.refused("LIST_RESPONSE", "sender", {**said, "users": []})
        members = {"version": 1, "members": []}
        self.refused("PUBLIC_CHANNEL_SNAPSHOT", "sender", {**said, **members})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        *("user_id", "pubkey", "users", "part", "parts", "version", "members"),
        *("ciphertext", "sender", "sender_pub", "content_sig", "ts", "manifest"),
        *("file_id", "name", "size", "sha256", "mode", "index", "accept", "done"),
        *("msg_ref", "code", "detail", "nonce", "answer", "server_id", "caps"),
    ]
)
TYPES = st.sampled_from(
    [
        *("USER_HELLO_ACK", "USER_REGISTERED", "USER_LOGGED_IN", "USER_ADDED"),
        *("USER_REMOVED", "LIST_RESPONSE", "PUBLIC_CHANNEL_SNAPSHOT", "ACK"),
        *("USER_DELIVER", "MSG_PUBLIC_CHANNEL", "FILE_START_DELIVER", "ERROR"),
        *("FILE_CHUNK_DELIVER", "FILE_END_DELIVER", "FILE_ANSWER_DELIVER"),
    ]
)


class HostileTests(SessionCase):
    """No frame, believed or not, makes a session raise."""

    def test_garbage(self) -> None:
        """Bytes of all kinds become events."""
        alice = self.enter("alice")
        alice.events.clear()
        rubbish = [b"", b"\xff", b"[" * 5000, b"null", b"{}", b'{"type": 1}', b"1e9"]
        for frame in rubbish:
            alice.session.receive(frame, NOW)
        self.server.pump()
        self.assertEqual(len(alice.told(told.FrameRefused)), len(rubbish))
        self.assertTrue(alice.session.ready)

    @settings(max_examples=150, deadline=None)
    @given(TYPES, st.dictionaries(FIELDS, JSON, max_size=6), st.integers(0, 3))
    def test_any_payload(self, type: str, payload: dict[str, Any], stage: int) -> None:
        """Whatever a server without a key says, at any stage of the login."""
        server = Server(style=("mute", "original", "original", "mute")[stage])
        alice = server.attach("alice", Path("unused"), passphrase="" if stage else "x")
        if stage:
            alice.session.login(NOW)
            alice.session.drain()
        frame = {"type": type, "from": "s", "to": "*", "ts": NOW, "payload": payload}
        if stage > 1:
            ack = {**frame, "type": "USER_HELLO_ACK", "payload": {"status": "ok"}}
            alice.session.receive(json.dumps(ack).encode(), NOW)
        alice.session.receive(json.dumps(frame).encode(), NOW)
        alice.session.receive(json.dumps(frame).encode(), NOW)
        alice.session.tick(NOW + 20_000)
        alice.session.lost(NOW)
        alice.session.drain()
