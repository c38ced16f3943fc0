"""Is a signature believed only where it is theirs?  (SOCP 7, 12)"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import BadKey, InvalidSignature
from socp_twisted.trust.signatures import (
    check,
    direct_content,
    key_share_content,
    login_content,
    public_content,
    sign,
    signed_frame,
    verify,
)
from socp_twisted.wire.encoding import b64u_decode, b64u_encode, canonical
from socp_twisted.wire.envelope import Envelope, Verified
from socp_twisted.wire.vocabulary import RSA_BYTES
from tests.strategies import identifiers, quick, times
from tests.vector_files import private, public, vectors

BLOCK = bytes(RSA_BYTES)


class TransportTests(SynchronousTestCase):
    """A transport signature covers the canonical payload."""

    def test_vectors(self) -> None:
        """Signatures by openssl, of any salt, verify; each other one does not."""
        for vector in vectors("transport")["transport_signatures"]:
            signed = canonical(vector["payload"])
            why = vector.get("why", "")
            try:
                check(public(vector["signer"]), signed, vector["sig"])
                valid = True
            except InvalidSignature:
                valid = False
            self.assertIs(valid, vector["valid"], why)

    def test_frames(self) -> None:
        """The vectors' whole frames verify with the key of the server they are from."""
        for vector in vectors("frames"):
            if vector["name"].startswith("valid"):
                envelope = Envelope.parse(vector["text"].encode("utf-8"))
                self.assertEqual(
                    verify(envelope, public("srv-a").text),
                    Verified(envelope, public("srv-a").text),
                )

    def test_our_own(self) -> None:
        """What we sign is verified by whoever reads the frame, with our key alone."""
        ours = Envelope.create("ACK", "srv-a", "bob", 1, {"b": "é", "a": 2})
        read = Envelope.parse(signed_frame(ours, private("srv-a")))
        self.assertEqual(
            verify(read, public("srv-a").text).signer, public("srv-a").text
        )
        with self.assertRaises(InvalidSignature):
            verify(read, public("srv-b").text)
        with self.assertRaises(BadKey):
            verify(read, "garbage")

    def test_refused(self) -> None:
        """Each way of not being a signature is one sentence."""
        wrong = {
            "": "is missing",
            "@@@@": "not base64url",
            "AAAA": "has not 512 bytes",
            b64u_encode(bytes(513)): "has not 512 bytes",
            b64u_encode(bytes(512)): "does not verify",
            b64u_encode(b"\xff" * 512): "does not verify",
        }
        for sig, sentence in wrong.items():
            with self.assertRaisesRegex(InvalidSignature, sentence):
                check(public("alice"), b"data", sig)

    @quick
    @given(st.integers(0, RSA_BYTES * 8 - 1), st.binary(max_size=8))
    def test_damaged(self, bit: int, other: bytes) -> None:
        """One bit changed in the signature, or other data: it does not verify."""
        sig = vectors("transport")["transport_signatures"][0]["sig"]
        raw = int.from_bytes(b64u_decode(sig), "big") ^ (1 << bit)
        with self.assertRaises(InvalidSignature):
            check(public("srv-a"), b"{}", b64u_encode(raw.to_bytes(RSA_BYTES, "big")))
        with self.assertRaises(InvalidSignature):
            check(public("srv-a"), b"{} " + other, sig)


class ContentTests(SynchronousTestCase):
    """A content signature binds the ciphertext to its sender, recipient and time."""

    def test_vectors(self) -> None:
        """Signatures by openssl verify; changed ids, times and kinds do not."""
        for vector in vectors("content")["content_signatures"]:
            ciphertext = b64u_decode(vector["ciphertext"])
            if vector["kind"] == "dm":
                content = direct_content(
                    ciphertext, vector["sender"], vector["to"], vector["ts"]
                )
            else:
                content = public_content(ciphertext, vector["sender"], vector["ts"])
            try:
                check(public(vector["sender"]), content, vector["content_sig"])
                valid = True
            except InvalidSignature:
                valid = False
            self.assertIs(valid, vector["valid"], vector.get("why", vector["kind"]))

    def test_bytes(self) -> None:
        """The parts as the standard lists them, without separators."""
        self.assertEqual(direct_content(BLOCK, "al", "bo", 17), BLOCK + b"albo17")
        self.assertEqual(public_content(BLOCK, "al", 17), BLOCK + b"al17")
        shares = [{"wrapped_public_channel_key": "é", "member": "bob"}]
        key = public("alice").text
        self.assertEqual(
            key_share_content(shares, key),
            '[{"member":"bob","wrapped_public_channel_key":"é"}]'.encode()
            + b64u_decode(key),
        )

    def test_s24(self) -> None:
        """No other split passes: the ciphertext is whole blocks, or nothing is."""
        for size in (0, 1, RSA_BYTES - 1, RSA_BYTES + 1):
            for make in (
                lambda data: direct_content(data, "alice", "bob", 1),
                lambda data: public_content(data, "alice", 1),
            ):
                with self.assertRaisesRegex(InvalidSignature, "multiple of 512"):
                    make(bytes(size))

    @quick
    @given(identifiers, identifiers, times)
    def test_blocks_are_told_apart(self, sender: str, to: str, ts: int) -> None:
        """Contents over one and over two blocks are never the same bytes."""
        one = direct_content(BLOCK, sender, to, ts)
        two = direct_content(BLOCK * 2, sender, to, ts)
        self.assertNotEqual(one[: len(two)], two)
        self.assertLess(len(one), 2 * RSA_BYTES)

    @quick
    @given(st.binary(max_size=32).map(b64u_encode), identifiers, identifiers)
    def test_login_is_no_message(self, nonce: str, server: str, user: str) -> None:
        """What a login signs is too short to be a message's content."""
        self.assertLess(len(login_content(nonce, server, "k", user)), RSA_BYTES)

    def test_login(self) -> None:
        """A login is for one server, one user and one nonce."""
        proof = sign(private("alice"), login_content("n", "srv-a", "k", "alice"))
        check(public("alice"), login_content("n", "srv-a", "k", "alice"), proof)
        for other in (
            login_content("m", "srv-a", "k", "alice"),
            login_content("n", "srv-a", "l", "alice"),
            login_content("n", "srv-b", "k", "alice"),
            login_content("n", "srv-a", "k", "bob"),
        ):
            with self.assertRaises(InvalidSignature):
                check(public("alice"), other, proof)
