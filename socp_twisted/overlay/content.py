"""How does what users send each other travel?  One row per kind of content.  (SOCP 9)

Between servers each kind has a frame that names the recipient's ``user_id``; to the
recipient it goes without that, and with the sender's own ``ts``, which the content
signature covers.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from socp_twisted.errors import ErrorCode, MalformedFrame, Refused
from socp_twisted.overlay.effects import Effect, LinkId, OnceRead, Send, SendAll
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party
from socp_twisted.wire.envelope import Envelope, is_identifier
from socp_twisted.wire.payloads import (
    FileChunk,
    FileEnd,
    FileStart,
    MsgDirect,
    Payload,
)
from socp_twisted.wire.vocabulary import (
    ACK,
    CAP_ACKS,
    EXTRA_RECEIPTS,
    FILE_ANSWER,
    FILE_ANSWER_DELIVER,
    FILE_CHUNK,
    FILE_CHUNK_DELIVER,
    FILE_END,
    FILE_END_DELIVER,
    FILE_START,
    FILE_START_DELIVER,
    MSG_DIRECT,
    MSG_PUBLIC_CHANNEL,
    SERVER_DELIVER,
    USER_DELIVER,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of content: its frame between servers, and its frame to the user."""

    between: str
    to_user: str
    shape: type[Payload]
    added: Mapping[str, Any]
    """Fields that implementations of others look for between servers."""
    is_kept: bool = False
    """Whether it is kept until it is answered; files need both ends to be there."""


BY_USER_TYPE: dict[str, Kind] = {
    MSG_DIRECT: Kind(
        SERVER_DELIVER,
        USER_DELIVER,
        MsgDirect,
        {"inner_type": MSG_DIRECT, "public": False},
        is_kept=True,
    ),
    MSG_PUBLIC_CHANNEL: Kind(
        MSG_PUBLIC_CHANNEL, MSG_PUBLIC_CHANNEL, MsgDirect, {}, is_kept=True
    ),
    FILE_START: Kind(FILE_START, FILE_START_DELIVER, FileStart, {}),
    FILE_CHUNK: Kind(FILE_CHUNK, FILE_CHUNK_DELIVER, FileChunk, {}),
    FILE_END: Kind(FILE_END, FILE_END_DELIVER, FileEnd, {}),
    FILE_ANSWER: Kind(FILE_ANSWER, FILE_ANSWER_DELIVER, FileEnd, {}),
}

BY_SERVER_TYPE: dict[str, Kind] = {kind.between: kind for kind in BY_USER_TYPE.values()}

_BETWEEN = frozenset(
    {
        "user_id",
        "msg_id",
        "orig_ts",
        "cts",
        "inner_type",
        "public",
        "server_id",
        "bound",
    }
)
"""Fields of the frame between servers that are none of the recipient's business."""

_SERVERS_OWN = _BETWEEN | {"to", "sender", "ts", "held", "recipient_key"}
"""
Fields that servers fill in: a user who sends them would speak for a server.

But for ``recipient_key``, which tells the user's own server for whom to keep a message.
"""


MAX_CONTENT = 1024 * 1024 - 4096
"""Bytes of a user's frame: on its way it grows, and nobody takes more than 1 MiB."""


SHORT = 4_096
"""Bytes of a frame that is passed on to whoever is slow, too."""

MAX_FIELDS = 1_000
"""Values in a frame from one user to another; ours have less than thirty."""


def recipient(party: Party, envelope: Envelope, sender: str, to: str) -> str:
    """
    Return whom a user's frame is for, or raise ``Refused`` or ``MalformedFrame``.

    The dialect puts sender and recipient into the payload, the standard into the
    envelope; where both are there they must agree, and the sender must be this user.
    """
    if len(envelope.frame) > MAX_CONTENT:
        raise Refused(
            ErrorCode.LIMIT,
            f"max-frame: more than {MAX_CONTENT} bytes are not passed on",
        )
    if envelope.sender not in ("", party.name) or sender not in ("", party.name):
        raise Refused(
            ErrorCode.NOT_ALLOWED, f"this connection speaks for {party.name} alone"
        )
    if to and is_identifier(envelope.to) and envelope.to != to:
        raise MalformedFrame("'to' and payload.to disagree")
    if sum(map(envelope.frame.count, (b",", b"[", b"{"))) > MAX_FIELDS:
        # More fields are added on its way, and at the end a frame has a limit, too.
        raise Refused(ErrorCode.LIMIT, f"a frame to a user has {MAX_FIELDS} values")
    found = to or envelope.to
    if not is_identifier(found):
        raise MalformedFrame("'to' must name one user")
    return found


