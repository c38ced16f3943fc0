"""
Did they say this?  Transport signatures, content signatures, logins.  (SOCP 7, 12)

``Verified`` is made in this module alone: whoever holds one holds a checked signature,
or what came over a TLS connection that the other end's signature covers.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography.exceptions import InvalidSignature as _NotTheirs
from cryptography.hazmat.primitives.asymmetric import padding

from socp_twisted.errors import BadKey, InvalidSignature
from socp_twisted.trust.keys import DIGEST, MGF, PublicKey, SigningKey, public_key
from socp_twisted.wire.encoding import b64u_decode, b64u_encode, canonical
from socp_twisted.wire.envelope import Envelope, Verified
from socp_twisted.wire.vocabulary import RSA_BYTES, TO_ONE

_VERIFYING: Final = padding.PSS(mgf=MGF, salt_length=padding.PSS.AUTO)


def sign(key: SigningKey, data: bytes) -> str:
    """Return the base64url RSASSA-PSS signature of ``data``: 5 ms, free of the GIL."""
    return b64u_encode(key.sign(hashlib.sha256(data).digest()))


def check(key: PublicKey, data: bytes, sig: str) -> None:
    """Verify a signature over ``data``, or raise ``InvalidSignature``."""
    if not sig:
        raise InvalidSignature("the signature is missing")
    try:
        raw = b64u_decode(sig)
    except ValueError as why:
        raise InvalidSignature(f"the signature is {why}") from why
    if len(raw) != RSA_BYTES:
        raise InvalidSignature(f"the signature has not {RSA_BYTES} bytes")
    try:
        key.material.verify(raw, hashlib.sha256(data).digest(), _VERIFYING, DIGEST)
    except _NotTheirs as why:
        raise InvalidSignature("the signature does not verify") from why


def verify(envelope: Envelope, key: str) -> Verified:
    """
    Verify an envelope's transport signature with a public key as on the wire.

    Raise ``BadKey`` or ``InvalidSignature``.
    """
    check(public_key(key), envelope.signed, envelope.sig)
    return Verified(envelope, key)


def trust_link(envelope: Envelope, key: str, *, sender: str, to: str) -> Verified:
    """
    Believe an unsigned frame of a TLS-bound link: its TLS is ``sender``'s, to us.

    ``key`` signed the link's channel binding (RFC 9266), and ``to`` is our own id.
    Raise ``InvalidSignature`` for what the link does not vouch for: what somebody else
    says, what is for somebody else, and what travels on to servers that are to
    believe it, too.
    """
    ends_here = envelope.type in TO_ONE and envelope.to == to
    if envelope.sig or envelope.sender != sender or not ends_here:
        raise InvalidSignature("the signature is missing, and this link needs it here")
    return Verified(envelope, key)


def signed_frame(envelope: Envelope, key: SigningKey) -> bytes:
    """Return an envelope of our own as a frame, signed."""
    return envelope.to_frame(sign(key, envelope.signed))


# -- content signatures (SOCP 12) ------------------------------------------------------


def direct_content(ciphertext: bytes, sender: str, to: str, ts: int) -> bytes:
    """Return what the ``content_sig`` of a direct message covers."""
    return b"".join((_blocks(ciphertext), _text(sender), _text(to), _text(str(ts))))


def public_content(ciphertext: bytes, sender: str, ts: int) -> bytes:
    """Return what the ``content_sig`` of a public channel message covers."""
    return b"".join((_blocks(ciphertext), _text(sender), _text(str(ts))))


def key_share_content(shares: Sequence[Mapping[str, Any]], creator_pub: str) -> bytes:
    """Return what the ``content_sig`` of a PUBLIC_CHANNEL_KEY_SHARE covers."""
    # The standard says "shares, creator_pub" and no bytes: canonical JSON and DER.
    listed = canonical({"": list(shares)})[4:-1]
    return listed + b64u_decode(creator_pub)


def login_content(nonce: str, server_id: str, server_key: str, user_id: str) -> bytes:
    """
    Return what a user signs to show that the key is theirs (SOCP 9.1, ours).

    The server's key is part of it: another server of that name cannot use it.  It is
    shorter than one OAEP block, so it never passes for a message's content.
    """
    return canonical(
        {
            "context": "socp-login-1",
            "nonce": nonce,
            "server_id": server_id,
            "server_key": hashlib.sha256(server_key.encode("utf-8")).hexdigest(),
            "user_id": user_id,
        }
    )


def is_login(
    key: str, proof: str, *, nonce: str, server_id: str, server_key: str, user_id: str
) -> bool:
    """Say whether the owner of a public key signed this, to be that user there."""
    content = login_content(nonce, server_id, server_key, user_id)
    try:
        check(public_key(key), content, proof)
    except (BadKey, InvalidSignature):
        return False
    return True


def _blocks(ciphertext: bytes) -> bytes:
    # Nothing separates the parts, so the first has a length that no other split has.
    if not ciphertext or len(ciphertext) % RSA_BYTES:
        raise InvalidSignature(
            f"the ciphertext is not a positive multiple of {RSA_BYTES} bytes"
        )
    return ciphertext


def _text(value: str) -> bytes:
    return value.encode("utf-8")
