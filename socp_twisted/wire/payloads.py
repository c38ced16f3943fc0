"""
What does each message carry?  One frozen class per type, strict both ways.  (SOCP 8, 9)

A class names the fields that our rules read.  ``read`` ignores unknown fields, refuses
wrong ones with ``MalformedFrame`` naming the field, and never coerces; ``write`` gives
the payload back.  Frames that are forwarded travel as they came, not through here.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self

from socp_twisted.errors import MalformedFrame
from socp_twisted.wire.addresses import is_host
from socp_twisted.wire.encoding import b64u_size
from socp_twisted.wire.envelope import is_identifier
from socp_twisted.wire.vocabulary import RSA_BYTES

_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")
_FILE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_KEY_ID = _FILE_ID

Check = Callable[[Any], bool]

MAX_FILE = 100 * 1024 * 1024
"""Bytes of a file that the servers of this project carry."""


def _wire(check: Check, what: str, default: Any = ..., *, shown: bool = True) -> Any:
    """
    Declare a field: what it must be, and what stands for it where it is missing.

    ``shown`` is false for secrets: no log and no traceback holds them.
    """
    metadata = {"check": check, "what": what}
    if default is ...:
        return field(metadata=metadata, repr=shown)
    if callable(default):
        return field(default_factory=default, metadata=metadata, repr=shown)
    return field(default=default, metadata=metadata, repr=shown)


def _is_text(limit: int) -> Check:
    return lambda value: type(value) is str and len(value) <= limit


def _is_integer(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


MAX_SIGNATURE = 2048
"""Characters: RSA-4096 has 683, and clients read no longer ones."""


def _is_signature(value: Any) -> bool:
    return _is_base64url(value) and len(value) <= MAX_SIGNATURE


def _is_base64url(value: Any) -> bool:
    if type(value) is not str:
        return False
    try:
        return b64u_size(value) > 0
    except ValueError:
        return False


def _is_ciphertext(value: Any) -> bool:
    if type(value) is not str:
        return False
    try:
        size = b64u_size(value)
    except ValueError:
        return False
    return size > 0 and size % RSA_BYTES == 0


def _is_list_of(check: Check, limit: int) -> Check:
    return lambda value: (
        type(value) is list and len(value) <= limit and all(map(check, value))
    )


def _is_file_name(value: Any) -> bool:
    return (
        type(value) is str
        and 0 < len(value.encode("utf-8", "replace")) <= 255
        and value not in (".", "..")
        and value.strip(" \u200c\u200d") != ""
        and not any(char in "/\\" or unprintable(char) for char in value)
    )


def unprintable(char: str) -> bool:
    """Say whether a character steers a terminal instead of showing on it."""
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and (
        char not in "\u200c\u200d"  # joiners: emoji and several scripts need them
    )


def _is_sha256(value: Any) -> bool:
    return type(value) is str and _SHA256.match(value) is not None


def _is_bool(value: Any) -> bool:
    return type(value) is bool


def _is_object(value: Any) -> bool:
    return type(value) is dict


def _id() -> Any:
    return _wire(is_identifier, "an id of 1 to 64 letters, digits or ._-@")


def _optional_id() -> Any:
    return _wire(lambda v: v == "" or is_identifier(v), "an id", "")


def _secret(limit: int) -> Any:
    return _wire(_is_text(limit), f"text of {limit} characters", "", shown=False)


def _file_id() -> Any:
    return _wire(
        lambda value: type(value) is str and _FILE_ID.match(value) is not None,
        "1 to 64 letters, digits, - or _",
    )


def is_key_id(value: object) -> bool:
    """Say whether this may name a key of the public channel."""
    return type(value) is str and _KEY_ID.match(value) is not None


def _key_id() -> Any:
    return _wire(is_key_id, "1 to 64 letters, digits, - or _")


def _is_share(value: Any) -> bool:
    return (
        type(value) is dict
        and is_identifier(value.get("member"))
        and _is_ciphertext(value.get("wrapped_public_channel_key"))
    )


def _host() -> Any:
    return _wire(is_host, "a host name or address")


def _port() -> Any:
    return _wire(_is_integer(1, 65535), "a port from 1 to 65535")


def _key_text(default: Any = ...) -> Any:
    return _wire(_is_text(2048), "a public key in base64url", default)


def _ciphertext() -> Any:
    return _wire(
        _is_ciphertext, f"base64url of a positive multiple of {RSA_BYTES} bytes"
    )


def _signature(default: Any = ...) -> Any:
    if default is ...:
        return _wire(_is_signature, "a signature in base64url")
    return _wire(
        lambda v: v == "" or _is_signature(v), "a signature in base64url", default
    )


_Plan = tuple[tuple[str, Check, str, Any], ...]
_plans: dict[type, _Plan] = {}


def _plan(cls: type["Payload"]) -> _Plan:
    """Return (name, check, what, default) of each field, made once."""
    if cls not in _plans:
        _plans[cls] = tuple(
            (
                one.name,
                one.metadata["check"],
                one.metadata["what"],
                one.default_factory()
                if one.default_factory is not MISSING
                else one.default,
            )
            for one in fields(cls)  # type: ignore[arg-type]
        )
    return _plans[cls]


class Payload:
    """What all payloads can: be read strictly, and be written."""

    __slots__ = ()

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Self:
        """Take our fields out of ``payload``, or raise ``MalformedFrame``."""
        values: dict[str, Any] = {}
        for name, check, what, default in _plan(cls):
            # null is how several implementations write a field that they leave out.
            value = payload.get(name)
            if value is None:
                if default is MISSING:
                    raise MalformedFrame(f"payload.{name} is missing")
            elif not check(value):
                raise MalformedFrame(f"payload.{name} must be {what}")
            else:
                values[name] = value
        return cls(**values)

    def write(self) -> dict[str, Any]:
        """Return the payload, without the fields that have their default."""
        return {
            name: value
            for name, _, _, default in _plan(type(self))
            if (value := getattr(self, name)) != default
        }


# -- server to server ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ServerHello(Payload):
    """SERVER_HELLO_JOIN, SERVER_HELLO_LINK, SERVER_ANNOUNCE: where, with which key."""

    host: str = _host()
    port: int = _port()
    pubkey: str = _key_text()
    agent: str = _wire(_is_text(64), "text", "")
    caps: list[str] = _wire(_is_list_of(_is_text(32), 32), "a list of names", list)
    instance: str = _wire(_is_text(64), "text", "")  # changes with each start
    nonce: str = _wire(_is_text(64), "text", "")  # ours, for the other end to sign
    answer: str = _wire(_is_text(64), "text", "")  # theirs, signed by us
    peer: str = _wire(_is_text(64), "text", "")  # whom we say this to
    peer_key: str = _wire(_is_text(64), "text", "")  # and SHA-256 of their key
    server_id: str = _optional_id()  # our own id, under the signature
    secure: bool = _wire(_is_bool, "true or false", False)  # it serves wss://
    tls_exporter: str = _wire(_is_text(64), "text", "")  # of this link's TLS, in LINK


@dataclass(frozen=True, slots=True)
class ServerEntry(Payload):
    """One server, or one user, in the lists of SERVER_WELCOME."""

    server_id: str = _optional_id()
    user_id: str = _optional_id()
    host: str = _wire(_is_text(255), "text", "")
    port: int = _wire(_is_integer(0, 65535), "a port", 0)
    pubkey: str = _key_text("")
    secure: bool = _wire(_is_bool, "true or false", False)  # it serves wss://


@dataclass(frozen=True, slots=True)
class ServerWelcome(Payload):
    """SERVER_WELCOME: the newcomer's id, and whom else there is."""

    assigned_id: str = _id()
    servers: list[Any] = _wire(_is_list_of(_is_object, 4096), "a list of objects", list)
    clients: list[Any] = _wire(
        _is_list_of(_is_object, 65536), "a list of objects", list
    )
    introducer: dict[str, Any] = _wire(_is_object, "an object", dict)
    agent: str = _wire(_is_text(64), "text", "")
    caps: list[str] = _wire(_is_list_of(_is_text(32), 32), "a list of names", list)
    instance: str = _wire(_is_text(64), "text", "")
    nonce: str = _wire(_is_text(64), "text", "")
    answer: str = _wire(_is_text(64), "text", "")
    peer: str = _wire(_is_text(64), "text", "")
    peer_key: str = _wire(_is_text(64), "text", "")
    server_id: str = _optional_id()
    tls_exporter: str = _wire(_is_text(64), "text", "")


