"""What do the frames of a file carry?  (SOCP 9.4, and FILE_ANSWER, which is ours)"""

from dataclasses import dataclass
from typing import Any

from socp_twisted.wire.payloads.fields import (
    a_plain_id,
    a_public_key,
    a_sha256,
    a_signature,
    is_base64url,
    is_bool,
    is_ciphertext,
    is_integer,
    is_text,
    perhaps_an_id,
    unprintable,
    wire_field,
)
from socp_twisted.wire.payloads.payload import Payload

MAX_FILE = 100 * 1024 * 1024
"""Bytes of a file that the servers of this project carry."""


def _is_file_name(value: Any) -> bool:
    return (
        type(value) is str
        and 0 < len(value.encode("utf-8", "replace")) <= 255
        and value not in (".", "..")
        and value.strip(" \u200c\u200d") != ""
        and not any(char in "/\\" or unprintable(char) for char in value)
    )


@dataclass(frozen=True, slots=True)
class FileStart(Payload):
    """FILE_START: a file is offered; ours adds a sealed and signed manifest."""

    file_id: str = a_plain_id()
    name: str = wire_field(_is_file_name, "a plain file name of 1 to 255 bytes")
    size: int = wire_field(is_integer(0, MAX_FILE), f"0 to {MAX_FILE} bytes")
    sha256: str = a_sha256()
    mode: str = wire_field(
        lambda value: value in ("dm", "public"), "dm or public", "dm"
    )
    to: str = perhaps_an_id()
    sender: str = perhaps_an_id()
    sender_pub: str = a_public_key("")
    manifest: str = wire_field(
        lambda value: value == "" or is_ciphertext(value), "sealed base64url", ""
    )
    content_sig: str = a_signature("")


@dataclass(frozen=True, slots=True)
class FileChunk(Payload):
    """FILE_CHUNK: one sealed piece."""

    file_id: str = a_plain_id()
    index: int = wire_field(is_integer(0, 2**32), "a number from 0")
    ciphertext: str = wire_field(is_base64url, "base64url")
    to: str = perhaps_an_id()
    sender: str = perhaps_an_id()


@dataclass(frozen=True, slots=True)
class FileEnd(Payload):
    """FILE_END, and FILE_ANSWER (ours): a file is complete, wanted, or given up."""

    file_id: str = a_plain_id()
    accept: bool = wire_field(is_bool, "true or false", False)
    aborted: bool = wire_field(is_bool, "true or false", False)
    reason: str = wire_field(is_text(256), "text of 256 characters", "")
    to: str = perhaps_an_id()
    sender: str = perhaps_an_id()
