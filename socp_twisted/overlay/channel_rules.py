"""
How does one ciphertext reach everybody?  Fanned out here, and once to each server.

Each sender has a key of the public channel and shares it with the members
(PUBLIC_CHANNEL_KEY_SHARE); a message is sealed with it once.  A server signs it once
for its users and once for the other servers, gathers its members' receipts, and answers
the sender's server, which answers the sender, with the members who have it: whoever is
not among them gets it from the sender's client as the standard has it.  (SOCP 9.3)
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from socp_twisted.errors import ErrorCode, MalformedFrame, Refused
from socp_twisted.overlay.broadcasts import RECEIPTS_WITHIN, Broadcast, reference
from socp_twisted.overlay.effects import Effect, LinkId, SendAll
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party
from socp_twisted.overlay.passing import check_sender, gossip, reply
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.payloads import (
    MAX_RECEIVED,
    ChannelAnswer,
    ChannelMessage,
    ChannelReceipts,
    ChannelShare,
)
from socp_twisted.wire.vocabulary import (
    ACK,
    ANSWER_TIMEOUT,
    CAP_CHANNEL,
    EXTRA_CHANNEL,
    MSG_PUBLIC_CHANNEL,
    PUBLIC,
    PUBLIC_CHANNEL_KEY_SHARE,
    STALE_AFTER,
)


def is_for_all(envelope: Envelope) -> bool:
    """Say whether a MSG_PUBLIC_CHANNEL is sealed once for everybody (ours)."""
    return (
        envelope.type == MSG_PUBLIC_CHANNEL
        and "key_id" in envelope.payload
        and "user_id" not in envelope.payload
        and envelope.to in (PUBLIC, "*")
    )


# -- what our users say ----------------------------------------------------------------


def share(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """A user's key for some members: to those who are here, and to their servers."""
    if "key_id" not in envelope.payload:
        return  # a client of others: the channel is the servers' to count
    _check_size(mesh, envelope)
    told = ChannelShare.read(envelope.payload)
    _check_is_theirs(party, envelope, told.sender, told.creator_pub)
    members = _members(told)
    content = {**told.write(), "sender": party.name}
    yield from _hand(mesh, PUBLIC_CHANNEL_KEY_SHARE, members, content)
    locations = mesh.directory.user_locations
    _, links = _servers(
        mesh, {locations[one].server_id for one in members if one in locations}
    )
    if links:
        yield SendAll(links, PUBLIC_CHANNEL_KEY_SHARE, content)


