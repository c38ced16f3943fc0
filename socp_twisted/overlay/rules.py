"""
What follows from a server's frame?  One function per message type.  (SOCP 8)

A rule sees a frame whose signature was verified with the key of the server in ``from``,
which need not be the server at the other end of the link: gossip travels on.  A frame
without a signature came over a TLS-bound link, from its other end, and ends here.
"""

from collections.abc import Callable, Iterator

from socp_twisted.errors import ErrorCode, Refused
from socp_twisted.overlay import channel_rules
from socp_twisted.overlay.arrival import forget_server, register
from socp_twisted.overlay.content import (
    BY_SERVER_TYPE,
    Kind,
    at_their_pace,
    hand_over,
    is_too_much,
    too_slow,
)
from socp_twisted.overlay.directory import Location, Server
from socp_twisted.overlay.effects import (
    Effect,
    Forward,
    LinkId,
    Notice,
    SendAll,
    Settled,
)
from socp_twisted.overlay.freshness import Stamp, is_history, stamp
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party
from socp_twisted.overlay.passing import check_sender, gossip, pass_on, reply
from socp_twisted.overlay.profile import display_name, extras
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.payloads import (
    ChannelAdd,
    DeliveryAnswers,
    ErrorReport,
    Heartbeat,
    Routed,
    ServerHello,
    UserAdvertise,
    UserRemove,
    harmless,
)
from socp_twisted.wire.vocabulary import (
    ACK,
    CAP_CHANNEL,
    ERROR,
    EXTRA_RECEIPTS,
    HEARTBEAT,
    MSG_PUBLIC_CHANNEL,
    PUBLIC_CHANNEL_ADD,
    PUBLIC_CHANNEL_KEY_SHARE,
    PUBLIC_CHANNEL_UPDATED,
    SERVER_ANNOUNCE,
    SERVER_HELLO_JOIN,
    SERVER_HELLO_LINK,
    SERVER_WELCOME,
    USER_ADVERTISE,
    USER_REMOVE,
)

Rule = Callable[[Mesh, Party, Envelope], Iterator[Effect]]


