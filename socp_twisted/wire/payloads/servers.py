"""What do servers tell each other?  Of themselves, and of their users.  (SOCP 8)"""

from dataclasses import dataclass
from typing import Any

from socp_twisted.wire.addresses import is_host
from socp_twisted.wire.envelope import is_identifier
from socp_twisted.wire.payloads.fields import (
    a_public_key,
    an_id,
    is_bool,
    is_integer,
    is_list_of,
    is_object,
    is_text,
    perhaps_an_id,
    wire_field,
)
from socp_twisted.wire.payloads.payload import Payload


@dataclass(frozen=True, slots=True)
class ServerHello(Payload):
    """SERVER_HELLO_JOIN, SERVER_HELLO_LINK, SERVER_ANNOUNCE: where, with which key."""

    host: str = wire_field(is_host, "a host name or address")
    port: int = wire_field(is_integer(1, 65535), "a port from 1 to 65535")
    pubkey: str = a_public_key()
    agent: str = wire_field(is_text(64), "text", "")
    caps: list[str] = wire_field(is_list_of(is_text(32), 32), "a list of names", list)
    instance: str = wire_field(is_text(64), "text", "")  # changes with each start
    nonce: str = wire_field(is_text(64), "text", "")  # ours, for the other end to sign
    answer: str = wire_field(is_text(64), "text", "")  # theirs, signed by us
    peer: str = wire_field(is_text(64), "text", "")  # whom we say this to
    peer_key: str = wire_field(is_text(64), "text", "")  # and SHA-256 of their key
    server_id: str = perhaps_an_id()  # our own id, under the signature
    secure: bool = wire_field(is_bool, "true or false", False)  # it serves wss://
    tls_exporter: str = wire_field(
        is_text(64), "text", ""
    )  # of this link's TLS, in LINK


@dataclass(frozen=True, slots=True)
class ServerEntry(Payload):
    """One server, or one user, in the lists of SERVER_WELCOME."""

    server_id: str = perhaps_an_id()
    user_id: str = perhaps_an_id()
    host: str = wire_field(is_text(255), "text", "")
    port: int = wire_field(is_integer(0, 65535), "a port", 0)
    pubkey: str = a_public_key("")
    secure: bool = wire_field(is_bool, "true or false", False)  # it serves wss://


@dataclass(frozen=True, slots=True)
class ServerWelcome(Payload):
    """SERVER_WELCOME: the newcomer's id, and whom else there is."""

    assigned_id: str = an_id()
    servers: list[Any] = wire_field(
        is_list_of(is_object, 4096), "a list of objects", list
    )
    clients: list[Any] = wire_field(
        is_list_of(is_object, 65536), "a list of objects", list
    )
    introducer: dict[str, Any] = wire_field(is_object, "an object", dict)
    agent: str = wire_field(is_text(64), "text", "")
    caps: list[str] = wire_field(is_list_of(is_text(32), 32), "a list of names", list)
    instance: str = wire_field(is_text(64), "text", "")
    nonce: str = wire_field(is_text(64), "text", "")
    answer: str = wire_field(is_text(64), "text", "")
    peer: str = wire_field(is_text(64), "text", "")
    peer_key: str = wire_field(is_text(64), "text", "")
    server_id: str = perhaps_an_id()
    tls_exporter: str = wire_field(is_text(64), "text", "")


@dataclass(frozen=True, slots=True)
class Binding(Payload):
    """The field ``bound`` of what a node of this project says (ours)."""

    type: str = wire_field(is_text(64), "text")
    instance: str = wire_field(lambda v: type(v) is str and 0 < len(v) <= 64, "text")
    at: int = wire_field(is_integer(0, 2**53), "milliseconds")
    to: str = wire_field(is_text(300), "text", "")


@dataclass(frozen=True, slots=True)
class UserAdvertise(Payload):
    """USER_ADVERTISE: a user is attached to this server."""

    user_id: str = an_id()
    server_id: str = an_id()
    pubkey: str = a_public_key("")
    meta: dict[str, Any] = wire_field(is_object, "an object", dict)


@dataclass(frozen=True, slots=True)
class UserRemove(Payload):
    """USER_REMOVE: a user has left this server."""

    user_id: str = an_id()
    server_id: str = an_id()


@dataclass(frozen=True, slots=True)
class Heartbeat(Payload):
    """HEARTBEAT: alive; a node of this project adds the servers it is linked to."""

    links: list[str] | None = wire_field(
        is_list_of(is_identifier, 1024), "a list of server ids", None
    )


@dataclass(frozen=True, slots=True)
class Routed(Payload):
    """What all content has that travels between servers: from whom, for whom."""

    user_id: str = an_id()
    sender: str = an_id()
    ts: int | None = wire_field(is_integer(0, 2**53), "milliseconds", None)
    sender_pub: str = a_public_key("")  # files may lack it
