"""What does a node remember, and what may it ask for?  (SOCP 9.1, 9.3, 15)"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class StoreError(Exception):
    """The database could not do what it was asked: one sentence for the log."""


class StoreClosed(StoreError):
    """The store is not open: asked too early, or while the node is stopping."""


@dataclass(frozen=True, slots=True)
class User:
    """
    One registered user.

    ``privkey_store`` and ``pake_password`` are empty for a user who logs in by key
    only; ``version`` grows with each change.
    """

    user_id: str
    pubkey: str
    privkey_store: str = field(default="", repr=False)
    pake_password: str = field(default="", repr=False)
    meta: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the public channel; ``added_at`` in milliseconds."""

    member_id: str
    role: str = "member"
    wrapped_key: str = field(default="", repr=False)
    added_at: int = 0


@dataclass(frozen=True, slots=True)
class Channel:
    """The group ``public``: a version that only grows, and its members by id."""

    version: int
    members: tuple[Member, ...] = ()
    creator_id: str = "system"
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class ServerPin:
    """The key that a server id is tied to, and where it was seen; times in ms."""

    server_id: str
    pubkey: str
    host: str
    port: int
    first_seen: int
    last_seen: int


class State(StrEnum):
    """What became of a message."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Message:
    """
    A message of one of our users, kept until it is answered.

    ``msg_id`` is made of its content; ``msg_ref`` is the id that its sender gave it.
    ``payload`` is empty once it was answered.  ``accepted_at`` is in milliseconds, and
    ``told`` is what the sender was told last.
    """

    msg_id: str
    sender: str
    recipient: str
    type: str
    ts: int
    msg_ref: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)
    accepted_at: int = 0
    state: str = State.WAITING
    code: str = ""
    detail: str = ""
    told: str = ""
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Acquaintance:
    """A user who was seen in the network; times in milliseconds."""

    user_id: str
    pubkey: str
    server_id: str
    first_seen: int
    last_seen: int


class Store(Protocol):
    """
    What outlives the process.

    Each change is on the disk when its coroutine returns.  All raise ``StoreError``
    when the database cannot, and ``StoreClosed`` before ``open`` and after ``close``.
    """

    async def open(self, now: int) -> None:
        """Open, migrate and make ``public``, or raise ``ConfigurationError``."""

    async def close(self) -> None:
        """Refuse what comes from now on, and wait for what is under way."""

    async def register(self, user: User) -> bool:
        """
        Add a user, or return ``False`` if the id is taken.

        An id that differs in case alone counts as taken: ``Alice`` would pass for
        ``alice`` on a screen.
        """

    async def user(self, user_id: str) -> User | None:
        """Return a user by the exact id."""

    async def find(self, user_id: str) -> User | None:
        """Return the user whose id is this one, or differs from it in case alone."""

    async def update_user(
        self,
        user_id: str,
        *,
        privkey_store: str | None = None,
        pake_password: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> bool:
        """Change what is given, never the key; ``False`` if nobody has this id."""

    async def user_keys(self) -> dict[str, str]:
        """Return the public key of each registered user, by id."""

    async def known_keys(self) -> dict[str, str]:
        """Return the public key of each user who was seen, by id."""

    async def count_users(self) -> int:
        """Return how many users are registered."""

    async def user_ids(self) -> list[str]:
        """Return the ids of all registered users, sorted by code point."""

    async def channel(self) -> Channel:
        """Return the public channel, its members sorted by id."""

    async def put_members(self, members: Sequence[Member]) -> int:
        """
        Add members, or change the role and wrapped key of those that are there.

        Return the channel's version, which grew by one if anything changed.
        """

    async def raise_version(self, version: int) -> int:
        """Lift the channel's version to at least ``version``, and return it."""

    async def pin(self, server: ServerPin) -> ServerPin:
        """
        Pin a server's key at first sight, and return the pin that holds.

        If the key is the pinned one, its address and ``last_seen`` are renewed.  If it
        is another, nothing changes: compare ``pubkey`` with the one returned.
        """

    async def pins(self) -> list[ServerPin]:
        """Return all pins, sorted by server id."""

    async def forget(self, server_id: str) -> bool:
        """Remove a pin, on the operator's word alone; ``False`` if there was none."""

    async def accept(
        self, message: Message, per_sender: int, total: int
    ) -> Message | None:
        """
        Keep a message, or return the same one that was kept before.

        One that is ``DELIVERED`` already is noted without its content; what is
        returned then has it only if it is new.
        ``None`` if ``per_sender`` messages of its sender, or ``total`` in all, wait.
        """

    async def message(self, msg_id: str) -> Message | None:
        """Return a message that was kept."""

    async def settle(
        self, msg_id: str, state: State, code: str, detail: str, *, told: bool = False
    ) -> Message | None:
        """
        Answer a message and let go of its content; ``None`` if it waits no more.

        ``told`` notes in the same breath that its sender knows.
        """

    async def put_back(self, message: Message) -> Message | None:
        """Let a message wait that was noted as delivered, and was not after all."""

    async def told(self, msg_id: str, what: str) -> None:
        """Note what the sender was told."""

    async def waiting(self, recipient: str, after: int, limit: int) -> list[Message]:
        """Return messages that wait for a recipient, in order, from ``seq`` on."""

    async def giving_way(self, sender: str, limit: int) -> list[Message]:
        """
        Return what may give way to a message of ``sender`` where there is no room.

        At most ``limit`` messages of whoever has most of them waiting, the newest
        first; none if ``sender`` has as many, or but one less.
        """

    async def recipients(self) -> list[str]:
        """Return whom messages wait for."""

    async def untold(self, sender: str) -> list[Message]:
        """Return answered messages whose sender was not told."""

    async def expire(
        self, held_before: int, told_before: int, untold_before: int, known: int
    ) -> list[Message]:
        """
        Give up what waits for too long, and return it; forget what is long done.

        Times are those of acceptance, in milliseconds: of what waits, of what is done
        and its sender knows, of what is done and its sender does not know.
        Of the users who were seen only the ``known`` latest are remembered, and as many
        keys that were shown: the latest of each server, in equal shares.
        """

    async def meet(self, user: Acquaintance) -> Acquaintance:
        """Note that a user was seen; return what was known of them before, or this."""

    async def prove(self, hashed: str, server_id: str, now: int) -> None:
        """Note that a login was shown there, with the key of this SHA-256; Unix ms."""

    async def proven_keys(self) -> dict[str, str]:
        """Return by the hashes of those keys where that was, the latest last."""
