"""
Who may be a user on this connection, and what follows when they come?  (SOCP 9.1)

A USER_HELLO claims an id and a key.  The user is *in* once the key has been shown to be
theirs: by a login (USER_LOGIN), or, for a client that knows the standard alone and an
id that nobody registered, by the signature of the HELLO or of its first message.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from socp_twisted.errors import ErrorCode, MalformedFrame, Refused
from socp_twisted.overlay import channel_rules
from socp_twisted.overlay.arrival import advertise
from socp_twisted.overlay.directory import Location
from socp_twisted.overlay.effects import Effect, Gradually, Seen, Send, SendAll
from socp_twisted.overlay.mesh import CAPS, Mesh
from socp_twisted.overlay.party import Party, Stage
from socp_twisted.overlay.profile import display_name, extras
from socp_twisted.wire.envelope import Envelope, is_identifier
from socp_twisted.wire.payloads import UserHello
from socp_twisted.wire.vocabulary import (
    AGENT,
    CAP_CHANNEL,
    EXTRA_CHANNEL,
    PUBLIC_CHANNEL_ADD,
    PUBLIC_CHANNEL_SNAPSHOT,
    PUBLIC_CHANNEL_UPDATED,
    USER_ADDED,
    USER_HELLO_ACK,
    USER_REMOVE,
)

TOLD_AT_ONCE = 32
"""Users of whom a newcomer is told at a time: fewer than make us read no further."""

SNAPSHOT = 10_000
"""Members told in PUBLIC_CHANNEL_SNAPSHOT: with 64 characters each, 670 kB of 1 MiB."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a user told of themselves before they were let in."""

    display_name: str = ""
    extras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """Who a USER_HELLO says that it is."""

    user_id: str
    pubkey: str
    profile: Profile


def read_hello(mesh: Mesh, party: Party, envelope: Envelope) -> Claim:
    """Return what a USER_HELLO claims; raise ``Refused`` if it cannot be had here."""
    hello = UserHello.read(envelope.payload)
    user_id = envelope.sender or hello.user_id
    if not is_identifier(user_id):
        raise MalformedFrame("'from' must be an id of 1 to 64 letters, digits or ._-@")
    if not mesh.is_key(hello.pubkey):
        raise Refused(ErrorCode.BAD_KEY, "the public key is not RSA-4096")
    if hello.enc_pubkey not in ("", hello.pubkey) and mesh.is_key(hello.enc_pubkey):
        raise Refused(ErrorCode.BAD_KEY, "enc_pubkey must be the same key as pubkey")
    if party.stage is Stage.USER:
        if (user_id, hello.pubkey) != (party.name, party.key):
            raise Refused(
                ErrorCode.NOT_ALLOWED, f"this connection is {party.name}'s already"
            )
    else:
        check_free(mesh, user_id, hello.pubkey, at_home=True)  # as far as we know yet
    profile = Profile(display_name(hello.meta), extras(hello.meta))
    return Claim(user_id, hello.pubkey, profile)


def greet_user(
    mesh: Mesh,
    party: Party,
    claim: Claim,
    envelope: Envelope,
    *,
    at_home: bool = False,
) -> Iterator[Effect]:
    """
    Answer a USER_HELLO: here is our nonce, sign it and be who you say.

    ``at_home`` is for an id that is registered here, with this key.
    """
    profile = claim.profile
    if party.stage is not Stage.USER:
        # Who sends a nonce signs ours, too: then the login can be shown to others.
        shows = bool(envelope.payload.get("nonce"))
        check_free(mesh, claim.user_id, claim.pubkey, at_home=at_home, shows=shows)
        party.stage, party.at_home = Stage.GREETED, at_home
        party.name, party.key = claim.user_id, claim.pubkey
        party.hello = profile
    elif isinstance(party.hello, Profile):
        # Logged in by password, and says more now; the name may be the account's.
        name = profile.display_name or party.hello.display_name
        party.hello = Profile(name, profile.extras)
        yield from _tell_profile(mesh, party.name)
    nonce = envelope.payload.get("nonce")
    answer = {
        "status": "ok",
        "server_id": mesh.server_id,
        "pubkey": mesh.pubkey,
        "nonce": party.nonce,
        "answer": nonce[:64] if type(nonce) is str else "",
        "agent": AGENT,
        "caps": CAPS,
    }
    # Theirs differs from ours where a proxy ends their TLS: then all is signed.
    told = envelope.payload.get("tls_exporter")
    party.tls_bound = party.tls_exporter != "" and told == party.tls_exporter
    if party.tls_bound:
        answer["tls_exporter"] = party.tls_exporter
    yield Send(party.link, USER_HELLO_ACK, answer, to=claim.user_id)


