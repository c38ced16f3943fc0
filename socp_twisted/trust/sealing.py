"""
How is content kept from everybody between two users?  RSA-OAEP.  (SOCP 4)

What is said to everybody is sealed once, with AES-256-GCM, under a key that each member
was given so.  (Ours)
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from socp_twisted.errors import MalformedFrame
from socp_twisted.trust.keys import PrivateKey, PublicKey
from socp_twisted.wire.vocabulary import OAEP_MAX, RSA_BYTES

SHARED_KEY: Final = 32
NONCE: Final = 12
_TAG: Final = 16
_END: Final = b"\x80"
"""Where the padding begins; zeros follow."""

_OAEP: Final = padding.OAEP(
    mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None
)


def seal(key: PublicKey, plaintext: bytes) -> bytes:
    """
    Encrypt for ``key``: one OAEP block for each 446 bytes, at least one (0.1 ms each).

    More than one block is ours: the standard has no longer messages.
    """
    return b"".join(
        key.material.encrypt(plaintext[start : start + OAEP_MAX], _OAEP)
        for start in range(0, max(len(plaintext), 1), OAEP_MAX)
    )


def unseal(key: PrivateKey, ciphertext: bytes) -> bytes:
    """
    Decrypt consecutive OAEP blocks (5 ms each), or raise ``MalformedFrame``.

    The text is the same whatever the fault: OAEP must not say what it saw.
    """
    if not ciphertext or len(ciphertext) % RSA_BYTES:
        raise MalformedFrame("the ciphertext cannot be decrypted")
    try:
        return b"".join(
            key.material.decrypt(ciphertext[start : start + RSA_BYTES], _OAEP)
            for start in range(0, len(ciphertext), RSA_BYTES)
        )
    except ValueError as why:
        raise MalformedFrame("the ciphertext cannot be decrypted") from why


def seal_shared(key: bytes, nonce: bytes, plaintext: bytes, bound: bytes) -> bytes:
    """
    Encrypt with AES-256-GCM, padded to a multiple of 512 bytes, bound to ``bound``.

    The length hides the text's, and is one that a content signature takes.
    """
    size = NONCE + len(plaintext) + len(_END) + _TAG
    padded = plaintext + _END + bytes(-size % RSA_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, padded, bound)


def unseal_shared(key: bytes, ciphertext: bytes, bound: bytes) -> bytes:
    """Decrypt what ``seal_shared`` sealed, or raise ``MalformedFrame``."""
    try:
        nonce, sealed = ciphertext[:NONCE], ciphertext[NONCE:]
        padded = AESGCM(key).decrypt(nonce, sealed, bound)
    except (InvalidTag, ValueError) as why:
        raise MalformedFrame("the ciphertext cannot be decrypted") from why
    plaintext, end, zeros = padded.rpartition(_END)
    if not end or zeros.strip(b"\0"):
        raise MalformedFrame("the ciphertext cannot be decrypted")
    return plaintext
