"""The test keys, and what was signed with them: each thing once in a process."""

from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.trust import multiprime
from socp_twisted.trust.keys import PrivateKey, SigningKey
from socp_twisted.trust.multiprime import MultiPrimeKey, libcrypto
from socp_twisted.trust.signatures import sign
from tests.mixed_keys import mixed

VECTORS = Path(__file__).parent / "vectors"
KEYS = Path(__file__).parent / "keys"
NOON = 1_700_000_000.0
"""Unix time at which every test begins."""


FOUR_PRIMES = "srv-k"
"""The test server whose key has four primes; the others' have two."""


def pem_of(name: str) -> bytes:
    """Return the PEM of a test key: a vector's, or one kept in keys/."""
    for folder in (VECTORS, KEYS):
        path = folder / f"{name}.pem"
        if path.exists():
            return path.read_bytes()
    raise LookupError(f"no test key for {name}")


@cache
def key_of(name: str) -> PrivateKey:
    """
    Return the test key of a user, or of a server with two primes.

    ``srv-a+srv-b`` is one more, of a prime of either: for tests that need many.
    """
    if "+" in name:
        return mixed(*map(key_of, name.split("+")))
    return PrivateKey.from_pem(pem_of(name), trusted=True)


@cache
def four_primes() -> MultiPrimeKey:
    """Return the test key of four primes: 0.1 s, once in a process."""
    return MultiPrimeKey.from_pem(pem_of(FOUR_PRIMES))


def signer_of(name: str) -> SigningKey:
    """Return the test key of a user or of any server."""
    return four_primes() if name == FOUR_PRIMES else key_of(name)


def pub_of(name: str) -> str:
    """Return the public key of a test key, as on the wire."""
    return signer_of(name).public.text


@cache
def signature(name: str, data: bytes) -> str:
    """Sign with a test key, each thing once in a process: 5 ms apiece add up."""
    return sign(signer_of(name), data)


def libcrypto_at(test: SynchronousTestCase, *names: str) -> None:
    """Let libcrypto be looked for under no names but these, until the test ends."""
    test.patch(multiprime, "names", lambda: iter(names))
    libcrypto.cache_clear()
    test.addCleanup(libcrypto.cache_clear)
