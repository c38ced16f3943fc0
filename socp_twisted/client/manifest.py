"""What does a sender say of a file, and how is a chunk sealed?  (SOCP 9.4, ours)

The standard's FILE_START is neither signed nor encrypted.  Ours adds a *manifest*: the
same fields and the key of the file, sealed for the recipient, under the sender's
content signature.  What the manifest says is believed, not what stands beside it.
"""

import json
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from socp_twisted.client.fields import (
    field_bytes,
    field_plain_id,
    field_sender,
    field_text,
)
from socp_twisted.errors import MalformedFrame
from socp_twisted.trust.keys import PrivateKey, PublicKey
from socp_twisted.trust.sealing import seal, unseal
from socp_twisted.wire.encoding import b64u_decode, b64u_encode, parse_object
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.payloads import MAX_FILE
from socp_twisted.wire.vocabulary import EXTRA_BLOCKS, EXTRA_LARGE, OAEP_MAX, RSA_BYTES

MAX_NAME_BYTES: Final = 255
AES_CHUNK: Final = 48 * 1024
LARGE_CHUNK: Final = 256 * 1024
"""For a recipient who takes it: 350 kB as a frame, a third of what may be passed on."""
RSA_BLOCKS: Final = 64
"""OAEP blocks of one chunk, for a recipient who decrypts several."""
MAX_MANIFEST: Final = 8 * RSA_BYTES

AES: Final = "aes-256-gcm"
RSA: Final = "rsa-oaep"
MODES: Final = frozenset({"dm", "public"})

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One file: its name, size in bytes and SHA-256; ``secret`` is its AES key."""

    file_id: str
    name: str
    size: int
    sha256: str
    mode: str
    secret: bytes = b""

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Self:
        """Read the standard's fields of FILE_START, or raise ``MalformedFrame``."""
        size, mode = fields.get("size"), fields.get("mode", "dm")
        name = field_text(fields, "name", MAX_NAME_BYTES)
        sha256 = field_text(fields, "sha256", 64).lower()
        if len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
            raise MalformedFrame(f"payload.name is longer than {MAX_NAME_BYTES} bytes")
        if type(size) is not int or not 0 <= size <= MAX_FILE:
            raise MalformedFrame(f"payload.size must be 0 to {MAX_FILE:,} bytes")
        if not _SHA256.match(sha256):
            raise MalformedFrame("payload.sha256 must be 64 hex digits")
        if type(mode) is not str or mode not in MODES:
            raise MalformedFrame("payload.mode must be 'dm' or 'public'")
        return cls(field_plain_id(fields, "file_id"), name, size, sha256, mode)

    def fields(self) -> dict[str, Any]:
        """Return the standard's fields."""
        return {
            "file_id": self.file_id,
            "name": self.name,
            "size": self.size,
            "sha256": self.sha256,
            "mode": self.mode,
        }

    def seal(self, key: PublicKey) -> bytes:
        """Return the manifest for its recipient's eyes."""
        text = json.dumps(
            {**self.fields(), "key": b64u_encode(self.secret)}, ensure_ascii=False
        )
        return seal(key, text.encode("utf-8"))

    @classmethod
    def unseal(cls, key: PrivateKey, sealed: bytes) -> Self:
        """Read a manifest, or raise ``MalformedFrame``: 5 ms for each block."""
        fields = parse_object(unseal(key, sealed))
        plain = cls.read(fields)
        try:
            secret = b64u_decode(field_text(fields, "key", 64, default=""))
        except ValueError as why:
            raise MalformedFrame(f"the manifest's key is {why}") from why
        if len(secret) not in (0, 32):
            raise MalformedFrame("the manifest's key has not 32 bytes")
        return cls(**plain.fields(), secret=secret)


def subject(envelope: Envelope) -> tuple[str, str]:
    """Return (sender, file_id) of any FILE_ frame, or raise ``MalformedFrame``."""
    return field_sender(envelope.payload), field_plain_id(envelope.payload, "file_id")


def chunk_size(secret: bytes, extras: Container[str]) -> int:
    """Return how many bytes of the file go into one chunk for who can ``extras``."""
    if secret:
        return LARGE_CHUNK if EXTRA_LARGE in extras else AES_CHUNK
    return OAEP_MAX * RSA_BLOCKS if EXTRA_BLOCKS in extras else OAEP_MAX


def seal_chunk(manifest: Manifest, key: PublicKey, index: int, data: bytes) -> str:
    """Return the ``ciphertext`` of one chunk."""
    if not manifest.secret:
        return b64u_encode(seal(key, data))
    nonce, bound = _binding(manifest.file_id, index)
    return b64u_encode(AESGCM(manifest.secret).encrypt(nonce, data, bound))


def open_chunk(
    manifest: Manifest, key: PrivateKey, index: int, payload: Mapping[str, Any]
) -> bytes:
    """Decrypt one chunk, or raise ``MalformedFrame``."""
    if not manifest.secret:
        sealed = field_bytes(payload, "ciphertext", RSA_BLOCKS * RSA_BYTES)
        return unseal(key, sealed)
    sealed = field_bytes(payload, "ciphertext", LARGE_CHUNK + 16)
    nonce, bound = _binding(manifest.file_id, index)
    try:
        return AESGCM(manifest.secret).decrypt(nonce, sealed, bound)
    except (InvalidTag, ValueError) as why:
        raise MalformedFrame("a chunk cannot be decrypted") from why


def _binding(identity: str, index: int) -> tuple[bytes, bytes]:
    # One key for each file, so the index alone never repeats as a nonce.
    bound = identity.encode("utf-8") + index.to_bytes(8, "big")
    return index.to_bytes(12, "big"), bound
