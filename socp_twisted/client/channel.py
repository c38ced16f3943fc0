"""
Which key is a message to everybody sealed with?  Ours, and those of the others.

Each sender has a key of the public channel: 256 bits, wrapped once for each member with
RSA-OAEP, and replaced when a member leaves.  A wrap says what it is, whose and for
whom, so that none can be passed on as another.  Each message has a key of its own,
derived from the one before in one direction only: who is given the key later can derive
those of later messages, and of no earlier one.  (SOCP 9.3; the format is ours)
"""

import hmac
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from socp_twisted.client.events import Contact
from socp_twisted.errors import MalformedFrame
from socp_twisted.trust.keys import PrivateKey, public_key
from socp_twisted.trust.sealing import (
    NONCE,
    SHARED_KEY,
    seal,
    seal_shared,
    unseal,
    unseal_shared,
)
from socp_twisted.wire.encoding import (
    b64u_decode,
    b64u_encode,
    canonical,
    parse_object,
)
from socp_twisted.wire.vocabulary import (
    EXTRA_BLOCKS,
    EXTRA_CHANNEL,
    EXTRA_RECEIPTS,
)

MAX_MESSAGES: Final = 1_000
"""Messages under one key.  Random nonces would do for 2**32; this bounds what one lost
key can read."""

SHARES: Final = 16
"""Wraps in one frame, under one signature: 13 kB, which each of these members gets."""

KEYS_OF_ONE: Final = 4
"""Keys kept of one sender: the last ones, for what is still on its way."""

MAX_SENDERS: Final = 4_096
"""Senders whose keys are kept; who was heard least lately is forgotten."""

_WRAP: Final = "socp-channel-key-1"
_MESSAGE: Final = "socp-channel-message-1"
_NEEDED: Final = frozenset({EXTRA_BLOCKS, EXTRA_CHANNEL, EXTRA_RECEIPTS})


class UnknownKey(MalformedFrame):
    """A message under a key that we were not given: it comes again, sealed for us."""


def chain_after(chain: bytes, messages: int) -> bytes:
    """Return the key that a key has become after so many messages: 1 us for each."""
    for _ in range(messages):
        chain = hmac.digest(chain, b"next", "sha256")
    return chain


def message_key(chain: bytes) -> bytes:
    """Return what the next message is sealed with; it tells nothing of the chain."""
    return hmac.digest(chain, b"message", "sha256")


@dataclass(slots=True)
class OurKey:
    """The key that we seal with now."""

    key_id: str
    chain: bytes = field(repr=False)
    """The key of the message ``seq`` and all later ones; those before are forgotten."""
    seq: int = 0
    """Messages sealed so far."""
    holders: dict[str, str] = field(default_factory=dict)
    """Members who were given it, each with the public key that it was wrapped for."""
    lacking: set[str] = field(default_factory=set)
    """Members who were given it and could not read with it: they get it once more."""


@dataclass(slots=True)
class TheirKey:
    """A key that somebody gave us: from message ``seq`` on."""

    seq: int
    chain: bytes = field(repr=False)
    _at: int = -1
    _chain: bytes = field(default=b"", repr=False)

    def chain_at(self, seq: int) -> bytes:
        """Return the key of a message and later ones; raise for an earlier one."""
        if not self.seq <= seq <= MAX_MESSAGES:
            raise UnknownKey(f"message {seq} is not one that we were given the key of")
        if not self.seq <= self._at <= seq:  # else only from where we are, not anew
            self._at, self._chain = self.seq, self.chain
        self._chain = chain_after(self._chain, seq - self._at)
        self._at = seq
        return self._chain


def can_share(contact: Contact) -> bool:
    """Say whether a member's clients can read what is sealed once for everybody."""
    return contact.extras >= _NEEDED


def wrap(key: OurKey, sender: str, contact: Contact) -> dict[str, Any]:
    """Return our key wrapped for one member: one of the ``shares``, 0.1 ms."""
    wrapped = {
        "context": _WRAP,
        "key": b64u_encode(key.chain),
        "key_id": key.key_id,
        "member": contact.user_id,
        "sender": sender,
        "seq": key.seq,
    }
    sealed = seal(public_key(contact.key), canonical(wrapped))
    return {
        "member": contact.user_id,
        "wrapped_public_channel_key": b64u_encode(sealed),
    }


