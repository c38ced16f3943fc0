"""Is this a frame, and was it signed as the type that it has?  (SOCP 7)"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from socp_twisted.errors import MalformedFrame
from socp_twisted.wire.encoding import parse_object
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import (
    ACK,
    ERROR,
    LIST_RESPONSE,
    PUBLIC_CHANNEL_SNAPSHOT,
    USER_ADDED,
    USER_REMOVED,
)

# The signature covers the payload alone, and whoever is on an unencrypted way could
# send it on as another type: a refusal as an ACK.  What users say has a ``sender``.
_NEVER_IN: Final[Mapping[str, frozenset[str]]] = {
    ACK: frozenset({"sender", "code"}),
    ERROR: frozenset({"sender", "status"}),
    USER_ADDED: frozenset({"sender"}),
    USER_REMOVED: frozenset({"sender", "pubkey"}),
    LIST_RESPONSE: frozenset({"sender", "pubkey"}),
    PUBLIC_CHANNEL_SNAPSHOT: frozenset({"sender"}),
}
"""The fields by which a payload shows that it was signed as another type."""


def read_frame(frame: bytes) -> Envelope:
    """
    Read a frame of a server, or raise ``MalformedFrame``.

    The original has the list of users beside the payload.
    """
    envelope = Envelope.parse(frame, complete=False)
    if envelope.type == LIST_RESPONSE and "users" not in envelope.payload:
        return replace(envelope, extra={"users": parse_object(frame).get("users")})
    return envelope


def check_type(envelope: Envelope) -> None:
    """Raise ``MalformedFrame`` for what was signed as something else than it is."""
    strange = _NEVER_IN.get(envelope.type, frozenset()).intersection(envelope.payload)
    if strange:
        raise MalformedFrame(
            f"signed as something else than {envelope.type}: it has {min(strange)!r}"
        )
