"""How does a text become frames and come back?  Splitting, sealing, signing.  (SOCP 9)

Nothing here keeps state, which remembers what was already shown.
"""

import unicodedata
from dataclasses import dataclass
from typing import Any, Final, Self

from socp_twisted.client.fields import (
    field_bytes,
    field_plain_id,
    field_sender,
    field_seq,
    field_text,
    field_ts,
)
from socp_twisted.errors import ErrorCode, MalformedFrame, Refused
from socp_twisted.trust.keys import PrivateKey, PublicKey
from socp_twisted.trust.sealing import seal, unseal
from socp_twisted.trust.signatures import check, direct_content, public_content, sign
from socp_twisted.wire.encoding import b64u_encode
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import (
    EXTRA_BLOCKS,
    OAEP_MAX,
    RSA_BYTES,
)

MAX_TEXT: Final = 65_536
"""Bytes of one message in UTF-8."""

MAX_BLOCKS: Final = -(-MAX_TEXT // OAEP_MAX)
"""OAEP blocks of one message; each costs its recipient 5 ms."""

MAX_MARK: Final = 96
"""Characters of what names a message to everybody: key and number."""


def text_bytes(text: str) -> bytes:
    """Return a text as it is sealed, or raise ``Refused`` in one sentence."""
    if not text:
        raise Refused(ErrorCode.MALFORMED, "an empty message is not sent")
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as why:
        raise Refused(
            ErrorCode.MALFORMED, "the message has characters that are no text"
        ) from why
    if len(data) > MAX_TEXT:
        raise Refused(
            ErrorCode.LIMIT,
            f"the message has {len(data):,} bytes; at most {MAX_TEXT:,} can be sent",
        )
    return data


def split_text(text: str, limit: int = OAEP_MAX) -> list[str]:
    """
    Cut a text into parts of at most ``limit`` bytes that add up to it again.

    No character is cut, and an accent or a joined emoji stays with what it belongs to
    unless that alone is longer than a part.
    """
    parts: list[str] = []
    start = 0
    while start < len(text):
        end, size = start, 0
        while end < len(text):
            size += len(text[end].encode("utf-8"))
            if size > limit:
                break
            end += 1
        parts.append(text[start : _boundary(text, start, end)])
        start += len(parts[-1])
    return parts


def _boundary(text: str, start: int, end: int) -> int:
    if end == len(text):
        return end
    for cut in range(end, max(start, end - 64), -1):
        joined = "\u200d" in (text[cut], text[cut - 1])
        if not joined and unicodedata.category(text[cut]) not in ("Mn", "Me", "Mc"):
            return cut
    return end


def seal_text(key: PublicKey, extras: frozenset[str], text: str) -> list[bytes]:
    """
    Return the ciphertexts of a text for one recipient (0.1 ms for each block).

    One, of several OAEP blocks, for whoever says that they decrypt "blocks"; else one
    for each 446 bytes.
    """
    data = text_bytes(text)
    if EXTRA_BLOCKS in extras:
        return [seal(key, data)]
    return [seal(key, part.encode("utf-8")) for part in split_text(text)]


def direct_payload(
    key: PrivateKey, ciphertext: bytes, sender: str, to: str, ts: int
) -> dict[str, Any]:
    """Return the payload of MSG_DIRECT: 5 ms for the signature."""
    return _signed(key, ciphertext, direct_content(ciphertext, sender, to, ts))


def public_payload(
    key: PrivateKey, ciphertext: bytes, sender: str, ts: int
) -> dict[str, Any]:
    """Return the payload of MSG_PUBLIC_CHANNEL for one member: 5 ms."""
    return _signed(key, ciphertext, public_content(ciphertext, sender, ts))


def _signed(key: PrivateKey, ciphertext: bytes, content: bytes) -> dict[str, Any]:
    return {
        "ciphertext": b64u_encode(ciphertext),
        "sender_pub": key.public.text,
        "content_sig": sign(key, content),
    }


def channel_mark(key_id: str, seq: int) -> str:
    """Name one message of a sender to everybody."""
    return f"{key_id}.{seq}"


def opened_text(data: bytes) -> str:
    """Return the text of a message that was decrypted, or raise ``MalformedFrame``."""
    if len(data) > MAX_TEXT:
        raise MalformedFrame(f"longer than the {MAX_TEXT:,} bytes of one message")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as why:
        raise MalformedFrame("the text is not UTF-8") from why


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it came from the server: well formed, its signature unchecked."""

    sender: str
    sender_pub: str
    ciphertext: bytes
    content_sig: str
    ts: int
    held: bool
    msg_id: str = ""
    """What a receipt refers to, if the server asks for one."""
    key_id: str = ""
    """The key of the public channel that it is sealed with; else it is sealed to us."""
    seq: int = 0
    again: str = ""
    """Which message to everybody this is, sealed to us alone since we lacked that."""

    @classmethod
    def read(cls, envelope: Envelope) -> Self:
        """Read USER_DELIVER or MSG_PUBLIC_CHANNEL, or raise ``MalformedFrame``."""
        payload = envelope.payload
        return cls(
            sender=field_sender(payload),
            sender_pub=field_text(payload, "sender_pub", default=""),
            ciphertext=field_bytes(payload, "ciphertext", MAX_BLOCKS * RSA_BYTES),
            content_sig=field_text(payload, "content_sig", default=""),
            ts=field_ts(envelope),
            held=payload.get("held") is True,
            msg_id=field_text(payload, "msg_id", default=""),
            key_id=field_plain_id(payload, "key_id") if "key_id" in payload else "",
            seq=field_seq(payload),
            again=field_text(payload, "again", MAX_MARK, default=""),
        )

    @property
    def mark(self) -> str:
        """Return the name of a message that may come in two ways, or ""."""
        return channel_mark(self.key_id, self.seq) if self.key_id else self.again

    def check(self, key: PublicKey, to: str, public: bool) -> None:
        """Verify the content signature, or raise ``InvalidSignature``."""
        content = (
            public_content(self.ciphertext, self.sender, self.ts)
            if public
            else direct_content(self.ciphertext, self.sender, to, self.ts)
        )
        check(key, content, self.content_sig)

    def open(self, key: PrivateKey) -> str:
        """Decrypt the text, or raise ``MalformedFrame``: 5 ms for each block."""
        return opened_text(unseal(key, self.ciphertext))