def unwrap(
    key: PrivateKey, share: bytes, sender: str, key_id: str, me: str
) -> TheirKey:
    """Return a key that was wrapped for us (5 ms), or raise ``MalformedFrame``."""
    try:
        wrapped = parse_object(unseal(key, share))
        chain = b64u_decode(str(wrapped.pop("key", "")))
    except ValueError as why:
        raise MalformedFrame("the channel's key cannot be read") from why
    said = {"context": _WRAP, "key_id": key_id, "member": me, "sender": sender}
    seq = wrapped.pop("seq", None)
    if wrapped != said or len(chain) != SHARED_KEY:
        raise MalformedFrame("a key of the channel that was wrapped as something else")
    if type(seq) is not int or not 0 <= seq <= MAX_MESSAGES:
        raise MalformedFrame(f"a key of the channel lasts {MAX_MESSAGES} messages")
    return TheirKey(seq, chain)


def _bound(sender: str, key_id: str, seq: int, ts: int) -> bytes:
    said = {"context": _MESSAGE, "key_id": key_id, "sender": sender}
    return canonical({**said, "seq": seq, "ts": ts})


class Keys:
    """Our key of the public channel, and those that others have given us."""

    def __init__(self, randomness: Callable[[int], bytes]) -> None:
        self._randomness = randomness
        self._ours: OurKey | None = None
        self._theirs: OrderedDict[str, OrderedDict[str, TheirKey]] = OrderedDict()

    # -- ours --------------------------------------------------------------------------

    def ours(self, members: Iterable[Contact]) -> tuple[OurKey, list[Contact]]:
        """
        Return the key for the next message, and the members who are to be given it.

        It is a new one if somebody who holds the old one is no longer a member, or not
        with the same public key.
        """
        there = {contact.user_id: contact for contact in members}
        ours = self._ours
        if (
            ours is None
            or ours.seq >= MAX_MESSAGES
            or any(
                user_id not in there or there[user_id].key != key
                for user_id, key in ours.holders.items()
            )
        ):
            key_id = b64u_encode(self._randomness(12))
            ours = self._ours = OurKey(key_id, self._randomness(SHARED_KEY))
        newcomers = [
            contact
            for user_id, contact in there.items()
            if user_id not in ours.holders or user_id in ours.lacking
        ]
        ours.holders.update((one.user_id, one.key) for one in newcomers)
        ours.lacking.clear()
        return ours, newcomers

    def seal(
        self, ours: OurKey, data: bytes, sender: str, ts: int
    ) -> tuple[int, bytes]:
        """Return number and ciphertext of our next message."""
        seq, secret = ours.seq, message_key(ours.chain)
        ours.seq, ours.chain = seq + 1, chain_after(ours.chain, 1)
        bound = _bound(sender, ours.key_id, seq, ts)
        return seq, seal_shared(secret, self._randomness(NONCE), data, bound)

    def left(self, user_id: str) -> None:
        """A member has gone: whatever we say next is not for them."""
        if self._ours is not None and user_id in self._ours.holders:
            self._ours = None

    def lacks(self, key_id: str, user_id: str) -> None:
        """A member did not get what we sealed: they get the key once more."""
        if self._ours is not None and self._ours.key_id == key_id:
            self._ours.lacking.add(user_id)

    # -- theirs ------------------------------------------------------------------------

    def learn(self, sender: str, key_id: str, given: TheirKey) -> None:
        """Keep a key that ``sender`` has given us; raise if its name is taken."""
        theirs = self._theirs.setdefault(sender, OrderedDict())
        first, later = theirs.get(key_id, given), given
        if later.seq < first.seq:
            first, later = later, first
        if first.chain_at(later.seq) != later.chain:
            raise MalformedFrame("two keys of the channel under one name")
        theirs[key_id] = first
        self._theirs.move_to_end(sender)
        while len(theirs) > KEYS_OF_ONE:
            theirs.popitem(last=False)
        while len(self._theirs) > MAX_SENDERS:
            self._theirs.popitem(last=False)

    def open(
        self, sender: str, key_id: str, seq: int, ts: int, ciphertext: bytes
    ) -> bytes:
        """Decrypt a message of ``sender``; raise ``UnknownKey`` or its parent."""
        theirs: Mapping[str, TheirKey] = self._theirs.get(sender, {})
        if key_id not in theirs:
            raise UnknownKey(f"{sender} has not given us the key of this message")
        self._theirs.move_to_end(sender)
        secret = message_key(theirs[key_id].chain_at(seq))
        return unseal_shared(secret, ciphertext, _bound(sender, key_id, seq, ts))
