"""What is said to everybody, and of who has it?  (SOCP 9.3, and ours)"""

from dataclasses import dataclass
from typing import Any

from socp_twisted.wire.envelope import is_identifier
from socp_twisted.wire.payloads.fields import (
    a_ciphertext,
    a_plain_id,
    a_public_key,
    a_signature,
    is_ciphertext,
    is_integer,
    is_list_of,
    is_text,
    perhaps_an_id,
    wire_field,
)
from socp_twisted.wire.payloads.payload import Payload

MAX_SHARES = 64
"""Wraps in one PUBLIC_CHANNEL_KEY_SHARE; ours have 16."""

MAX_RECEIVED = 10_000
"""Members named in one answer: with 64 characters each, 670 kB of 1 MiB."""

MAX_RECEIPTS = 512
"""Messages that one frame acknowledges; each is looked up."""


def _is_share(value: Any) -> bool:
    return (
        type(value) is dict
        and is_identifier(value.get("member"))
        and is_ciphertext(value.get("wrapped_public_channel_key"))
    )


@dataclass(frozen=True, slots=True)
class ChannelAdd(Payload):
    """PUBLIC_CHANNEL_ADD: these users belong to the channel from now on."""

    add: list[str] = wire_field(is_list_of(is_identifier, 1024), "a list of ids")
    if_version: int = wire_field(is_integer(0, 2**53), "a version")


@dataclass(frozen=True, slots=True)
class ChannelMessage(Payload):
    """MSG_PUBLIC_CHANNEL to "public" (ours): sealed once, for whoever has the key."""

    ciphertext: str = a_ciphertext()
    sender_pub: str = a_public_key()
    content_sig: str = a_signature()
    key_id: str = a_plain_id()
    seq: int = wire_field(is_integer(0, 2**53), "a number from 0")
    sender: str = perhaps_an_id()
    ts: int = wire_field(is_integer(0, 2**53), "milliseconds", 0)


@dataclass(frozen=True, slots=True)
class ChannelShare(Payload):
    """PUBLIC_CHANNEL_KEY_SHARE: a sender's key, wrapped for some members."""

    shares: list[dict[str, Any]] = wire_field(
        is_list_of(_is_share, MAX_SHARES), f"a list of at most {MAX_SHARES} wraps"
    )
    creator_pub: str = a_public_key()
    content_sig: str = a_signature()
    key_id: str = a_plain_id()
    sender: str = perhaps_an_id()


@dataclass(frozen=True, slots=True)
class ChannelReceipts(Payload):
    """ACK of a client (ours): which messages to everybody it has, and has not."""

    msg_refs: list[str] = wire_field(
        is_list_of(is_text(128), MAX_RECEIPTS), "a list of references", list
    )
    refused: list[str] = wire_field(
        is_list_of(is_text(128), MAX_RECEIPTS), "a list of references", list
    )


@dataclass(frozen=True, slots=True)
class ChannelAnswer(Payload):
    """ACK of a server (ours): which members have a message to everybody."""

    msg_ref: str = wire_field(is_text(128), "text")
    received: list[str] = wire_field(
        is_list_of(is_identifier, MAX_RECEIVED), "a list of ids"
    )
