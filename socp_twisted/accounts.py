"""
Who is this user?  Registration and login, as far as they wait for disk and scrypt.

What does not wait is ``overlay.attendance``'s to decide.  (SOCP 9.1)
"""

import math
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

from socp_twisted.errors import ErrorCode, Refused
from socp_twisted.locks import Lock
from socp_twisted.overlay import attendance
from socp_twisted.overlay.directory import key_hash
from socp_twisted.overlay.effects import Effect, Send
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party, Stage
from socp_twisted.overlay.profile import display_name, extras
from socp_twisted.overlay.throttle import Throttle
from socp_twisted.store.interface import Member, Store, StoreError, User
from socp_twisted.trust.passwords import Verifier, check_password
from socp_twisted.trust.signatures import is_login, verify
from socp_twisted.wire.addresses import is_loopback, subscriber
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.payloads import UserLogin, UserRegister
from socp_twisted.wire.vocabulary import (
    USER_HELLO,
    USER_LOGGED_IN,
    USER_LOGIN,
    USER_REGISTER,
    USER_REGISTERED,
)

WRONG = "wrong user or password"
"""Said for an unknown user, a wrong password and a wrong proof: they look alike."""


class Accounts:
    """The registered users of this server, and the way in for all others."""

    def __init__(
        self,
        mesh: Mesh,
        store: Store,
        in_thread: Callable[[Callable[[], bool]], Awaitable[bool]],
    ) -> None:
        """``in_thread`` runs a password check where it stops nobody else."""
        self._mesh = mesh
        self._store = store
        self._in_thread = in_thread
        self._throttle = Throttle()
        self._guessing: WeakValueDictionary[str, Lock] = WeakValueDictionary()
        """By address; kept by those who hold one, or wait for it."""

    async def open(self) -> None:
        """Recall who is registered, and the public channel as it was."""
        for user_id, pubkey in (await self._store.user_keys()).items():
            self._mesh.home_keys[user_id] = key_hash(pubkey)
        channel = await self._store.channel()
        self._mesh.channel.add(member.member_id for member in channel.members)
        self._mesh.channel.version = max(1, channel.version)

    async def attend(self, party: Party, envelope: Envelope) -> list[Effect]:
        """Answer USER_HELLO, USER_REGISTER or USER_LOGIN; raise ``SocpError``."""
        try:
            return await _RULES[envelope.type](self, party, envelope)
        except StoreError as why:
            raise Refused(
                ErrorCode.TIMEOUT, "the directory of users cannot be read now"
            ) from why

    async def _hello(self, party: Party, envelope: Envelope) -> list[Effect]:
        claim = attendance.read_hello(self._mesh, party, envelope)
        registered = await self._store.find(claim.user_id)
        if party.is_closing:
            return []
        if registered is not None and registered.user_id != claim.user_id:
            raise Refused(
                ErrorCode.NAME_IN_USE,
                f"{claim.user_id} would be mistaken for {registered.user_id}",
            )
        if registered is not None and registered.pubkey != claim.pubkey:
            raise Refused(
                ErrorCode.NAME_IN_USE,
                f"{claim.user_id} is registered with another key",
            )
        online = claim.user_id in self._mesh.directory.user_locations
        at_home = registered is not None
        effects = list(
            attendance.greet_user(self._mesh, party, claim, envelope, at_home=at_home)
        )
        # The signature covers no id and nothing of ours: whoever captured it could send
        # it again.  A client that sends a nonce signs ours, too; the others cannot.
        proves = bool(envelope.payload.get("nonce"))
        party.must_log_in = registered is not None or online or proves
        if envelope.sig and not party.must_log_in and party.stage is Stage.GREETED:
            verify(envelope, party.key)
            effects += attendance.enter(self._mesh, party)
        return effects

    async def _register(self, party: Party, envelope: Envelope) -> list[Effect]:
        told = UserRegister.read(envelope.payload)
        if not self._mesh.is_key(told.pubkey):
            raise Refused(ErrorCode.BAD_KEY, "the public key is not RSA-4096")
        if told.pake_password:
            Verifier.parse(told.pake_password)
        proved = party.stage is Stage.USER and (
            (party.name, party.key) == (told.user_id, told.pubkey)
        )
        if not proved:
            attendance.check_free(self._mesh, told.user_id, told.pubkey)
            if told.user_id in self._mesh.directory.local_users:
                raise Refused(
                    ErrorCode.NAME_IN_USE,
                    f"{told.user_id} is online here: register there",
                )
            await self._check_room(party)
        meta = {"display_name": display_name(told.meta)}
        user = User(
            told.user_id, told.pubkey, told.privkey_store, told.pake_password, meta
        )
        added = await self._store.register(user)
        if not added and proved:
            added = await self._store.update_user(
                told.user_id,
                privkey_store=told.privkey_store,
                pake_password=told.pake_password,
                meta=meta,
            )
        if not added:
            raise Refused(ErrorCode.NAME_IN_USE, f"{told.user_id} is registered")
        self._mesh.home_keys[told.user_id] = key_hash(told.pubkey)
        attendance.reserve(self._mesh, told.user_id)
        return [
            Send(
                party.link,
                USER_REGISTERED,
                {"user_id": told.user_id},
                to=told.user_id,
            )
        ]

    async def _check_room(self, party: Party) -> None:
        """Raise ``Refused`` if there are too many accounts, or too many too fast."""
        limits, now = self._mesh.limits, self._mesh.now
        if await self._store.count_users() >= limits.accounts:
            raise Refused(
                ErrorCode.LIMIT, f"max-accounts: {limits.accounts} are registered"
            )
        if is_loopback(party.host):
            return
        address = f"registrations from {subscriber(party.host)}"
        wait = self._throttle.wait(address, now=now)
        if wait > 0:
            raise Refused(
                ErrorCode.LIMIT,
                f"too many registrations: try again in {math.ceil(wait)} s",
            )
        self._throttle.failed(address, now=now)  # as a failed login: five are free

    async def _login(self, party: Party, envelope: Envelope) -> list[Effect]:
        told = UserLogin.read(envelope.payload)
        if party.stage is Stage.USER and party.name != told.user_id:
            raise Refused(
                ErrorCode.NOT_ALLOWED, f"this connection is {party.name}'s already"
            )
        if told.password and not (party.secure or is_loopback(party.host)):
            raise Refused(
                ErrorCode.NOT_ALLOWED,
                "a password may not cross the network in clear: use wss:// or a key",
            )
        registered = await self._store.find(told.user_id)
        twin = registered is not None and registered.user_id != told.user_id
        showed = bool(party.proof)
        if told.proof:
            entered = not twin and self._prove(party, told, registered)
        else:
            stored = None if registered is None or twin else registered.pake_password
            entered = await self._check(party, told, stored)
        if party.is_closing:
            return []
        if not entered:
            raise Refused(ErrorCode.BAD_KEY, WRONG)
        if registered is not None and not self._mesh.is_key(registered.pubkey):
            raise Refused(
                ErrorCode.BAD_KEY,
                f"{told.user_id} cannot log in: the registered key is not RSA-4096",
            )
        answer = Send(
            party.link,
            USER_LOGGED_IN,
            {
                "user_id": told.user_id,
                "privkey_store": (
                    registered.privkey_store
                    if registered is not None and not told.proof
                    else ""
                ),
                "server_id": self._mesh.server_id,
            },
            to=told.user_id,
        )
        if told.fetch:
            return [answer]  # they come in with the key that is in there
        if party.stage is Stage.USER:
            news = party.proof and not showed
            return [answer, *(attendance.show(self._mesh, party) if news else ())]
        if registered is not None:
            self._take_identity(party, registered)
            await self._join_channel(registered.user_id)
            if party.is_closing:
                return []
        return [answer, *attendance.enter(self._mesh, party)]

    async def _check(self, party: Party, told: UserLogin, stored: str | None) -> bool:
        """
        Say whether the password is right, or raise ``Refused`` after too many guesses.

        One check at a time for each address: the next one waits until the guess before
        it was counted, however many connections it has.  A proof needs none of this:
        nobody guesses a signature, and a guesser must not keep the key's owner out.
        """
        caller = subscriber(party.host)
        async with self._guessing.setdefault(caller, Lock()):
            if party.is_closing:
                return False
            guesses = (f"user {told.user_id}", f"address {caller}")
            wait = self._throttle.wait(*guesses, now=self._mesh.now)
            if wait > 0:
                raise Refused(
                    ErrorCode.LIMIT,
                    f"too many failed logins: try again in {math.ceil(wait)} s",
                )
            right = await self._in_thread(lambda: check_password(told.password, stored))
            if right:
                self._throttle.succeeded(guesses[0])
            else:
                # Counted although they may have hung up meanwhile.
                self._throttle.failed(*guesses, now=self._mesh.now)
            return right

    def _prove(self, party: Party, told: UserLogin, registered: User | None) -> bool:
        """Say whether the greeted key signed our nonce, and is the registered one."""
        if party.stage not in (Stage.GREETED, Stage.USER) or party.name != told.user_id:
            raise Refused(ErrorCode.NOT_ALLOWED, "say USER_HELLO before a proof")
        if registered is not None and registered.pubkey != party.key:
            return False
        if not is_login(
            party.key,
            told.proof,
            nonce=party.nonce,
            server_id=self._mesh.server_id,
            server_key=self._mesh.pubkey,
            user_id=told.user_id,
        ):
            return False
        party.proof = told.proof  # shown to other servers, too
        self._mesh.proofs.note(key_hash(party.key), self._mesh.server_id)
        return True

    def _take_identity(self, party: Party, registered: User) -> None:
        """Be the registered user, whatever was claimed before the password."""
        greeted = party.hello
        profile = attendance.Profile(
            display_name(registered.meta), extras(registered.meta)
        )
        if isinstance(greeted, attendance.Profile) and party.name == registered.user_id:
            profile = attendance.Profile(
                greeted.display_name or profile.display_name, greeted.extras
            )
        party.hello = profile
        party.name, party.key = registered.user_id, registered.pubkey
        party.at_home = True

    async def _join_channel(self, user_id: str) -> None:
        """Keep that this user is in ``public``: everybody who registered is."""
        if user_id not in self._mesh.channel.members:
            member = Member(user_id, added_at=self._mesh.now_ms)
            await self._store.put_members([member])
            # Others may have taken it further than this server's own users did.
            await self._store.raise_version(self._mesh.channel.version + 1)


_RULES: dict[str, Callable[[Accounts, Party, Envelope], Awaitable[list[Effect]]]] = {
    USER_HELLO: Accounts._hello,
    USER_REGISTER: Accounts._register,
    USER_LOGIN: Accounts._login,
}

WAITING_TYPES = frozenset(_RULES)
"""Frames whose answer waits for the disk: the connection's next ones wait, too."""
