"""
Who may be at the other end of a link?  Stages x first messages.  (SOCP 8.1)

A server that dials us claims an id and a key (SERVER_HELLO_JOIN).  A captured claim can
be replayed, so it buys nothing: the link is *up*, and counts, once the key has signed
something fresh.  Nodes of this project sign each other's nonce with both ids, in
SERVER_WELCOME and SERVER_HELLO_LINK.  Others cannot; with them the next frame that
verifies confirms the claim, and it never replaces a link or a key that we hold.

Over TLS those two signatures also cover the channel binding: where both ends see the
same one, what ends at the other end of the link needs no further signature.

The caller verifies a frame with ``key_for`` before a rule here sees it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from socp_twisted.errors import ErrorCode, MalformedFrame, Refused
from socp_twisted.overlay.arrival import forget_server, link_up, register
from socp_twisted.overlay.directory import key_hash
from socp_twisted.overlay.effects import Effect, Heard, Renamed, Send
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party, Stage
from socp_twisted.wire.addresses import split_url
from socp_twisted.wire.envelope import Envelope, Verified
from socp_twisted.wire.payloads import ServerEntry, ServerHello, ServerWelcome
from socp_twisted.wire.vocabulary import (
    CAP_POSSESSION,
    CAP_TLS_EXPORTER,
    ERROR,
    FRESH_FOR,
    SERVER_HELLO_JOIN,
    SERVER_HELLO_LINK,
    SERVER_WELCOME,
)

_UNSPECIFIED = frozenset({"0.0.0.0", "::", "localhost", "::1", ""})  # noqa: S104


def is_wanted(mesh: Mesh, key: str) -> bool:
    """Say whether we should dial the server that has this key."""
    server = mesh.directory.server_of_key(key)
    if server is None or not server.links:
        return True
    if CAP_POSSESSION in server.caps:
        return False
    # A server of others tells its users only to whom it is dialled by.
    return not any(mesh.parties[link].dialled for link in server.links)


def greet(mesh: Mesh, party: Party) -> Iterator[Effect]:
    """Say who we are on a link that we opened: SERVER_HELLO_JOIN."""
    party.asked_id = mesh.server_id
    yield Send(
        party.link,
        SERVER_HELLO_JOIN,
        mesh.hello(nonce=party.nonce),
        to=party.url,
    )


def key_for(mesh: Mesh, party: Party, envelope: Envelope) -> str:
    """
    Return the public key that this first frame must verify with.

    Raise ``Refused`` or ``MalformedFrame`` if no signature would make it welcome.
    """
    if party.stage is Stage.FRESH:
        if envelope.type not in (SERVER_HELLO_JOIN, SERVER_HELLO_LINK):
            raise Refused(
                ErrorCode.UNKNOWN_TYPE, f"{envelope.word} cannot open a connection"
            )
        return ServerHello.read(envelope.payload).pubkey
    return party.key


def admit(mesh: Mesh, party: Party, verified: Verified) -> list[Effect]:
    """Take one verified frame of a link that is not up yet; raise ``Refused``."""
    rule = _RULES.get(party.stage)
    if rule is None:
        return []
    return list(rule(mesh, party, verified))


def _join(mesh: Mesh, party: Party, verified: Verified) -> Iterator[Effect]:
    """A server claims an id: give it that or another, and ask for proof."""
    envelope = verified.envelope
    hello = ServerHello.read(envelope.payload)
    if hello.pubkey == mesh.pubkey:
        raise Refused(ErrorCode.NOT_ALLOWED, "this is your own key: you dialled me")
    if hello.server_id not in ("", envelope.sender):
        raise Refused(ErrorCode.NOT_ALLOWED, "payload.server_id is not 'from'")
    known = mesh.directory.servers.get(envelope.sender)
    ours = CAP_POSSESSION in hello.caps
    if known is not None and known.pubkey == hello.pubkey and known.links:
        if CAP_POSSESSION in known.caps and not ours:
            raise Refused(
                ErrorCode.NOT_ALLOWED,
                f"{known.id} is linked and signs nonces; this claim does not",
            )
    assigned = free_id(mesh, envelope.sender, hello.pubkey)
    mesh.check_may_join(assigned, hello.pubkey)
    mesh.check_room_for_pin(assigned)
    if assigned not in mesh.directory.servers:
        mesh.make_room()
    party.stage, party.name, party.key = Stage.CLAIMED, assigned, hello.pubkey
    party.caps, party.hello = frozenset(hello.caps), hello
    yield Send(
        party.link,
        SERVER_WELCOME,
        mesh.welcome(
            assigned,
            nonce=party.nonce,
            answer=hello.nonce,
            peer_key=hello.pubkey,
            tls_exporter=party.tls_exporter,
        ),
        to=assigned,
    )


def _confirm(mesh: Mesh, party: Party, verified: Verified) -> Iterator[Effect]:
    """A claimed link proves itself: LINK with our nonce, or any frame of others."""
    envelope = verified.envelope
    tls_bound = False
    if envelope.type == ERROR:
        return
    if CAP_POSSESSION in party.caps:
        if envelope.type != SERVER_HELLO_LINK:
            raise Refused(ErrorCode.INVALID_SIG, "prove your key: SERVER_HELLO_LINK")
        proof = ServerHello.read(envelope.payload)
        # With our key: or a server in the middle could have had it signed for itself.
        if (proof.answer, proof.peer, proof.peer_key, proof.server_id) != (
            party.nonce,
            mesh.server_id,
            key_hash(mesh.pubkey),
            party.name,
        ):
            raise Refused(ErrorCode.INVALID_SIG, "the proof answers another nonce")
        tls_bound = _check_tls(party, proof)
        party.hello = proof
    elif envelope.type == SERVER_HELLO_JOIN:
        raise Refused(ErrorCode.INVALID_SIG, "a claim is no proof of itself")
    elif abs(envelope.ts - mesh.now_ms) > FRESH_FOR:
        raise Refused(ErrorCode.INVALID_SIG, "the proof is stale: 'ts' is not now")
    if envelope.sender != party.name:
        raise Refused(
            ErrorCode.NAME_IN_USE, f"{envelope.sender} is taken: be {party.name}"
        )
    if free_id(mesh, party.name, party.key) != party.name:
        raise Refused(ErrorCode.NAME_IN_USE, f"{party.name} was taken meanwhile")
    hello = party.hello
    assert isinstance(hello, ServerHello)
    host = _reachable_host(hello.host, party.host)
    server = register(
        mesh, party.name, host, hello.port, party.key, secure=hello.secure
    )
    server.caps = frozenset(hello.caps)
    party.tls_bound = tls_bound
    yield from link_up(mesh, party, server, hello.instance, envelope.ts)
    if CAP_POSSESSION not in party.caps:
        # It tells its users in WELCOME and nowhere else: dial it to be told.
        yield server.sign_of_life()


def _welcome(mesh: Mesh, party: Party, verified: Verified) -> Iterator[Effect]:
    """The server that we dialled answers: check it, take our id, learn the others."""
    envelope = verified.envelope
    told = ServerWelcome.read(envelope.payload)
    server_id = envelope.sender
    mesh.check_may_join(server_id, party.key)
    mesh.check_room_for_pin(server_id)
    ours = CAP_POSSESSION in told.caps
    if ours and (told.answer, told.peer, told.peer_key, told.server_id) != (
        party.nonce,
        told.assigned_id,
        key_hash(mesh.pubkey),
        server_id,
    ):
        raise Refused(ErrorCode.INVALID_SIG, "the WELCOME answers another nonce")
    tls_bound = ours and _check_tls(party, told)
    known = mesh.directory.servers.get(server_id)
    if server_id == told.assigned_id:
        raise Refused(ErrorCode.NAME_IN_USE, f"it calls itself {server_id}, as we do")
    known_key = mesh.key_of(server_id)
    if known_key not in ("", party.key):
        if not party.pinned:
            raise Refused(
                ErrorCode.BAD_KEY, f"{server_id} is known here under another key"
            )
    elif known is not None and CAP_POSSESSION in known.caps and not ours:
        raise Refused(ErrorCode.NOT_ALLOWED, f"{server_id} used to sign our nonce")
    if told.assigned_id != mesh.server_id:
        if party.asked_id != mesh.server_id or not party.pinned:
            # Renamed meanwhile: ask again.  And only the operator's introducers may
            # rename us: anybody else whom we dial could unlink us from everybody.
            raise Refused(
                ErrorCode.NAME_IN_USE,
                f"our id {party.asked_id} belongs to another key there",
            )
    if known is None:
        mesh.make_room()
    # From here on nothing is refused: what is changed is told.
    if known_key not in ("", party.key):  # the operator's pin decides
        if known is not None:
            yield from forget_server(mesh, server_id)
        mesh.pins.pop(server_id, None)
    if told.assigned_id != mesh.server_id:
        mesh.rename(told.assigned_id)
        yield Renamed(told.assigned_id, party.link)
    entry = _entry(told.introducer)
    scheme, host, port = split_url(party.url)
    secure = scheme == "wss"
    if entry is not None and entry.port and entry.server_id in ("", server_id):
        host, port = _reachable_host(entry.host, host), entry.port
        secure = entry.secure
    server = register(mesh, server_id, host, port, party.key, secure=secure)
    server.caps = frozenset(told.caps)
    yield Send(
        party.link,
        SERVER_HELLO_LINK,
        mesh.hello(
            nonce=party.nonce,
            answer=told.nonce,
            peer=server_id,
            peer_key=party.key,
            tls_exporter=party.tls_exporter,
        ),
        to=server_id,
    )
    party.name, party.caps, party.tls_bound = server_id, server.caps, tls_bound
    yield from link_up(mesh, party, server, told.instance, envelope.ts)
    yield from _learn(mesh, server_id, told, envelope.ts)


def _check_tls(party: Party, proof: ServerHello | ServerWelcome) -> bool:
    """
    Say whether a proof binds the link; raise ``Refused`` if it binds another one.

    Their key has signed which TLS connection they see, with our nonce and both ids: if
    that is not ours, both of ours end at somebody who reads and passes on (RFC 9266).
    Where one of us does not say that it binds, signatures go on as they did.
    """
    if not party.tls_exporter or CAP_TLS_EXPORTER not in proof.caps:
        return False
    if proof.tls_exporter != party.tls_exporter:
        raise Refused(
            ErrorCode.INVALID_SIG,
            "the TLS connection ends at somebody in between; if that is a proxy of "
            "yours, both servers need --sign-always",
        )
    return True


def _learn(
    mesh: Mesh, server_id: str, told: ServerWelcome, ts: int
) -> Iterator[Effect]:
    """Dial the servers of a WELCOME, and note the users that are its own."""
    for listed in [*told.servers, *told.clients]:
        entry = _entry(listed)
        if entry is None:
            continue
        if entry.user_id in ("", entry.server_id) and entry.server_id:
            if entry.server_id in (mesh.server_id, server_id) or not (
                entry.host and entry.port and mesh.is_key(entry.pubkey)
            ):
                continue
            # Never a pin: whoever answers there must prove the key listed here, and
            # where we hold another key for that id, ours stands.
            if mesh.key_of(entry.server_id) in ("", entry.pubkey) and mesh.may_join(
                entry.server_id, entry.pubkey
            ):
                yield Heard(
                    entry.server_id,
                    entry.host,
                    entry.port,
                    entry.pubkey,
                    secure=entry.secure,
                )
        elif entry.server_id in ("", server_id) and mesh.is_key(entry.pubkey):
            yield from mesh.welcome_user(server_id, entry.user_id, entry.pubkey, ts)


def _entry(listed: Mapping[str, Any]) -> ServerEntry | None:
    try:
        return ServerEntry.read(listed)
    except MalformedFrame:
        return None  # one bad entry must not cost us the others


def free_id(mesh: Mesh, asked: str, pubkey: str) -> str:
    """
    Return the id asked for, or one of our choosing if another key has it.

    It is made of the key, so every introducer assigns the same one, after a restart
    too; raise ``Refused`` if somebody took even that.
    """
    fingerprint = hashlib.sha256(pubkey.encode("ascii")).hexdigest()[:8]
    for candidate in (asked, f"{asked[:55]}-{fingerprint}"):
        taken = mesh.key_of(candidate) not in ("", pubkey)
        if not taken and candidate != mesh.server_id:
            return candidate
    raise Refused(ErrorCode.NAME_IN_USE, f"{asked} belongs to another key")


def _reachable_host(told: str, seen: str) -> str:
    """Prefer the address that we see to one that only works on their own machine."""
    local = told in _UNSPECIFIED or told.startswith("127.")
    return seen if local and seen else told


_Rule = Callable[[Mesh, Party, Verified], Iterator[Effect]]
_RULES: dict[Stage, _Rule] = {
    Stage.FRESH: _join,
    Stage.CLAIMED: _confirm,
    Stage.DIALLED: _welcome,
}
