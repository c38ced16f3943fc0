"""Does a key of four primes sign as any other, and is an unsound one refused?"""

import hashlib
import sys
import threading
from collections import Counter
from collections.abc import Callable
from ctypes import CDLL, PyDLL
from typing import Any, cast

from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import BadKey, ConfigurationError, InvalidSignature
from socp_twisted.trust import multiprime
from socp_twisted.trust.keys import PrivateKey, PublicKey
from socp_twisted.trust.multiprime import LibcryptoError, MultiPrimeKey, libcrypto
from socp_twisted.trust.pkcs8 import (
    OtherPrimeInfo,
    PrivateKeyInfo,
    RSAPrivateKey,
    der_of,
    pem_of,
    primes_in,
)
from socp_twisted.trust.signatures import check, sign
from socp_twisted.trust.signer import ThreadedSigner
from socp_twisted.wire.encoding import b64u_encode, canonical
from tests.keyring import FOUR_PRIMES, VECTORS, four_primes, libcrypto_at
from tests.keyring import pem_of as test_pem
from tests.threads import ThreadReactor
from tests.vector_files import public, vectors

DIGEST = hashlib.sha256(b"data").digest()
OWNERS = ("alice", "bob", "srv-a", "srv-b", "srv-c")
ALGORITHM = asn1.decode_der(PrivateKeyInfo, der_of(test_pem(FOUR_PRIMES))).algorithm


def numbers(pem: bytes) -> dict[str, Any]:
    """Return the numbers of an RSA key by name, to be changed."""
    info = asn1.decode_der(PrivateKeyInfo, der_of(pem))
    key = asn1.decode_der(RSAPrivateKey, info.private_key)
    return {name: getattr(key, name) for name in RSAPrivateKey.__annotations__}


def pem_with(**changed: Any) -> bytes:
    """Return the test key with some of its numbers changed."""
    key = RSAPrivateKey(**{**numbers(test_pem(FOUR_PRIMES)), **changed})
    inner = asn1.encode_der(key)
    info = PrivateKeyInfo(version=0, algorithm=ALGORITHM, private_key=inner)
    return pem_of(asn1.encode_der(info))


def off_by_two(name: str, at: int = -1) -> bytes:
    """Return the test key with a wrong number: of all, or of its third prime's."""
    own = numbers(test_pem(FOUR_PRIMES))
    if at < 0:
        return pem_with(**{name: own[name] + 2})
    others = list(own["other_prime_infos"])
    fields = {one: getattr(others[at], one) for one in OtherPrimeInfo.__annotations__}
    others[at] = OtherPrimeInfo(**{**fields, name: fields[name] + 2})
    return pem_with(other_prime_infos=others)


class RecordingLibcrypto:
    """libcrypto, with a count of what was made, freed and called."""

    def __init__(self, lib: CDLL) -> None:
        self._lib = lib
        self.called: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a function that counts its calls."""
        function = getattr(self._lib, name)

        def counted(*arguments: Any) -> Any:
            self.called[name] += 1
            return function(*arguments)

        return counted


class SignatureTests(SynchronousTestCase):
    """Whoever sees a signature, or the public key, cannot tell."""

    def test_verifies(self) -> None:
        """``check`` believes it; ``cryptography`` finds a salt of exactly 32 bytes."""
        key = four_primes()
        sig = sign(key, b"data")
        check(key.public, b"data", sig)
        with self.assertRaises(InvalidSignature):
            check(key.public, b"other", sig)
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        raw = key.sign(DIGEST)
        self.assertEqual(len(raw), 512)
        key.public.material.verify(raw, b"data", pss, hashes.SHA256())

    def test_fresh_salt(self) -> None:
        """Two signatures of the same are not the same, as PSS has it."""
        self.assertNotEqual(four_primes().sign(DIGEST), four_primes().sign(DIGEST))

    def test_digest(self) -> None:
        """What is no SHA-256 digest is not signed, nor read beyond its end."""
        for size in (0, 31, 33, 64):
            with self.assertRaisesRegex(LibcryptoError, "digest"):
                four_primes().sign(bytes(size))

    def test_public_key(self) -> None:
        """The public key is in the one form of all others."""
        text = four_primes().public.text
        self.assertEqual(PublicKey.parse(text), four_primes().public)
        self.assertEqual(len(text), len(public("alice").text))

    def test_vectors(self) -> None:
        """With the vectors' keys libcrypto signs what verifies, as openssl did."""
        for owner in OWNERS:
            pem = (VECTORS / f"{owner}.pem").read_bytes()
            key = multiprime._Pkey.from_der(libcrypto(), der_of(pem))
            self.assertEqual(b64u_encode(key.public_der()), public(owner).text)
            for vector in vectors("transport")["transport_signatures"][:1]:
                data = canonical(vector["payload"])
                sig = b64u_encode(key.sign(hashlib.sha256(data).digest()))
                check(public(owner), data, sig)

    def test_only_signs(self) -> None:
        """There is nothing in it to decrypt with, and nothing of it in a log."""
        self.assertFalse(hasattr(four_primes(), "material"))
        self.assertNotIn("_pkey", repr(four_primes()))

    def test_faulty_prime(self) -> None:
        """A fault with one prime is never seen outside: it would tell the primes."""
        for pem in (
            off_by_two("exponent1"),
            off_by_two("coefficient"),
            off_by_two("exponent", 1),
            off_by_two("coefficient", 0),
        ):
            unchecked = multiprime._Pkey.from_der(libcrypto(), der_of(pem))
            sig = b64u_encode(unchecked.sign(DIGEST))
            check(four_primes().public, b"data", sig)


