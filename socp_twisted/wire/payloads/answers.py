"""What became of which frame?  ERROR and ACK, in every direction.  (SOCP 9.5)"""

from dataclasses import dataclass

from socp_twisted.wire.payloads.channel import MAX_RECEIPTS
from socp_twisted.wire.payloads.fields import (
    is_list_of,
    is_text,
    perhaps_an_id,
    wire_field,
)
from socp_twisted.wire.payloads.payload import Payload


@dataclass(frozen=True, slots=True)
class ErrorReport(Payload):
    """ERROR: what could not be done, and for which frame."""

    code: str = wire_field(is_text(64), "text")
    detail: str = wire_field(is_text(1024), "text", "")
    msg_ref: str = wire_field(is_text(128), "text", "")
    user_id: str = perhaps_an_id()


@dataclass(frozen=True, slots=True)
class DeliveryAnswers(Payload):
    """ACK of a server (ours): which deliveries have arrived."""

    msg_refs: list[str] = wire_field(
        is_list_of(is_text(128), MAX_RECEIPTS), "a list of references"
    )
