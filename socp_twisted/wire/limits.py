"""Where does each bound of a node stand?  Here, with its default and its option."""

from dataclasses import dataclass, field
from typing import Any


def _limit(default: int, what: str) -> Any:
    return field(default=default, metadata={"what": what})


@dataclass(frozen=True, slots=True)
class Limits:
    """
    Every bound of a node, for a small team's server.

    Each field is the option ``--max-<name>`` of ``twistd socp``; an error that is
    caused by a bound names it.
    """

    frame: int = _limit(1024 * 1024, "bytes in one WebSocket message")
    servers: int = _limit(256, "servers known at one time")
    pins: int = _limit(4_096, "server ids whose keys are remembered")
    users: int = _limit(100_000, "users known at one time, here and elsewhere")
    accounts: int = _limit(10_000, "users who are registered here")
    transfers: int = _limit(16, "files that one connection sends at a time")
    devices: int = _limit(8, "connections of one user")
    login: int = _limit(60, "seconds to the first frame, and to the login")
    frames: int = _limit(100, "frames a second from one connection of a user")
    stranger_frames: int = _limit(5, "frames a second before the login")
    bytes: int = _limit(16 * 1024 * 1024, "bytes a second from one such connection")
    peer_frames: int = _limit(2_000, "frames a second from one server")
    peer_bytes: int = _limit(64 * 1024 * 1024, "bytes a second from one server")
    per_address: int = _limit(
        64, "connections from one address, or one IPv6 /64; not from loopback"
    )
    connections: int = _limit(2_000, "open connections")
    seen: int = _limit(65_536, "frames remembered against duplicates")
    seen_age: int = _limit(600, "seconds for which they are remembered")
    queued: int = _limit(8 * 1024 * 1024, "bytes queued towards one connection")
    unread: int = _limit(30, "seconds for which a connection may read nothing")
    unanswered: int = _limit(10_000, "frames of files that wait for a server's answer")
    message: int = _limit(160 * 1024, "bytes of one message, sealed")
    channel: int = _limit(1_024, "messages to everybody that wait for receipts")
    held: int = _limit(1_000, "messages of one user that wait")
    held_in_all: int = _limit(5_000, "messages that wait in all")
    signing: int = _limit(4_096, "frames waiting for a signature")