@dataclass(frozen=True, slots=True)
class Binding(Payload):
    """The field ``bound`` of what a node of this project says (ours)."""

    type: str = _wire(_is_text(64), "text")
    instance: str = _wire(lambda v: type(v) is str and 0 < len(v) <= 64, "text")
    at: int = _wire(_is_integer(0, 2**53), "milliseconds")
    to: str = _wire(_is_text(300), "text", "")


@dataclass(frozen=True, slots=True)
class UserAdvertise(Payload):
    """USER_ADVERTISE: a user is attached to this server."""

    user_id: str = _id()
    server_id: str = _id()
    pubkey: str = _key_text("")
    meta: dict[str, Any] = _wire(_is_object, "an object", dict)


@dataclass(frozen=True, slots=True)
class UserRemove(Payload):
    """USER_REMOVE: a user has left this server."""

    user_id: str = _id()
    server_id: str = _id()


@dataclass(frozen=True, slots=True)
class Heartbeat(Payload):
    """HEARTBEAT: alive; a node of this project adds the servers it is linked to."""

    links: list[str] | None = _wire(
        _is_list_of(is_identifier, 1024), "a list of server ids", None
    )


@dataclass(frozen=True, slots=True)
class Routed(Payload):
    """What all content has that travels between servers: from whom, for whom."""

    user_id: str = _id()
    sender: str = _id()
    ts: int | None = _wire(_is_integer(0, 2**53), "milliseconds", None)


