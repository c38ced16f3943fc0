"""Vectors made with the openssl command line, and the test keys that go with them."""

import json
from functools import cache
from typing import Any

from socp_twisted.trust.keys import PrivateKey, PublicKey
from tests.keyring import VECTORS, key_of


@cache
def vectors(name: str) -> Any:
    """Return what ``tests/vectors/<name>.json`` holds."""
    return json.loads((VECTORS / f"{name}.json").read_text("utf-8"))


@cache
def public(owner: str) -> PublicKey:
    """Return the public key of alice, bob, srv-a, srv-b or srv-c."""
    return PublicKey.parse(vectors("keys")["public_keys"][owner])


def private(owner: str) -> PrivateKey:
    """Return the key pair of alice, bob, srv-a, srv-b or srv-c."""
    return key_of(owner)