def server_announce(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """Note where a server listens, link to it, and pass it on."""
    hello = ServerHello.read(envelope.payload)
    known = mesh.directory.servers.get(envelope.sender)
    if mesh.key_of(envelope.sender) not in ("", hello.pubkey):
        raise Refused(ErrorCode.BAD_KEY, f"{envelope.sender} has another key here")
    if known is None:
        mesh.check_may_join(envelope.sender, hello.pubkey)
        mesh.check_room_for_pin(envelope.sender)
        holder = mesh.directory.server_of_key(hello.pubkey)
        if holder is not None:  # one key is one server, or it could be thousands
            if holder.links:
                raise Refused(ErrorCode.NAME_IN_USE, f"this key is {holder.id}'s")
            yield from forget_server(mesh, holder.id)
    news = known is None
    said = stamp(envelope)
    if known is not None and known.links and hello.instance == known.instance:
        known.announced_at = max(known.announced_at, said.at)
    if known is None or not known.links:
        server = register(
            mesh,
            envelope.sender,
            hello.host,
            hello.port,
            hello.pubkey,
            secure=hello.secure,
        )
        server.caps = frozenset(hello.caps)
        if said.at > server.announced_at:  # an old one must not bring back its process
            if server.instance not in ("", hello.instance):
                # Restarted out of our sight: whom it does not tell again is gone.
                server.again_from, server.told_again = envelope.ts, mesh.now
            server.announced_at, server.instance = said.at, hello.instance
        # It was told of us, too, and dials us first: two links would be one too many.
        yield server.sign_of_life(soon=False)
    if news:
        who = {"server_id": envelope.sender}
        yield Notice("heard of {server_id}", who, party.link)
    yield from gossip(mesh, party, envelope)


def user_advertise(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """A user is at the server that says so, unless another one still has them."""
    told = UserAdvertise.read(envelope.payload)
    server = _own_users_only(mesh, envelope, told.server_id)
    said = stamp(envelope)
    if _is_old_news(mesh, server, told.user_id, envelope.ts, said):
        return
    before = mesh.directory.user_locations.get(told.user_id)
    twin = mesh.directory.twin(told.user_id)
    if before is not None and before.ts < server.again_from:
        server.told_again = mesh.now
    key = told.pubkey or told.meta.get("pubkey") or ""
    if type(key) is not str or (key and not mesh.is_key(key)):
        raise Refused(ErrorCode.BAD_KEY, f"the key of {told.user_id} is not RSA-4096")
    name = display_name(told.meta)
    if name == told.user_id:
        name = ""  # what we write where there is none: others want it filled
    ts = envelope.ts
    if before is not None and before.server_id == server.id:
        ts = max(ts, before.ts)  # a copy that took a longer way is no older word
    shown = mesh.shows_login(server, told.user_id, key, told.meta)
    location = Location.of(
        server.id, key, name, extras(told.meta), ts, said.signed_at, shown=shown
    )
    if mesh.is_impostor(told.user_id, key):
        detail = f"{told.user_id} is registered at {mesh.server_id} with another key"
        yield from _report_claim(mesh, party.link, told.user_id, server.id, detail)
        return
    if shown:
        mesh.proofs.note(location.key_hash, server.id)
    elif mesh.must_show_login(server, told.user_id, key):
        detail = (
            f"{told.user_id} is known to show their login, or at home here: show it"
        )
        yield from _report_claim(mesh, party.link, told.user_id, server.id, detail)
        return
    if before is None and twin is not None:
        detail = f"{told.user_id} would be mistaken for {twin}"
        yield from _report_claim(mesh, party.link, told.user_id, server.id, detail)
        return
    if before is not None and before.server_id != server.id:
        stands = before.server_id == mesh.server_id or (
            before.server_id in mesh.routes() and not (shown and before.yields_to(key))
        )
        if stands:
            mesh.claim_later(told.user_id, location)
            detail = f"{told.user_id} is online at {before.server_id}"
            yield from _report_claim(mesh, party.link, told.user_id, server.id, detail)
            return
    if CAP_CHANNEL in server.caps:
        mesh.channel.add([told.user_id])  # such a server says it only to others
    yield from mesh.appear(told.user_id, location)
    yield from gossip(mesh, party, envelope)


def _report_claim(
    mesh: Mesh, link: LinkId, user_id: str, claimer: str, detail: str
) -> Iterator[Effect]:
    """A user is at one server: the first stands, and both are told of the second."""
    code = ErrorCode.NAME_IN_USE
    mesh.counters[f"refused {code}"] += 1
    if not mesh.reports.is_news(claimer, user_id, mesh.now):
        return
    yield Notice(
        "refused USER_ADVERTISE from {server_id}: {reason}",
        {"server_id": claimer, "reason": detail},
        link,
    )
    claim = {"code": code, "detail": detail, "user_id": user_id}
    yield from reply(mesh, claimer, ERROR, claim)
    links = tuple(mesh.directory.local_users.get(user_id, ()))
    if links:
        detail = f"{claimer} says that you are there: somebody may use your name"
        yield SendAll(links, ERROR, {"code": code, "detail": detail}, to=user_id)


def user_remove(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """A user has left; only the server that has them can say so."""
    told = UserRemove.read(envelope.payload)
    server = _own_users_only(mesh, envelope, told.server_id)
    said = stamp(envelope)
    if _is_old_news(mesh, server, told.user_id, envelope.ts, said):
        return
    rival = mesh.rivals.get(told.user_id)
    if rival is not None and rival.server_id == server.id:
        del mesh.rivals[told.user_id]
    location = mesh.directory.user_locations.get(told.user_id)
    if location is not None and location.server_id == server.id:
        yield from mesh.vanish(told.user_id, said.at)
    yield from gossip(mesh, party, envelope)


def heartbeat(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """A server is alive, and may say whom it is linked to."""
    links = Heartbeat.read(envelope.payload).links
    if links is not None:
        server = mesh.directory.servers[envelope.sender]
        said = stamp(envelope)
        if is_history(server, said):
            return
        mesh.topology.claim(envelope.sender, links, said.at, mesh.now)
        if not server.links:
            # Alive, and we had to hear it from another: try again to link to it.
            yield server.sign_of_life(soon=False)
        yield from gossip(mesh, party, envelope)


def content(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """Local, else through the server that hosts them, else USER_NOT_FOUND."""
    kind = BY_SERVER_TYPE[envelope.type]
    told = Routed.read(envelope.payload)
    kind.shape.read(envelope.payload)
    check_sender(mesh, envelope, told.sender, told.sender_pub)
    ts = envelope.ts if told.ts is None else told.ts
    if told.sender_pub:
        mesh.spoken.heard(told.sender_pub, ts, mesh.now_ms)
    reference = _reference(envelope)
    if told.user_id in mesh.directory.local_users:
        yield from _hand_over_once(mesh, envelope, kind, told, reference)
        return
    location = mesh.directory.user_locations.get(told.user_id)
    if location is not None and location.server_id != envelope.sender:
        hop = mesh.routes().get(location.server_id)
        # Unsigned, nobody further on would believe it: its origin sends it again.
        if hop is not None and hop != party.name and envelope.sig:
            yield Forward((mesh.directory.servers[hop].links[-1],), envelope)
            return
    yield from reply(
        mesh,
        envelope.sender,
        ERROR,
        {
            "code": ErrorCode.USER_NOT_FOUND,
            "detail": f"{told.user_id} is not online",
            "msg_ref": reference,
            "user_id": told.user_id,
        },
    )


def _hand_over_once(
    mesh: Mesh, envelope: Envelope, kind: Kind, told: Routed, reference: str
) -> Iterator[Effect]:
    """Hand content to a local user; what its server sends again is not given again."""
    origin, receipts = envelope.sender, mesh.receipts
    if reference and receipts.is_owed(origin, reference, mesh.now):
        return  # the user's client has it, and will say so
    receipt = ""
    if not (reference and receipts.is_given(origin, reference)):
        if reference and kind.is_kept and mesh.can(told.user_id, EXTRA_RECEIPTS):
            receipt = receipts.ask(origin, reference, told.user_id, mesh.now)
        ts = envelope.ts if told.ts is None else told.ts
        handed = hand_over(mesh, told.user_id, kind, envelope.payload, ts, receipt)
        if not kind.is_kept and is_too_much(mesh, [handed], len(envelope.frame)):
            sentence = too_slow(told.user_id)
            problem = {"code": ErrorCode.LIMIT, "detail": sentence}
            problem["msg_ref"] = reference
            yield from reply(mesh, origin, ERROR, problem)
            return
        yield handed
    if reference and not receipt:
        receipts.remember(origin, reference)
        delivered = {"msg_ref": reference, "status": "delivered"}
        answer = reply(mesh, envelope.sender, ACK, delivered)
        yield from at_their_pace(mesh, told.user_id, answer)


def channel_add(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """Users of another server belong to the public channel, as everybody does."""
    told = ChannelAdd.read(envelope.payload)
    server = mesh.directory.servers[envelope.sender]
    strangers = [user_id for user_id in told.add if user_id not in server.users]
    if strangers:
        raise Refused(
            ErrorCode.NOT_ALLOWED,
            f"{strangers[0]} is not a user of {envelope.sender}",
        )
    mesh.channel.add(told.add)
    mesh.channel.heard(told.if_version + 1)
    yield from gossip(mesh, party, envelope)


def channel_note(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """Wraps and key shares of others: passed on, and nobody's keys are ours to keep."""
    if "key_id" in envelope.payload:
        yield from channel_rules.shared(mesh, party, envelope)
    else:
        yield from gossip(mesh, party, envelope)


def channel_message(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """For one member, as others send it; or one ciphertext for everybody (ours)."""
    if channel_rules.is_for_all(envelope):
        yield from channel_rules.heard(mesh, party, envelope)
    else:
        yield from content(mesh, party, envelope)


def error(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """Somebody could not do what we asked: the log says so, or the user who asked."""
    if envelope.to not in ("", mesh.server_id):
        yield from pass_on(mesh, party, envelope)
        return
    told = ErrorReport.read(envelope.payload)
    gone = mesh.directory.user_locations.get(told.user_id)
    if (
        told.code == ErrorCode.USER_NOT_FOUND
        and gone is not None
        and gone.server_id == envelope.sender
    ):
        yield from mesh.vanish(told.user_id)  # their server should know
    links = tuple(mesh.directory.local_users.get(told.user_id, ()))
    if told.code == ErrorCode.NAME_IN_USE and links:
        # Another server has a user of this name, and did not take ours for them.
        if mesh.reports.is_news(envelope.sender, told.user_id, mesh.now):
            detail = f"{envelope.sender}: {harmless(told.detail)}"
            problem = {"code": told.code, "detail": detail}
            yield SendAll(links, ERROR, problem, to=told.user_id)
    waiting = mesh.deliveries.settle(told.msg_ref, envelope.sender)
    if waiting is not None:
        yield waiting.failed(told.code, told.detail)
    elif told.msg_ref:
        yield Settled(told.msg_ref, envelope.sender, told.code, told.detail)
    else:
        yield Notice(
            "{server_id} says {code}: {detail}",
            {"server_id": envelope.sender, "code": told.code, "detail": told.detail},
            party.link,
        )


def ack(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """Deliveries arrived: tell the users who sent them."""
    if envelope.to not in ("", mesh.server_id):
        yield from pass_on(mesh, party, envelope)
        return
    reference = envelope.payload.get("msg_ref")
    if "received" in envelope.payload:
        yield from channel_rules.answered(mesh, envelope)
    elif "msg_refs" in envelope.payload:
        for one in DeliveryAnswers.read(envelope.payload).msg_refs:
            yield from _arrived(mesh, one, envelope.sender)
    elif type(reference) is str:
        yield from _arrived(mesh, reference, envelope.sender)


def _arrived(mesh: Mesh, reference: str, server_id: str) -> Iterator[Effect]:
    waiting = mesh.deliveries.settle(reference, server_id)
    if waiting is not None:
        yield from waiting.delivered()
    else:
        yield Settled(reference, server_id)


def nothing(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """A greeting on a link that is up: it changes nothing, whatever it says."""
    return iter(())


RULES: dict[str, Rule] = {
    SERVER_ANNOUNCE: server_announce,
    USER_ADVERTISE: user_advertise,
    USER_REMOVE: user_remove,
    HEARTBEAT: heartbeat,
    **dict.fromkeys(BY_SERVER_TYPE, content),
    MSG_PUBLIC_CHANNEL: channel_message,
    PUBLIC_CHANNEL_ADD: channel_add,
    PUBLIC_CHANNEL_UPDATED: channel_note,
    PUBLIC_CHANNEL_KEY_SHARE: channel_note,
    ERROR: error,
    ACK: ack,
    SERVER_HELLO_JOIN: nothing,
    SERVER_HELLO_LINK: nothing,
    SERVER_WELCOME: nothing,
}


def _is_old_news(
    mesh: Mesh, server: Server, user_id: str, ts: int, said: Stamp
) -> bool:
    """Say whether newer word of a user came, or their server has restarted since."""
    if is_history(server, said):
        return True
    return mesh.directory.is_history(server, user_id, ts, said.signed_at)


def _own_users_only(mesh: Mesh, envelope: Envelope, server_id: str) -> Server:
    if server_id != envelope.sender:
        raise Refused(
            ErrorCode.NOT_ALLOWED,
            f"{envelope.sender} cannot speak for the users of {server_id}",
        )
    return mesh.directory.servers[server_id]


def _reference(envelope: Envelope) -> str:
    reference = envelope.payload.get("msg_id")
    return reference if type(reference) is str and len(reference) <= 60 else ""
