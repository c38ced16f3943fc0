"""How is content kept from everybody between two users?  RSA-OAEP.  (SOCP 4)"""

from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from socp_twisted.errors import MalformedFrame
from socp_twisted.trust.keys import PrivateKey, PublicKey
from socp_twisted.wire.vocabulary import OAEP_MAX, RSA_BYTES

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
