"""What stands in a payload?  One field at a time, as it must be.  (SOCP 7)

Who sent it is not known yet: whatever is not as it must be raises ``MalformedFrame``.
"""

from collections.abc import Mapping
from typing import Any, Final

from socp_twisted.errors import MalformedFrame
from socp_twisted.wire.encoding import b64u_decode
from socp_twisted.wire.envelope import Envelope, is_identifier
from socp_twisted.wire.payloads import is_plain_id

_TS_DIGITS: Final = 13
"""Of ``ts`` from 2001 to 2286: with one length, signed content splits in one way."""


def field_text(
    payload: Mapping[str, Any], name: str, limit: int = 2048, default: str | None = None
) -> str:
    """Return a text of at most ``limit`` characters; ``default`` if there is none."""
    value = payload.get(name, default)
    if value is None and default is not None:
        return default
    if type(value) is not str or len(value) > limit:
        raise MalformedFrame(f"payload.{name} must be text")
    return value


def field_bytes(payload: Mapping[str, Any], name: str, limit: int) -> bytes:
    """Return what base64url encodes: at most ``limit`` bytes."""
    text = field_text(payload, name, -(-limit * 4 // 3))
    try:
        return b64u_decode(text)
    except ValueError as why:
        raise MalformedFrame(f"payload.{name} is {why}") from why


def field_plain_id(payload: Mapping[str, Any], name: str) -> str:
    """Return the id of a file, or of a key of the public channel."""
    value = payload.get(name)
    if not is_plain_id(value):
        raise MalformedFrame(f"payload.{name} must be 1 to 64 letters, digits, - or _")
    return str(value)


def field_sender(payload: Mapping[str, Any]) -> str:
    """Return the ``sender``."""
    sender = payload.get("sender")
    if type(sender) is not str or not is_identifier(sender):
        raise MalformedFrame("payload.sender must be an id")
    return sender


def field_seq(payload: Mapping[str, Any]) -> int:
    """Return the ``seq``, 0 if there is none."""
    seq = payload.get("seq", 0)
    if type(seq) is not int or seq < 0:
        raise MalformedFrame("payload.seq must be a number from 0")
    return seq


def field_ts(envelope: Envelope) -> int:
    """Return the sender's own ``ts`` out of a delivery: Unix milliseconds."""
    ts = envelope.payload.get("ts")
    if ts is None:
        ts = envelope.ts
    if type(ts) is not int or len(str(ts)) != _TS_DIGITS or ts < 0:
        raise MalformedFrame("payload.ts must be Unix time in milliseconds")
    return ts


def shortened(value: Any, limit: int) -> str:
    """Return a text for our user to read, cut to ``limit``; "" if it is none."""
    return value[:limit] if type(value) is str else ""
