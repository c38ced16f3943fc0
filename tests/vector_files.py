"""Vectors made with the openssl command line, and the test keys that go with them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from socp_twisted.trust.keys import PrivateKey, PublicKey

FOLDER = Path(__file__).parent / "vectors"


@cache
def vectors(name: str) -> Any:
    """Return what ``tests/vectors/<name>.json`` holds."""
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


@cache
def public(owner: str) -> PublicKey:
    """Return the public key of alice, bob, srv-a, srv-b or srv-c."""
    return PublicKey.parse(vectors("keys")["public_keys"][owner])


@cache
def private(owner: str) -> PrivateKey:
    """Return the key pair of alice, bob, srv-a, srv-b or srv-c."""
    pem = (FOLDER / vectors("keys")["private_keys"][owner]).read_bytes()
    return PrivateKey.from_pem(pem, trusted=True)