def say(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """A user's message to everybody; the answer names the members who have it."""
    if not is_for_all(envelope):
        raise MalformedFrame("'to' must name one user, or payload.key_id a key")
    _check_size(mesh, envelope)
    told = ChannelMessage.read(envelope.payload)
    _check_is_theirs(party, envelope, told.sender, told.sender_pub)
    if abs(mesh.now_ms - envelope.ts) > STALE_AFTER * 1000:
        raise MalformedFrame("'ts' is more than 10 minutes off: check your clock")
    home, ts = mesh.server_id, envelope.ts
    mesh.spoken.heard(party.key, ts, mesh.now_ms)
    ref = reference(home, party.name, told.key_id, told.seq, ts)
    if (before := mesh.broadcasts.get(ref)) is not None:
        before.msg_ref = envelope.id  # sent again: it is under way already
        return
    size = len(envelope.frame)
    mesh.broadcasts.check_room(size, home, party.name)
    hosts, server_links = _servers(mesh)
    links = _listeners(mesh, mesh.directory.local_users, party.name)
    wait = ANSWER_TIMEOUT if hosts else RECEIPTS_WITHIN
    broadcast = Broadcast(
        ref,
        home,
        party.name,
        mesh.now + wait,
        envelope.id,
        set(links),
        hosts,
        size=size,
    )
    mesh.broadcasts.begin(broadcast, party.name)
    content = {**told.write(), "sender": party.name, "ts": ts}
    yield from _fan_out(links, content, ts, ref)
    if server_links:
        yield SendAll(server_links, MSG_PUBLIC_CHANNEL, content, ts=ts)
    if broadcast.is_answered:
        yield from _finish(mesh, broadcast)


def receipts(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """A client has read messages to everybody, or could not, several at a time."""
    told = ChannelReceipts.read(envelope.payload)
    for has, refs in ((True, told.msg_refs), (False, told.refused)):
        for done in mesh.broadcasts.receipts(refs, party.link, party.name, has=has):
            yield from _finish(mesh, done)


# -- what other servers say ------------------------------------------------------------


def shared(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """Another server's user shares a key: hand it to the members who are here."""
    told = ChannelShare.read(envelope.payload)
    check_sender(mesh, envelope, _named(told.sender), told.creator_pub)
    yield from _hand(mesh, PUBLIC_CHANNEL_KEY_SHARE, _members(told), told.write())
    yield from gossip(mesh, party, envelope, CAP_CHANNEL)


def heard(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """Another server's user says something to everybody: to our users, then onwards."""
    told = ChannelMessage.read(envelope.payload)
    check_sender(mesh, envelope, _named(told.sender), told.sender_pub)
    mesh.spoken.heard(told.sender_pub, told.ts, mesh.now_ms)
    origin = envelope.sender
    ref = reference(origin, told.sender, told.key_id, told.seq, told.ts)
    if mesh.broadcasts.get(ref) is None:
        yield from _hand_on(mesh, told, origin, ref, len(envelope.frame))
    yield from gossip(mesh, party, envelope, CAP_CHANNEL)


def _hand_on(
    mesh: Mesh, told: ChannelMessage, origin: str, ref: str, size: int
) -> Iterator[Effect]:
    links = _listeners(mesh, mesh.directory.local_users, told.sender)
    deadline = mesh.now + RECEIPTS_WITHIN
    broadcast = Broadcast(
        ref, origin, told.sender, deadline, links=set(links), size=size
    )
    try:
        mesh.broadcasts.check_room(size, origin)
    except Refused:
        mesh.counters["max-channel"] += 1
        links = ()  # nobody has it, and the sender's server is told at once
    if not links:
        yield from _finish(mesh, broadcast)
        return
    mesh.broadcasts.begin(broadcast)
    yield from _fan_out(links, told.write(), told.ts, ref)


def answered(mesh: Mesh, envelope: Envelope) -> Iterator[Effect]:
    """A server says which of its members have a message; it speaks for no others."""
    told = ChannelAnswer.read(envelope.payload)
    server = mesh.directory.servers[envelope.sender]
    theirs = server.users.intersection(told.received)
    done = mesh.broadcasts.answered(told.msg_ref, server.id, theirs)
    if done is not None:
        yield from _finish(mesh, done)


# -- what time brings ------------------------------------------------------------------


def left(mesh: Mesh, link: LinkId) -> Iterator[Effect]:
    """A user's connection is gone: nobody waits for its receipts."""
    for one in mesh.broadcasts.left(link):
        yield from _finish(mesh, one)


def expire(mesh: Mesh) -> Iterator[Effect]:
    """Answer for what has waited long enough, with those who have it."""
    for one in mesh.broadcasts.late(mesh.now):
        yield from _finish(mesh, one)


def _finish(mesh: Mesh, done: Broadcast) -> Iterator[Effect]:
    """Tell the sender, or the sender's server, who has it: one frame."""
    mesh.broadcasts.end(done, mesh.server_id)
    received = done.received[:MAX_RECEIVED]  # others get it twice, and show it once
    if done.origin != mesh.server_id:
        answer = {"msg_ref": done.ref, "status": "delivered", "received": received}
        yield from reply(mesh, done.origin, ACK, answer)
        return
    links = tuple(mesh.directory.local_users.get(done.sender, ()))
    if links and done.msg_ref:
        answer = {"msg_ref": done.msg_ref, "status": "delivered", "received": received}
        yield SendAll(links, ACK, answer, to=done.sender)


# -- who is meant ----------------------------------------------------------------------


def _listeners(mesh: Mesh, user_ids: Iterable[str], but: str) -> tuple[LinkId, ...]:
    """Return the connections of those of our users whose every client can."""
    here, locations = mesh.directory.local_users, mesh.directory.user_locations
    return tuple(
        link
        for user_id in user_ids
        if user_id != but
        and user_id in here
        and user_id in locations
        and EXTRA_CHANNEL in locations[user_id].extras
        for link in here[user_id]
    )


def _servers(
    mesh: Mesh, only: set[str] | None = None
) -> tuple[set[str], tuple[LinkId, ...]]:
    """Return the servers that have members and can, and the links that lead there."""
    routes, servers = mesh.routes(), mesh.directory.servers
    hosts = {
        one.id
        for one in servers.values()
        if one.users
        and CAP_CHANNEL in one.caps
        and one.id in routes
        and (only is None or one.id in only)
    }
    hops = sorted({routes[one] for one in hosts})
    return hosts, tuple(servers[hop].links[-1] for hop in hops)


def _members(told: ChannelShare) -> list[str]:
    return list(dict.fromkeys(one["member"] for one in told.shares))


def _hand(
    mesh: Mesh, kind: str, members: Iterable[str], content: Mapping[str, Any]
) -> Iterator[Effect]:
    # Who has more to read already does without: what they cannot open comes alone,
    # with the key.  Nobody answers for a share, so nothing else would bound them.
    listeners = _listeners(mesh, members, "")
    links = tuple(link for link in listeners if not mesh.is_behind(link))
    if links:
        yield SendAll(links, kind, content, to=PUBLIC)


def _fan_out(
    links: tuple[LinkId, ...], content: Mapping[str, Any], ts: int, ref: str
) -> Iterator[Effect]:
    if links:
        payload = {**content, "msg_id": ref}
        yield SendAll(links, MSG_PUBLIC_CHANNEL, payload, to=PUBLIC, ts=ts)


def _check_size(mesh: Mesh, envelope: Envelope) -> None:
    limit = mesh.limits.message
    if len(envelope.frame) > limit:
        raise Refused(ErrorCode.LIMIT, f"max-message: {limit} bytes at most")


def _check_is_theirs(party: Party, envelope: Envelope, sender: str, key: str) -> None:
    if envelope.sender not in ("", party.name) or sender not in ("", party.name):
        raise Refused(
            ErrorCode.NOT_ALLOWED, f"this connection speaks for {party.name} alone"
        )
    if key != party.key:
        raise Refused(ErrorCode.BAD_KEY, f"this is not the key of {party.name}")


def _named(sender: str) -> str:
    if not sender:
        raise MalformedFrame("payload.sender is missing")
    return sender
