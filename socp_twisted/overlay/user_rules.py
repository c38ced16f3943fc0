"""What follows from a user's frame?  One function per message type.  (SOCP 9)

The user was let in on this connection, and speaks for nobody else on it.
"""

from collections.abc import Callable, Iterator

from socp_twisted.errors import ErrorCode, Refused
from socp_twisted.overlay import channel_rules
from socp_twisted.overlay.content import BY_USER_TYPE, recipient, send
from socp_twisted.overlay.directory import Location
from socp_twisted.overlay.effects import Effect, Gradually, HangUp, Send, Settled
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party
from socp_twisted.overlay.passing import reply
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.payloads import (
    ErrorReport,
    FileChunk,
    FileEnd,
    FileStart,
)
from socp_twisted.wire.vocabulary import (
    ACK,
    CLOSE_NORMAL,
    CTRL_CLOSE,
    ERROR,
    FILE_ANSWER,
    FILE_CHUNK,
    FILE_END,
    FILE_START,
    HEARTBEAT,
    LIST_REQUEST,
    LIST_RESPONSE,
    MSG_PUBLIC_CHANNEL,
    PUBLIC_CHANNEL_ADD,
    PUBLIC_CHANNEL_KEY_SHARE,
    PUBLIC_CHANNEL_UPDATED,
)

Rule = Callable[[Mesh, Party, Envelope], Iterator[Effect]]

LIST_PART = 900_000
"""Bytes of one LIST_RESPONSE, of 1 MiB: some 450 users with their keys, told twice."""


def list_request(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """Tell who is online, sorted, in as many frames as it takes."""
    ends, size = [""], 0  # the last user of each part
    for user_id, location in mesh.directory.online():
        size += _size(location)
        if size > LIST_PART:
            ends.append(user_id)
            size = _size(location)
        ends[-1] = user_id
    yield Gradually(party.link, _list(mesh, party, ends), 1)


def _list(mesh: Mesh, party: Party, ends: list[str]) -> Iterator[Effect]:
    after = ""
    for part, end in enumerate(ends, 1):
        users, size = [], 0
        for user_id, location in mesh.directory.after(after):
            # Who has come since was told besides, and may be left out.
            if user_id > end or (size := size + _size(location)) > LIST_PART:
                break
            users.append(mesh.user_entry(user_id, location))
        after = end
        yield Send(
            party.link,
            LIST_RESPONSE,
            {"users": users, "part": part, "parts": len(ends)},
            to=party.name,
            extra={"users": users},  # where the original's client looks for them
        )


def _size(location: Location) -> int:
    """Return the bytes that a user takes up in a list, and some more."""
    words = sum(map(len, location.extras)) + len(location.display_name)
    # Twice, with up to four bytes a character, and the names of the fields.
    return 2 * (len(location.pubkey) + 4 * words + 400)


def file_start(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """Offer a file; its chunks may follow on this connection alone."""
    told = FileStart.read(envelope.payload)
    to = recipient(party, envelope, told.sender, told.to)
    if told.sender_pub not in ("", party.key):
        raise Refused(ErrorCode.BAD_KEY, "sender_pub is not the key of this user")
    if (to, told.file_id) in party.transfers:
        raise Refused(ErrorCode.NOT_ALLOWED, f"file {told.file_id} has begun already")
    if len(party.transfers) >= mesh.limits.transfers:
        raise Refused(
            ErrorCode.LIMIT, f"max-transfers: {mesh.limits.transfers} are under way"
        )
    mesh.spoken.heard(party.key, envelope.ts, mesh.now_ms)  # its manifest is signed
    effects = list(send(mesh, party, envelope, to, BY_USER_TYPE[FILE_START]))
    party.transfers.add((to, told.file_id))
    yield from effects


def file_chunk(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """Pass on one piece of a file that was begun."""
    told = FileChunk.read(envelope.payload)
    to = recipient(party, envelope, told.sender, told.to)
    _check_begun(party, to, told.file_id)
    yield from send(mesh, party, envelope, to, BY_USER_TYPE[FILE_CHUNK])


def file_end(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """Finish a file, or give it up."""
    told = FileEnd.read(envelope.payload)
    to = recipient(party, envelope, told.sender, told.to)
    _check_begun(party, to, told.file_id)
    party.transfers.discard((to, told.file_id))
    yield from send(mesh, party, envelope, to, BY_USER_TYPE[FILE_END])


def file_answer(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """The receiver takes a file, declines it, or has got it (ours)."""
    told = FileEnd.read(envelope.payload)
    to = recipient(party, envelope, told.sender, told.to)
    yield from send(mesh, party, envelope, to, BY_USER_TYPE[FILE_ANSWER])


def receipt(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """A client has got a message, or refuses it (ours): tell the sender's server."""
    reference = envelope.payload.get("msg_ref")
    if type(reference) is not str:
        yield from channel_rules.receipts(mesh, party, envelope)
        return
    handed = mesh.receipts.give(reference, party.name)
    if handed is None:
        return  # late, or never handed to this user
    code, detail = "", ""
    if envelope.type == ERROR:
        told = ErrorReport.read(envelope.payload)
        code, detail = told.code, told.detail
    if handed.origin == mesh.server_id:
        yield Settled(handed.msg_id, mesh.server_id, code, detail)
    elif code:
        problem = {"code": code, "detail": detail, "msg_ref": handed.msg_id}
        yield from reply(mesh, handed.origin, ERROR, problem)
    else:
        mesh.receipts.remember(handed.origin, handed.msg_id)
        delivered = {"msg_ref": handed.msg_id, "status": "delivered"}
        yield from reply(mesh, handed.origin, ACK, delivered)


def ctrl_close(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """The user leaves."""
    yield HangUp(party.link, CLOSE_NORMAL, "goodbye")


def nothing(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """Valid, and of no consequence."""
    return iter(())


USER_RULES: dict[str, Rule] = {
    LIST_REQUEST: list_request,
    FILE_START: file_start,
    FILE_CHUNK: file_chunk,
    FILE_END: file_end,
    FILE_ANSWER: file_answer,
    CTRL_CLOSE: ctrl_close,
    HEARTBEAT: nothing,
    ACK: receipt,
    ERROR: receipt,
    MSG_PUBLIC_CHANNEL: channel_rules.say,
    PUBLIC_CHANNEL_KEY_SHARE: channel_rules.share,
    # The channel is the servers' to count.
    PUBLIC_CHANNEL_ADD: nothing,
    PUBLIC_CHANNEL_UPDATED: nothing,
}


def _check_begun(party: Party, to: str, file_id: str) -> None:
    if (to, file_id) not in party.transfers:
        raise Refused(
            ErrorCode.NOT_ALLOWED, f"file {file_id} to {to} was not begun: FILE_START"
        )