class ThreadTests(SynchronousTestCase):
    """Signing threads share one key, and nobody else waits for them."""

    def test_signer(self) -> None:
        """The signer's threads make good signatures with the one key."""
        reactor, given = ThreadReactor(), {}
        signer = ThreadedSigner(reactor, four_primes(), 3)  # type: ignore[arg-type]
        signer.start()
        self.addCleanup(signer.stop)
        for number in range(30):
            data = f"payload {number}".encode("ascii")
            signer.sign(data, lambda sig, data=data: given.update({data: sig}))  # type: ignore[misc]
        while signer.waiting:
            reactor.turn()
        self.assertEqual((len(given), signer.made), (30, 30))
        for data, sig in given.items():
            check(four_primes().public, data, sig)

    def test_lets_go_of_the_gil(self) -> None:
        """Another thread gets on during a signature, although nobody makes way."""
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(1000)  # who holds the GIL keeps it until they let go
        key, turns, over = four_primes(), [0], threading.Event()

        def other() -> None:
            while not over.wait(0):
                turns[0] += 1
                over.wait(0.0001)

        thread = threading.Thread(target=other)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(over.set)
        before, made = turns[0], 0
        while turns[0] == before and made < 1000:
            key.sign(DIGEST)
            made += 1
        self.assertGreater(turns[0], before)
        self.assertNotIsInstance(libcrypto(), PyDLL)


class KeyTests(SynchronousTestCase):
    """A key is made, written, read and checked; an unsound one is refused."""

    def test_round_trip(self) -> None:
        """What is written is what was read, and what openssl wrote."""
        key = four_primes()
        self.assertEqual((key.primes, key.to_pem()), (4, test_pem(FOUR_PRIMES)))

    def test_generated(self) -> None:
        """A new key has the primes that were asked for, and signs: 0.2 s."""
        key = MultiPrimeKey.generate(4)
        self.assertEqual((key.primes, primes_in(key.to_pem())), (4, 4))
        check(key.public, b"data", sign(key, b"data"))

    def test_too_many(self) -> None:
        """libcrypto refuses five at 4096 bits, and says so."""
        with self.assertRaisesRegex(
            ConfigurationError, "cannot make a key of 5 primes: .*key prime num invalid"
        ):
            MultiPrimeKey.generate(5)

    def test_unsound(self) -> None:
        """Any number of it that is wrong is found, and libcrypto's reason told."""
        own = numbers(test_pem(FOUR_PRIMES))
        for pem in (
            off_by_two("modulus"),
            off_by_two("private_exponent"),
            off_by_two("prime1"),
            off_by_two("exponent2"),
            off_by_two("coefficient"),
            off_by_two("prime", 1),
            off_by_two("exponent", 0),
            off_by_two("coefficient", 1),
            pem_with(version=0),
            pem_with(other_prime_infos=own["other_prime_infos"][:1]),
            pem_with(other_prime_infos=own["other_prime_infos"][::-1]),
        ):
            with self.assertRaisesRegex(BadKey, "is unsound: error:[0-9A-F]+:rsa rout"):
                MultiPrimeKey.from_pem(pem)

    def test_other_keys(self) -> None:
        """Two primes, five, garbage: none is a key of three or four."""
        own = numbers(test_pem(FOUR_PRIMES))["other_prime_infos"]
        for pem in (
            (VECTORS / "alice.pem").read_bytes(),
            pem_with(other_prime_infos=[*own, own[0]]),
            test_pem(FOUR_PRIMES)[:1000],
            b"",
        ):
            with self.assertRaisesRegex(BadKey, "not one of 3 to 4 primes"):
                MultiPrimeKey.from_pem(pem)

    def test_short(self) -> None:
        """A sound key of 2048 bits is refused in one sentence, as a BadKey."""
        self.patch(multiprime, "RSA_BITS", 2048)
        short = multiprime._Pkey.generate(libcrypto(), 3)
        with self.assertRaisesRegex(BadKey, "the public key is not RSA-4096"):
            MultiPrimeKey.from_pem(pem_of(short.to_der()))

    def test_for_users(self) -> None:
        """Where decryption is needed the key is refused, with the reason."""
        for trusted in (False, True):
            with self.assertRaisesRegex(BadKey, "has 4 primes, and only a server's"):
                PrivateKey.from_pem(test_pem(FOUR_PRIMES), trusted=trusted)

    def test_primes_in(self) -> None:
        """The primes are counted without libcrypto; what is no RSA key has none."""
        pem = test_pem(FOUR_PRIMES)
        der = der_of(pem)
        counts = {
            pem: 4,
            pem.replace(b"\n", b"\r\n"): 4,
            (VECTORS / "alice.pem").read_bytes(): 2,
            pem_of(der + b"\0"): 0,
            pem_of(der[:-1]): 0,
            pem.replace(b"PRIVATE", b"PUBLIC"): 0,
            pem.replace(b"M", b"=", 1): 0,
            b"": 0,
        }
        for text, count in counts.items():
            self.assertEqual(primes_in(text), count, text[:60])


