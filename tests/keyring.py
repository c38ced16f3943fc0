"""The test keys, and what was signed with them: each thing once in a process."""

from functools import cache
from pathlib import Path

from socp_twisted.trust.keys import PrivateKey
from socp_twisted.trust.signatures import sign

VECTORS = Path(__file__).parent / "vectors"
KEYS = Path(__file__).parent / "keys"
NOON = 1_700_000_000.0
"""Unix time at which every test begins."""


@cache
def key_of(name: str) -> PrivateKey:
    """Return the test key of a user or server: a vector's, or one kept in keys/."""
    for folder in (VECTORS, KEYS):
        path = folder / f"{name}.pem"
        if path.exists():
            return PrivateKey.from_pem(path.read_bytes(), trusted=True)
    raise LookupError(f"no test key for {name}")


def pub_of(name: str) -> str:
    """Return the public key of a test key, as on the wire."""
    return key_of(name).public.text


@cache
def signature(name: str, data: bytes) -> str:
    """Sign with a test key, each thing once in a process: 5 ms apiece add up."""
    return sign(key_of(name), data)