def as_sent(party: Party, envelope: Envelope) -> dict[str, Any]:
    """Return what a user's frame says, under the name of the user who sent it."""
    told = envelope.payload
    content = {key: told[key] for key in told if key not in _SERVERS_OWN}
    return {**content, "sender": party.name, "ts": envelope.ts}


def is_too_much(mesh: Mesh, effects: Iterable[Effect], size: int) -> bool:
    """
    Say whether what is not kept is more than its reader, or the way there, takes.

    Nobody waits for receipts of files: without this, whoever sends faster than another
    reads has them put out.  What is short ends a transfer, and always passes.
    """
    if size <= SHORT:
        return False
    links: list[LinkId] = []
    for one in effects:
        if isinstance(one, SendAll):
            links += one.links
        elif isinstance(one, Send):
            links.append(one.link)
    return any(map(mesh.is_behind, links))


def too_slow(user_id: str) -> str:
    """Return why something is not passed on to a user."""
    return f"max-queued: {user_id} does not read as fast as this comes"


@dataclass(frozen=True, slots=True)
class Sent:
    """Content that was sent towards a user; ``answers`` if somebody will say so."""

    effects: tuple[Effect, ...]
    answers: bool
    status: str = "delivered"
    server_id: str = ""


def dispatch(
    mesh: Mesh, to: str, kind: Kind, content: Mapping[str, Any], ts: int, msg_id: str
) -> Sent | None:
    """Send content to a user here, or to their server; ``None`` if neither is there."""
    if to in mesh.directory.local_users:
        asks = kind.is_kept and mesh.can(to, EXTRA_RECEIPTS)
        receipt = ""
        if asks:
            receipt = mesh.receipts.ask(mesh.server_id, msg_id, to, mesh.now)
        handed = hand_over(mesh, to, kind, content, ts, receipt)
        return Sent((handed,), asks, server_id=mesh.server_id)
    location = mesh.directory.user_locations.get(to)
    hop = None if location is None else mesh.routes().get(location.server_id)
    if location is None or hop is None:
        return None
    routed = {**content, **kind.added, "user_id": to, "orig_ts": ts, "cts": ts}
    server = mesh.directory.servers.get(location.server_id)
    answers = server is not None and CAP_ACKS in server.caps
    if answers:
        routed["msg_id"] = msg_id
    link = mesh.directory.servers[hop].links[-1]
    frame = Send(link, kind.between, routed, to=location.server_id, ts=ts)
    # A server of others tells nobody: all that we shall know is that it was sent.
    return Sent((frame,), answers, "sent", location.server_id)


def send(
    mesh: Mesh, party: Party, envelope: Envelope, to: str, kind: Kind
) -> Iterator[Effect]:
    """Pass on what is not kept: the recipient is there, or the sender is told."""
    if mesh.deliveries.is_full(party.link):
        raise Refused(
            ErrorCode.LIMIT, f"max-unanswered: {mesh.limits.unanswered} are under way"
        )
    here = to in mesh.directory.local_users
    msg_id = "" if here else mesh.fresh()
    content = as_sent(party, envelope)
    sent = dispatch(mesh, to, kind, content, envelope.ts, msg_id)
    if sent is None:
        raise Refused(ErrorCode.USER_NOT_FOUND, f"{to} is not online")
    if is_too_much(mesh, sent.effects, len(envelope.frame)):
        raise Refused(ErrorCode.LIMIT, too_slow(to))
    if sent.answers:
        mesh.deliveries.expect(
            msg_id, sent.server_id, party.link, envelope.id, mesh.now
        )
    yield from sent.effects
    if envelope.id and not sent.answers:
        status = {"msg_ref": envelope.id, "status": sent.status}
        yield from at_their_pace(mesh, to, [Send(party.link, ACK, status)])


def at_their_pace(
    mesh: Mesh, user_id: str, answer: Iterable[Effect]
) -> Iterator[Effect]:
    """
    Acknowledge what a local user was sent: at once, or when they have read so far.

    Else who sends a file would not learn that its reader is slower than they are.
    """
    links = tuple(mesh.directory.local_users.get(user_id, ()))
    if any(map(mesh.is_slow, links)):
        yield OnceRead(links, tuple(answer))
    else:
        yield from answer


def hand_over(
    mesh: Mesh,
    user_id: str,
    kind: Kind,
    payload: Mapping[str, Any],
    ts: int,
    receipt: str = "",
) -> SendAll:
    """Give content to every device of a local user; ``receipt`` asks for one."""
    content = {key: payload[key] for key in payload if key not in _BETWEEN}
    if receipt:
        content["msg_id"] = receipt
    return SendAll(
        tuple(mesh.directory.local_users[user_id]),
        kind.to_user,
        {**content, "ts": ts},
        to=user_id,
        ts=ts,
    )
