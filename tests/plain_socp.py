"""
What does the standard ask of a frame?  Written again, with ``cryptography`` alone.

Nothing here imports the project: what both sides got wrong in the same way would
otherwise look right.
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

Frame = dict[str, Any]

FOLDERS: Final = [Path(__file__).parent / name for name in ("vectors", "keys")]
MAX_SALT: Final = 478
_MGF: Final = padding.MGF1(hashes.SHA256())
_OAEP: Final = padding.OAEP(mgf=_MGF, algorithm=hashes.SHA256(), label=None)


def b64u(data: bytes) -> str:
    """Encode as base64url without padding."""
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def unb64u(text: str) -> bytes:
    """Decode base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def canonical(payload: Mapping[str, Any]) -> bytes:
    """Return the bytes that a transport signature covers."""
    return json.dumps(
        payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode("utf-8")


def content_bytes(ciphertext: bytes, sender: str, to: str, ts: int) -> bytes:
    """Return what a ``content_sig`` covers; ``to`` is empty on the public channel."""
    return ciphertext + sender.encode() + to.encode() + str(ts).encode()


@dataclass(frozen=True, slots=True)
class Key:
    """A test key: its owner, its private half, and its public half as on the wire."""

    owner: str
    private: rsa.RSAPrivateKey
    public: str

    def sign(self, data: bytes, salt: int = 32) -> str:
        """Return the RSASSA-PSS signature of ``data``."""
        pss = padding.PSS(mgf=_MGF, salt_length=salt)
        return b64u(self.private.sign(data, pss, hashes.SHA256()))

    def unseal(self, ciphertext: bytes) -> bytes:
        """Decrypt one OAEP block."""
        return self.private.decrypt(ciphertext, _OAEP)


@cache
def key_of(owner: str) -> Key:
    """Return the test key of a server or user."""
    [path] = [path for folder in FOLDERS if (path := folder / f"{owner}.pem").exists()]
    private = load_pem_private_key(
        path.read_bytes(), password=None, unsafe_skip_rsa_key_validation=True
    )
    assert isinstance(private, rsa.RSAPrivateKey)
    der = private.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return Key(owner, private, b64u(der))


def seal(public: str, text: bytes) -> bytes:
    """Encrypt one OAEP block."""
    return _public(public).encrypt(text, _OAEP)


def is_signed(public: str, data: bytes, sig: str) -> bool:
    """Say whether a signature verifies, whatever its salt."""
    pss = padding.PSS(mgf=_MGF, salt_length=padding.PSS.AUTO)
    try:
        _public(public).verify(unb64u(sig), data, pss, hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def is_from(public: str, frame: Frame) -> bool:
    """Say whether a frame's transport signature is there and verifies."""
    return bool(frame.get("sig")) and is_signed(
        public, canonical(frame["payload"]), frame["sig"]
    )


def message(key: Key, to: str, public: str, text: str, ts: int) -> dict[str, str]:
    """
    Return the payload of a MSG_DIRECT from the key's owner.

    With an empty ``to``, it is that of a MSG_PUBLIC_CHANNEL for one member.
    """
    ciphertext = seal(public, text.encode())
    return {
        "ciphertext": b64u(ciphertext),
        "sender_pub": key.public,
        "content_sig": key.sign(content_bytes(ciphertext, key.owner, to, ts)),
    }


def read_message(
    key: Key, payload: Mapping[str, Any], public: str, *, channel: bool = False
) -> str:
    """
    Decrypt what USER_DELIVER or SERVER_DELIVER carries for the key's owner.

    Or what MSG_PUBLIC_CHANNEL does, with ``channel``.  Raise ``ValueError`` unless it
    is signed with ``public``, the sender's key.
    """
    ciphertext = unb64u(payload["ciphertext"])
    to = "" if channel else key.owner
    content = content_bytes(ciphertext, payload["sender"], to, payload["ts"])
    if payload["sender_pub"] != public:
        raise ValueError("sender_pub is another key")
    if not is_signed(public, content, payload["content_sig"]):
        raise ValueError("content_sig does not verify")
    return key.unseal(ciphertext).decode()


@cache
def _public(text: str) -> rsa.RSAPublicKey:
    key = load_der_public_key(unb64u(text))
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def pake_password(password: str) -> str:
    """Return what the original's client registers for a password."""
    salt = os.urandom(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
    return f"{b64u(salt)}.{b64u(digest)}"