@dataclass(frozen=True, slots=True)
class ServerDeliver(Payload):
    """SERVER_DELIVER: a direct message on its way to the recipient's server."""

    user_id: str = _id()
    ciphertext: str = _ciphertext()
    sender: str = _id()
    sender_pub: str = _key_text()
    content_sig: str = _signature()
    ts: int | None = _wire(_is_integer(0, 2**53), "milliseconds", None)


# -- user to server --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UserHello(Payload):
    """USER_HELLO: who connects, with which key."""

    pubkey: str = _key_text()
    enc_pubkey: str = _key_text("")
    client: str = _wire(_is_text(128), "text", "")
    user_id: str = _optional_id()  # where the envelope has no ``from``
    meta: dict[str, Any] = _wire(_is_object, "an object", dict)
    tls_exporter: str = _wire(_is_text(64), "text", "")  # of the client's TLS


@dataclass(frozen=True, slots=True)
class MsgDirect(Payload):
    """MSG_DIRECT and MSG_PUBLIC_CHANNEL from a user: sealed for one recipient."""

    ciphertext: str = _ciphertext()
    sender_pub: str = _key_text()
    content_sig: str = _signature()
    sender: str = _optional_id()  # dialect: in the payload, or in the envelope
    to: str = _optional_id()


@dataclass(frozen=True, slots=True)
class UserRegister(Payload):
    """USER_REGISTER: an account, for a password login or for none."""

    user_id: str = _id()
    pubkey: str = _key_text()
    privkey_store: str = _secret(16_384)
    pake_password: str = _secret(256)
    meta: dict[str, Any] = _wire(_is_object, "an object", dict)


@dataclass(frozen=True, slots=True)
class UserLogin(Payload):
    """USER_LOGIN: with a password (dialect), or a signature of our nonce (ours)."""

    user_id: str = _id()
    password: str = _secret(1024)
    proof: str = _signature("")