def reserve(mesh: Mesh, user_id: str) -> None:
    """Let nobody be this user without a login, who has said USER_HELLO already."""
    for party in mesh.parties.values():
        if party.name.casefold() == user_id.casefold():
            party.must_log_in = True


def check_free(
    mesh: Mesh,
    user_id: str,
    pubkey: str,
    *,
    at_home: bool = False,
    shows: bool = False,
) -> None:
    """
    Raise ``Refused`` (NAME_IN_USE) unless this key may be this user here and now.

    What other servers say of a user who is ``at_home`` here does not count: any of them
    could keep everybody from logging in.  Nor does it count against a login that
    ``shows`` whose the key is, if they have shown none.
    """
    location = mesh.directory.user_locations.get(user_id)
    if location is not None and location.server_id != mesh.server_id:
        stands = not at_home and not (shows and location.yields_to(pubkey))
        if stands and location.server_id in mesh.routes():
            raise Refused(
                ErrorCode.NAME_IN_USE, f"{user_id} is online at {location.server_id}"
            )
    elif location is not None and location.pubkey != pubkey:
        raise Refused(
            ErrorCode.NAME_IN_USE, f"{user_id} is online here with another key"
        )
    twin = mesh.directory.twin(user_id)
    if twin is not None and not (at_home and twin not in mesh.directory.local_users):
        raise Refused(ErrorCode.NAME_IN_USE, f"{user_id} would be mistaken for {twin}")
    devices = mesh.directory.local_users.get(user_id, [])
    if len(devices) >= mesh.limits.devices:
        raise Refused(
            ErrorCode.LIMIT, f"max-devices: {mesh.limits.devices} are connected"
        )


def enter(mesh: Mesh, party: Party) -> Iterator[Effect]:
    """Let a user in whose key has been shown to be theirs; tell everybody."""
    # Once more: somebody may have been faster.
    shows = bool(party.proof)
    check_free(mesh, party.name, party.key, at_home=party.at_home, shows=shows)
    first = party.name not in mesh.directory.local_users
    if first:
        mesh.check_room(party.name, mesh.server_id)
        yield from _displace(mesh, party.name)
    party.stage = Stage.USER
    mesh.directory.local_users.setdefault(party.name, []).append(party.link)
    told = list(_tell_profile(mesh, party.name))  # them, too
    yield from told
    if party.proof and not told:
        yield from show(mesh, party)
    if first:
        yield from _join_channel(mesh, party.name)
    yield Gradually(party.link, _introduce(mesh, party, first=not told), TOLD_AT_ONCE)


def _introduce(mesh: Mesh, party: Party, *, first: bool) -> Iterator[Effect]:
    """Tell a newcomer who is here; ``first`` tells them of themselves, too."""
    # One client cannot write to anybody whom it was not told of, local users too.
    # Who comes or goes meanwhile is told of besides: a newcomer is a user already.
    for user_id, known in mesh.directory.after(""):
        if user_id != party.name or first:
            yield Send(party.link, USER_ADDED, mesh.user_entry(user_id, known))
    if first:
        yield Seen(party.name)  # another device: perhaps the one that reads
    yield Send(
        party.link, PUBLIC_CHANNEL_SNAPSHOT, _snapshot(mesh, party), to=party.name
    )


