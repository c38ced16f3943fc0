"""Which keys are accepted?  (SOCP 4)"""

import contextlib

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import BadKey, ConfigurationError
from socp_twisted.trust.keys import (
    PrivateKey,
    PublicKey,
    public_key,
    split_pinned_url,
)
from socp_twisted.trust.sealing import seal
from socp_twisted.wire.encoding import b64u_decode, b64u_encode
from socp_twisted.wire.vocabulary import RSA_BYTES
from tests.keyring import VECTORS
from tests.strategies import quick
from tests.vector_files import private, public, vectors

ALICE = vectors("keys")["public_keys"]["alice"]


def spki(exponent: int, modulus: int) -> str:
    """Return the text of a public key with these numbers, sound or not."""
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64u_encode(der)


class PublicKeyTests(SynchronousTestCase):
    """RSA-4096 in its one DER form, and nothing else."""

    def test_good(self) -> None:
        """The vectors' keys are read, are equal by their text, and are remembered."""
        for text in vectors("keys")["public_keys"].values():
            key = PublicKey.parse(text)
            self.assertEqual((key.text, key.material.key_size), (text, 4096))
            self.assertEqual(public_key(text), key)
            self.assertIs(public_key(text), public_key(text))
        self.assertNotEqual(public("alice"), public("bob"))

    def test_s16_bad(self) -> None:
        """Short keys, other kinds of key and garbage are ``BadKey``."""
        for name, text in vectors("keys")["bad_public_keys"].items():
            try:
                PublicKey.parse(text)
            except BadKey as why:
                self.assertIn("public key", str(why), name)
            else:
                self.fail(f"taken: {name}")

    def test_exponent(self) -> None:
        """65537 and more, and odd: 3 and 65536 are not."""
        modulus = public("alice").material.public_numbers().n
        for exponent, good in {65537: True, 65539: True, 65535: False}.items():
            if good:
                PublicKey.parse(spki(exponent, modulus))
            else:
                with self.assertRaisesRegex(BadKey, "exponent"):
                    PublicKey.parse(spki(exponent, modulus))

    def test_nobody_can_encrypt(self) -> None:
        """A key that OpenSSL loads and cannot use would break a message to all."""
        modulus = public("alice").material.public_numbers().n
        for exponent, n in (
            (2**64 + 1, modulus),
            (modulus - 2, modulus),
            (65537, 2**4095 + 2),
        ):
            with self.assertRaisesRegex(BadKey, "nobody can encrypt"):
                PublicKey.parse(spki(exponent, n))
        longest = PublicKey.parse(spki(2**64 - 1, modulus))
        self.assertEqual(len(seal(longest, b"x")), RSA_BYTES)

    def test_one_form(self) -> None:
        """Bytes after the key, or PKCS#1 without its wrapper, are another spelling."""
        der = b64u_decode(ALICE)
        bare = public("alice").material.public_bytes(Encoding.DER, PublicFormat.PKCS1)
        for other in (der + b"\x00", der[:-1], bare):
            with self.assertRaises(BadKey):
                PublicKey.parse(b64u_encode(other))

    @quick
    @given(st.integers(0, len(b64u_decode(ALICE)) - 1), st.binary(max_size=3))
    def test_mutated(self, at: int, junk: bytes) -> None:
        """A damaged key is ``BadKey``, or another key in its one form."""
        der = b64u_decode(ALICE)
        text = b64u_encode(der[:at] + junk + der[at + len(junk) :])
        with contextlib.suppress(BadKey):
            self.assertEqual(PublicKey.parse(text).text, text)

    @quick
    @given(st.text(max_size=20) | st.binary(max_size=60).map(b64u_encode))
    def test_arbitrary(self, text: str) -> None:
        """Any other text is ``BadKey``, and nothing else happens."""
        with self.assertRaises(BadKey):
            PublicKey.parse(text)

    def test_fingerprint(self) -> None:
        """SHA-256 in hex, in sixteen groups of four, to be read aloud."""
        groups = public("alice").fingerprint.split(" ")
        self.assertEqual([len(group) for group in groups], [4] * 16)
        self.assertNotEqual(public("alice").fingerprint, public("bob").fingerprint)


