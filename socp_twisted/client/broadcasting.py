"""
How does one ciphertext reach everybody, and who is told that it did not?  (SOCP 9.3)

A message to everybody is sealed and signed once.  The server answers with the members
who have it; whoever is not among them gets it in a message of their own, as the
standard has it, which the server keeps until it is answered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from socp_twisted.client.channel import SHARES, Keys, unwrap, wrap
from socp_twisted.client.contacts import Contacts
from socp_twisted.client.content import (
    Delivery,
    channel_mark,
    opened_text,
    public_payload,
    text_bytes,
)
from socp_twisted.client.events import Contact, Delivered, NotDelivered
from socp_twisted.client.fields import (
    field_bytes,
    field_plain_id,
    field_sender,
    field_text,
)
from socp_twisted.client.keystore import Randomness
from socp_twisted.client.outbox import Outbox, Outcome
from socp_twisted.errors import ErrorCode, InvalidSignature, MalformedFrame
from socp_twisted.trust.keys import PrivateKey
from socp_twisted.trust.signatures import check, key_share_content, sign
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.payloads import MAX_SHARES
from socp_twisted.wire.vocabulary import (
    MSG_PUBLIC_CHANNEL,
    PUBLIC,
    PUBLIC_CHANNEL_KEY_SHARE,
    RSA_BYTES,
)

MEMBERS_MS: Final = 20_000
"""A server waits up to 10 s for the members, and ticks, before it answers."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message to everybody that waits for its answer."""

    message_id: str
    text: str
    key_id: str
    mark: str
    """Its name, by which a member knows it when it comes again."""
    members: tuple[str, ...]


OneByOne = Callable[[Said, str, int], None]
"""Sends a message to one member alone, who did not get it with the others."""


class Broadcasting:
    """Seals once for everybody; opens what others sealed so."""

    def __init__(
        self,
        outbox: Outbox,
        contacts: Contacts,
        randomness: Randomness,
        one_by_one: OneByOne,
    ) -> None:
        self._outbox = outbox
        self._contacts = contacts
        self._keys = Keys(randomness)
        self._one_by_one = one_by_one
        self._under_way: set[str] = set()

    # -- what we say -------------------------------------------------------------------

    def say(
        self,
        message_id: str,
        text: str,
        members: list[Contact],
        key: PrivateKey,
        now: int,
    ) -> None:
        """Send one ciphertext to ``members``, and the key to those who lack it."""
        outbox = self._outbox
        ours, newcomers = self._keys.ours(members)
        for start in range(0, len(newcomers), SHARES):
            batch = newcomers[start : start + SHARES]
            shares = [wrap(ours, outbox.sender, contact) for contact in batch]
            content = key_share_content(shares, key.public.text)
            share = {
                "shares": shares,
                "creator_pub": key.public.text,
                "content_sig": sign(key, content),
                "key_id": ours.key_id,
            }
            outbox.send(PUBLIC_CHANNEL_KEY_SHARE, PUBLIC, share, now)
        ts = outbox.next_ts(now)
        seq, ciphertext = self._keys.seal(ours, text_bytes(text), outbox.sender, ts)
        payload: dict[str, Any] = public_payload(key, ciphertext, outbox.sender, ts)
        said = Said(
            message_id,
            text,
            ours.key_id,
            channel_mark(ours.key_id, seq),
            tuple(contact.user_id for contact in members),
        )

        def settle(outcome: Outcome, now: int) -> None:
            self._under_way.discard(ref)
            self._settle(said, outcome, now)

        ref = outbox.send(
            MSG_PUBLIC_CHANNEL,
            PUBLIC,
            {**payload, "key_id": ours.key_id, "seq": seq},
            now,
            ts=ts,
            settle=settle,
            wait=MEMBERS_MS,
            lasting=True,
        )
        self._under_way.add(ref)

    def _settle(self, said: Said, outcome: Outcome, now: int) -> None:
        received = outcome.received or frozenset()
        for user_id in said.members:
            if user_id in received:
                self._outbox.say(Delivered(said.message_id, user_id, True))
            elif self._outbox.over:
                self._outbox.say(
                    NotDelivered(
                        said.message_id, user_id, outcome.code, outcome.detail, True
                    )
                )
            else:
                self._keys.lacks(said.key_id, user_id)
                self._one_by_one(said, user_id, now)

    def asks_again(self, ref: str, outcome: Outcome, now: int) -> bool:
        """Say whether a server that has too much to do is asked once more."""
        if outcome.code != ErrorCode.LIMIT or ref not in self._under_way:
            return False
        return self._outbox.later(ref, now)

    def left(self, user_id: str) -> None:
        """A member has gone, and reads nothing that is said from now on."""
        self._keys.left(user_id)

    # -- what others say ---------------------------------------------------------------

    def shared(self, envelope: Envelope, me: str, key: PrivateKey, now: int) -> None:
        """PUBLIC_CHANNEL_KEY_SHARE: keep the key that is wrapped for us."""
        payload = envelope.payload
        sender, key_id = field_sender(payload), field_plain_id(payload, "key_id")
        shares = payload.get("shares")
        if type(shares) is not list or len(shares) > MAX_SHARES:
            raise MalformedFrame(f"payload.shares must be at most {MAX_SHARES} wraps")
        if any(type(one) is not dict for one in shares):
            raise MalformedFrame("payload.shares must be a list of objects")
        mine = [one for one in shares if one.get("member") == me]
        if not mine:
            return
        creator_pub = field_text(payload, "creator_pub")
        creator = self._contacts.signer(sender, creator_pub)
        if creator.text != creator_pub:  # in our own name it may be no key at all
            raise InvalidSignature(f"made with a key that is not {sender}'s")
        content = key_share_content(shares, creator_pub)
        check(creator, content, field_text(payload, "content_sig", default=""))
        self._contacts.meet(sender, creator, now)  # pins it at first sight
        sealed = field_bytes(mine[0], "wrapped_public_channel_key", RSA_BYTES)
        self._keys.learn(sender, key_id, unwrap(key, sealed, sender, key_id, me))

    def open(self, delivery: Delivery) -> str:
        """Return the text of a message that was sealed for everybody, or raise."""
        data = self._keys.open(
            delivery.sender,
            delivery.key_id,
            delivery.seq,
            delivery.ts,
            delivery.ciphertext,
        )
        return opened_text(data)
