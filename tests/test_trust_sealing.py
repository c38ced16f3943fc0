"""Can only the recipient read it?  RSA-OAEP, block by block.  (SOCP 4)"""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import MalformedFrame
from socp_twisted.trust.sealing import seal, unseal
from socp_twisted.wire.encoding import b64u_decode
from socp_twisted.wire.vocabulary import OAEP_MAX, RSA_BYTES
from tests.strategies import quick
from tests.vector_files import private, public, vectors

FAULT = "the ciphertext cannot be decrypted"


class SealingTests(SynchronousTestCase):
    """What is sealed for one key is opened with its private half, and no other."""

    def test_vectors(self) -> None:
        """Ciphertexts by openssl are read."""
        for vector in vectors("content")["oaep"]:
            plain = unseal(
                private(vector["recipient"]), b64u_decode(vector["ciphertext"])
            )
            self.assertEqual(plain.decode("utf-8"), vector["plaintext"])

    def test_edges(self) -> None:
        """446 bytes are one block, 447 are two, and nothing is one block too."""
        self.assertEqual(OAEP_MAX, 446)
        for size, blocks in {
            0: 1,
            1: 1,
            445: 1,
            446: 1,
            447: 2,
            892: 2,
            893: 3,
        }.items():
            plain = bytes(index % 251 for index in range(size))
            sealed = seal(public("bob"), plain)
            self.assertEqual(len(sealed), blocks * RSA_BYTES)
            self.assertEqual(unseal(private("bob"), sealed), plain)

    def test_longest_text(self) -> None:
        """64 KiB, the longest text there is, come back whole."""
        plain = "é".encode() * 32_768
        sealed = seal(public("bob"), plain)
        self.assertEqual(len(sealed), 147 * RSA_BYTES)
        self.assertEqual(unseal(private("bob"), sealed), plain)

    def test_never_twice_the_same(self) -> None:
        """The same text sealed again is other bytes."""
        self.assertNotEqual(seal(public("bob"), b"x"), seal(public("bob"), b"x"))

    def test_refused(self) -> None:
        """Whatever the fault, the sentence is the same: OAEP must not say more."""
        sealed = seal(public("bob"), b"hello")
        wrong = (
            b"",
            sealed[:-1],
            sealed + b"\x00",
            sealed + bytes(RSA_BYTES),
            bytes(RSA_BYTES),
            b"\xff" * RSA_BYTES,
            seal(public("alice"), b"hello"),
        )
        for ciphertext in wrong:
            with self.assertRaises(MalformedFrame) as caught:
                unseal(private("bob"), ciphertext)
            self.assertEqual(str(caught.exception), FAULT)

    @settings(quick, max_examples=20)
    @given(st.integers(0, RSA_BYTES * 8 - 1))
    def test_damaged(self, bit: int) -> None:
        """One bit changed is one block that cannot be decrypted."""
        whole = b64u_decode(vectors("content")["oaep"][1]["ciphertext"])
        damaged = (int.from_bytes(whole, "big") ^ (1 << bit)).to_bytes(RSA_BYTES, "big")
        with self.assertRaisesRegex(MalformedFrame, FAULT):
            unseal(private("bob"), damaged)
