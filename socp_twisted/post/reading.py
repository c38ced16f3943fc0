"""What is kept of a user's frame?  A message, with an id of its content.  (Ours)"""

import hashlib
from collections.abc import Mapping
from typing import Any

from socp_twisted.errors import ErrorCode, Refused
from socp_twisted.overlay.content import as_sent, recipient
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party
from socp_twisted.post.acquaintances import Acquaintances
from socp_twisted.post.flow import Flow
from socp_twisted.store.interface import Message, State
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.payloads import MsgDirect
from socp_twisted.wire.vocabulary import EXTRA_RECEIPTS, MSG_DIRECT, MSG_PUBLIC_CHANNEL

POSTED_TYPES = frozenset({MSG_DIRECT, MSG_PUBLIC_CHANNEL})
"""What is kept until it is answered.  Files are not: both ends must be there."""

_FOR_KEY = "recipient_key"
"""
Kept with a message, and never sent: SHA-256 of the text of the key that it is for.

It is comparable with what is known of who is online, since a key has one spelling: none
other is let in, nor taken from another server (``mesh.is_key``), and none can be sealed
for.  Who is online, and of whom no key was told, is given what waits for their id, but
not what is for a key with which a login was shown before.
"""

AT_ONCE = "handed over as soon as it was kept"
"""Noted of a message that nobody acknowledges: on disk before it leaves."""


def key_for(message: Message) -> str:
    """Return SHA-256 of the key that a message is for, or nothing."""
    key: str = message.payload.get(_FOR_KEY, "")
    return key


def unpacked(message: Message) -> tuple[dict[str, Any], str]:
    """Return what is sent of a message, and the hash of the key that it is for."""
    content = dict(message.payload)
    content.pop(_FOR_KEY, None)
    return content, key_for(message)


class Reading:
    """Makes messages of the frames of our own users."""

    def __init__(
        self, mesh: Mesh, acquaintances: Acquaintances, flows: Mapping[str, Flow]
    ) -> None:
        """``flows`` are what is on its way, by recipient."""
        self._mesh = mesh
        self._acquaintances = acquaintances
        self._flows = flows

    def read(self, party: Party, envelope: Envelope) -> Message:
        """
        Return what is kept of a frame: its id is made of its content.

        Raise ``MalformedFrame`` or ``Refused``.
        """
        limit = self._mesh.limits.message
        if len(envelope.frame) > limit:
            raise Refused(ErrorCode.LIMIT, f"max-message: {limit} bytes at most")
        told = MsgDirect.read(envelope.payload)
        to = recipient(party, envelope, told.sender, told.to)
        if told.sender_pub != party.key:
            raise Refused(ErrorCode.BAD_KEY, "sender_pub is not the key of this user")
        self._mesh.spoken.heard(party.key, envelope.ts, self._mesh.now_ms)
        content = f"{envelope.type}\0{party.name}\0{to}\0{envelope.ts}\0"
        name = hashlib.blake2b(
            (content + told.ciphertext).encode("ascii"), digest_size=16
        )
        # Else a stranger who was seen under the id would keep it from whom it is for.
        key = told.recipient_key.lower() or self._mesh.user_key(to)
        # If nobody will answer for it: one visit to the disk instead of three.
        at_once = self._arrives_at_once(to, key)
        return Message(
            name.hexdigest(),
            party.name,
            to,
            envelope.type,
            envelope.ts,
            envelope.id,
            {**as_sent(party, envelope), _FOR_KEY: key},
            self._mesh.now_ms,
            State.DELIVERED if at_once else State.WAITING,
            detail=AT_ONCE if at_once else "",
            told=State.DELIVERED if at_once else "",
        )

    def _arrives_at_once(self, to: str, key: str) -> bool:
        """Say whether a message is delivered as soon as it is sent."""
        flow = self._flows.get(to)
        return (
            to in self._mesh.directory.local_users
            and (flow is None or flow.is_clear)
            and not self._mesh.can(to, EXTRA_RECEIPTS)
            and self._acquaintances.is_for(to, key)
        )