def _snapshot(mesh: Mesh, party: Party) -> dict[str, Any]:
    """Return the public channel; to who knows that everybody is in it, that it is."""
    if isinstance(party.hello, Profile) and EXTRA_CHANNEL in party.hello.extras:
        return {"version": 0, "members": []}  # for all the same: one signature
    online = islice(mesh.directory.online(), SNAPSHOT)
    return {
        "version": mesh.channel.version,
        "members": [user_id for user_id, _ in online],
    }


def _displace(mesh: Mesh, user_id: str) -> Iterator[Effect]:
    """Put whom another server calls so behind the user who is at home here."""
    if (twin := mesh.directory.twin(user_id)) is not None:
        yield from mesh.vanish(twin)
    location = mesh.directory.user_locations.get(user_id)
    if location is not None and location.server_id in mesh.routes():
        mesh.claim_later(user_id, location)  # theirs again when ours has left


def _tell_profile(mesh: Mesh, user_id: str) -> Iterator[Effect]:
    """
    Tell everybody of a local user, if that is news.

    What a user's clients can do is what all of them can: the others would be left with
    text that they cannot read.
    """
    devices = [mesh.parties[link] for link in mesh.directory.local_users[user_id]]
    profiles = [
        one.hello if isinstance(one.hello, Profile) else Profile() for one in devices
    ]
    names = [one.display_name for one in profiles if one.display_name]
    shared = set(profiles[0].extras).intersection(*(one.extras for one in profiles))
    before = mesh.directory.user_locations.get(user_id)
    location = Location.of(
        mesh.server_id,
        devices[0].key,
        names[-1] if names else "",
        tuple(sorted(shared)),
        mesh.now_ms,
        mesh.stamp(),
    )
    if location.is_news(before):
        yield from mesh.appear(user_id, location)
        yield advertise(mesh, user_id, location)


def show(mesh: Mesh, party: Party) -> Iterator[Effect]:
    """Show the other servers a login of who was let in without one."""
    location = mesh.directory.user_locations.get(party.name)
    if location is not None and location.server_id == mesh.server_id:
        yield advertise(mesh, party.name, location)


def _join_channel(mesh: Mesh, user_id: str) -> Iterator[Effect]:
    """
    Tell the servers that one more belongs to the public channel (SOCP 9.3).

    Ours know it by USER_ADVERTISE; but what they pass on may be news to one of others.
    """
    before = mesh.channel.version
    links = mesh.directory.server_links()
    is_new, servers = mesh.channel.add([user_id]), mesh.directory.servers.values()
    if is_new and any(CAP_CHANNEL not in server.caps for server in servers):
        added = {"add": [user_id], "if_version": before}
        yield SendAll(links, PUBLIC_CHANNEL_ADD, added)
        # Each sender has a key of their own, so no server wraps one for anybody.
        updated = {"version": mesh.channel.version, "wraps": []}
        yield SendAll(links, PUBLIC_CHANNEL_UPDATED, updated)


def leave(mesh: Mesh, party: Party) -> Iterator[Effect]:
    """A connection of a user has closed; the last one takes the user with it."""
    devices = mesh.directory.local_users.get(party.name, [])
    if party.link not in devices:
        return
    devices.remove(party.link)
    yield from channel_rules.left(mesh, party.link)
    if devices:
        yield from _tell_profile(mesh, party.name)
        return
    del mesh.directory.local_users[party.name]
    mesh.receipts.left(party.name)
    yield from mesh.vanish(party.name, mesh.now_ms)
    yield depart(mesh, party.name)


def depart(mesh: Mesh, user_id: str) -> SendAll:
    """Tell every server that a user of ours has left."""
    return SendAll(
        mesh.directory.server_links(),
        USER_REMOVE,
        {"user_id": user_id, "server_id": mesh.server_id},
    )