class PrivateKeyTests(SynchronousTestCase):
    """Our own keys: PKCS#8 PEM without a password, RSA-4096."""

    def test_pem(self) -> None:
        """A PEM gives the key that belongs to the public one, and is written back."""
        pem = (VECTORS / "bob.pem").read_bytes()
        key = PrivateKey.from_pem(pem)
        self.assertEqual(key.public, public("bob"))
        self.assertEqual(PrivateKey.from_pem(key.to_pem(), trusted=True), key)

    def test_no_key(self) -> None:
        """Garbage, a public key, a locked key, other kinds: all are ``BadKey``."""
        material = private("bob").material
        locked = material.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
        shown = material.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        cut = private("bob").to_pem()[:1000]
        for pem in (b"", b"hello", locked, shown, cut):
            with self.assertRaises(BadKey):
                PrivateKey.from_pem(pem)

    def test_short(self) -> None:
        """A short key is refused, however sound it is."""
        short = rsa.generate_private_key(65537, 1024)  # takes milliseconds
        with self.assertRaisesRegex(BadKey, "not RSA-4096"):
            PrivateKey.of(short)

    def test_never_shown(self) -> None:
        """What a log would show of a key pair is its public half."""
        self.assertNotIn("material", repr(private("alice")))


class PinnedUrlTests(SynchronousTestCase):
    """``ws://host:port#<pub>`` says where a server is and who it must be."""

    def test_taken(self) -> None:
        """Hosts by name and address, both schemes, and a slash that means nothing."""
        forms = {
            "ws://127.0.0.1:8765": "ws://127.0.0.1:8765",
            "wss://srv-a.example:443": "wss://srv-a.example:443",
            "ws://[::1]:8765": "ws://[::1]:8765",
            "ws://LocalHost:1/": "ws://localhost:1",
            "WS://h:65535": "ws://h:65535",
        }
        for form, url in forms.items():
            self.assertEqual(split_pinned_url(f"{form}#{ALICE}"), (url, ALICE))

    def test_refused(self) -> None:
        """Anything else is one sentence that says what is wrong."""
        forms = {
            "": "is not ws://host:port#<pub>",
            "127.0.0.1:8765": "is not ws://host:port#<pub>",
            "http://h:1": "is not ws://host:port#<pub>",
            "ws://:8765": "is not ws://host:port#<pub>",
            "ws:h:1": "is not ws://host:port#<pub>",
            "ws://h": "lacks a port from 1 to 65535",
            "ws://h:": "lacks a port from 1 to 65535",
            "ws://h:0": "lacks a port from 1 to 65535",
            "ws://h:65536": "is no URL: Port out of range",
            "ws://h:-1": "is no URL: Port",
            "ws://h:eight": "is no URL: Port",
            "ws://h:1/chat": "has more than ws://host:port#<pub>",
            "ws://h:1?a=b": "has more than ws://host:port#<pub>",
            "ws://user:secret@h:1": "has more than ws://host:port#<pub>",
            "ws://[::1:8765": "is no URL: Invalid IPv6 URL",
            "ws://\u2100:80": "is no URL: netloc",
            "ws://ho st:80": "has no host name or address",
            "ws://h\u00e9:80": "has no host name or address",
            "ws://h\x1b:80": r"^'ws://h\\x1b:80' has no host name or address",
        }
        for form, sentence in forms.items():
            with self.assertRaisesRegex(ConfigurationError, sentence):
                split_pinned_url(f"{form}#{ALICE}")

    def test_no_pin(self) -> None:
        """Without a pin the sentence says how to get one."""
        for form in ("ws://h:1", "ws://h:1#", "ws://h:1/"):
            with self.assertRaisesRegex(ConfigurationError, "socp key --url"):
                split_pinned_url(form)

    def test_bad_pin(self) -> None:
        """A pin that is no RSA-4096 key is refused when read, not when dialled."""
        for text in filter(None, vectors("keys")["bad_public_keys"].values()):
            with self.assertRaisesRegex(ConfigurationError, "the pin of ws://h:1 is"):
                split_pinned_url(f"ws://h:1#{text}")