@dataclass(frozen=True, slots=True)
class FileStart(Payload):
    """FILE_START: a file is offered; ours adds a sealed and signed manifest."""

    file_id: str = _file_id()
    name: str = _wire(_is_file_name, "a plain file name of 1 to 255 bytes")
    size: int = _wire(_is_integer(0, MAX_FILE), f"0 to {MAX_FILE} bytes")
    sha256: str = _wire(_is_sha256, "64 hexadecimal digits")
    mode: str = _wire(lambda value: value in ("dm", "public"), "dm or public", "dm")
    to: str = _optional_id()
    sender: str = _optional_id()
    sender_pub: str = _key_text("")
    manifest: str = _wire(
        lambda value: value == "" or _is_ciphertext(value), "sealed base64url", ""
    )
    content_sig: str = _signature("")


@dataclass(frozen=True, slots=True)
class FileChunk(Payload):
    """FILE_CHUNK: one sealed piece."""

    file_id: str = _file_id()
    index: int = _wire(_is_integer(0, 2**32), "a number from 0")
    ciphertext: str = _wire(_is_base64url, "base64url")
    to: str = _optional_id()
    sender: str = _optional_id()


@dataclass(frozen=True, slots=True)
class FileEnd(Payload):
    """FILE_END, and FILE_ANSWER (ours): a file is complete, wanted, or given up."""

    file_id: str = _file_id()
    accept: bool = _wire(lambda value: type(value) is bool, "true or false", False)
    aborted: bool = _wire(lambda value: type(value) is bool, "true or false", False)
    reason: str = _wire(_is_text(256), "text of 256 characters", "")
    to: str = _optional_id()
    sender: str = _optional_id()


@dataclass(frozen=True, slots=True)
class ChannelAdd(Payload):
    """PUBLIC_CHANNEL_ADD: these users belong to the channel from now on."""

    add: list[str] = _wire(_is_list_of(is_identifier, 1024), "a list of ids")
    if_version: int = _wire(_is_integer(0, 2**53), "a version")


MAX_SHARES = 64
"""Wraps in one PUBLIC_CHANNEL_KEY_SHARE; ours have 16."""

MAX_RECEIVED = 10_000
"""Members named in one answer: with 64 characters each, 670 kB of 1 MiB."""

MAX_RECEIPTS = 512
"""Messages that one frame acknowledges; each is looked up."""


@dataclass(frozen=True, slots=True)
class ChannelMessage(Payload):
    """MSG_PUBLIC_CHANNEL to "public" (ours): sealed once, for whoever has the key."""

    ciphertext: str = _ciphertext()
    sender_pub: str = _key_text()
    content_sig: str = _signature()
    key_id: str = _key_id()
    seq: int = _wire(_is_integer(0, 2**53), "a number from 0")
    sender: str = _optional_id()
    ts: int = _wire(_is_integer(0, 2**53), "milliseconds", 0)


@dataclass(frozen=True, slots=True)
class ChannelShare(Payload):
    """PUBLIC_CHANNEL_KEY_SHARE: a sender's key, wrapped for some members."""

    shares: list[dict[str, Any]] = _wire(
        _is_list_of(_is_share, MAX_SHARES), f"a list of at most {MAX_SHARES} wraps"
    )
    creator_pub: str = _key_text()
    content_sig: str = _signature()
    key_id: str = _key_id()
    sender: str = _optional_id()


@dataclass(frozen=True, slots=True)
class ChannelReceipts(Payload):
    """ACK of a client (ours): which messages to everybody it has, and has not."""

    msg_refs: list[str] = _wire(
        _is_list_of(_is_text(128), MAX_RECEIPTS), "a list of references", list
    )
    refused: list[str] = _wire(
        _is_list_of(_is_text(128), MAX_RECEIPTS), "a list of references", list
    )


@dataclass(frozen=True, slots=True)
class ChannelAnswer(Payload):
    """ACK of a server (ours): which members have a message to everybody."""

    msg_ref: str = _wire(_is_text(128), "text")
    received: list[str] = _wire(
        _is_list_of(is_identifier, MAX_RECEIVED), "a list of ids"
    )


# -- both ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ErrorReport(Payload):
    """ERROR: what could not be done, and for which frame."""

    code: str = _wire(_is_text(64), "text")
    detail: str = _wire(_is_text(1024), "text", "")
    msg_ref: str = _wire(_is_text(128), "text", "")
    user_id: str = _optional_id()