class FreedTests(SynchronousTestCase):
    """What libcrypto makes for us is freed, whatever happened in between."""

    def setUp(self) -> None:
        """Count the calls."""
        self.recording = RecordingLibcrypto(libcrypto())
        self.lib = cast(CDLL, self.recording)

    def balance(self) -> tuple[int, int, int]:
        """Return how many contexts, PKCS#8 structures and keys were not freed."""
        called = self.recording.called
        return (
            called["EVP_PKEY_CTX_new"]
            + called["EVP_PKEY_CTX_new_id"]
            - called["EVP_PKEY_CTX_free"],
            called["d2i_PKCS8_PRIV_KEY_INFO"]
            + called["EVP_PKEY2PKCS8"]
            - called["PKCS8_PRIV_KEY_INFO_free"],
            called["EVP_PKCS82PKEY"] - called["EVP_PKEY_free"],
        )

    def test_freed(self) -> None:
        """A key is read, checked, used and written: with it goes all."""
        key = multiprime._Pkey.from_der(self.lib, der_of(test_pem(FOUR_PRIMES)))
        key.check()
        key.sign(DIGEST)
        key.to_der()
        self.assertEqual(self.balance(), (0, 0, 1))
        del key
        self.assertEqual(self.balance(), (0, 0, 0))

    def test_freed_after_a_fault(self) -> None:
        """So it is when a call fails, and the thread's queue of errors is empty."""
        unsound = multiprime._Pkey.from_der(self.lib, der_of(off_by_two("coefficient")))
        with self.assertRaisesRegex(LibcryptoError, "coefficient not|iqmp not"):
            unsound.check()
        with self.assertRaisesRegex(LibcryptoError, "key prime num invalid"):
            multiprime._Pkey.generate(self.lib, 5)
        self.assertEqual(self.balance()[:2], (0, 0))
        self.assertEqual(libcrypto().ERR_get_error(), 0)


class FinderTests(SynchronousTestCase):
    """libcrypto is found under its common names, and its absence is one sentence."""

    def test_missing(self) -> None:
        """No file, no library, or another one: keys can be neither made nor used."""
        for names in ((), ("libcrypto.so.0.nowhere",), ("libc.so.6",), (__file__,)):
            libcrypto_at(self, *names)
            for use in (
                lambda: MultiPrimeKey.generate(4),
                lambda: MultiPrimeKey.from_pem(test_pem(FOUR_PRIMES)),
            ):
                with self.assertRaises(ConfigurationError) as caught:
                    use()
                self.assertEqual(
                    str(caught.exception),
                    "a key of more than two primes needs libcrypto of OpenSSL 1.1.1 or "
                    "later, which is not on this machine",
                )

    def test_second_name(self) -> None:
        """A name that leads nowhere does not end the search."""
        libcrypto_at(self, "libcrypto.so.0.nowhere", *multiprime.names())
        self.assertIn(b"OpenSSL ", libcrypto().OpenSSL_version(0))

    def test_on_a_mac(self) -> None:
        """Apple's own, which ends the process of whoever loads it, is not tried."""
        self.patch(sys, "platform", "darwin")
        for name in multiprime.names():
            self.assertRegex(name, r"openssl@?3/lib/libcrypto\.3\.dylib\Z")
