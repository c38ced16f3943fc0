"""How do texts go out and come in, and what is shown of them?  (SOCP 9.2, 9.3)"""

from dataclasses import dataclass, field
from typing import Any, Final

from socp_twisted.client.broadcasting import Broadcasting, Said
from socp_twisted.client.channel import UnknownKey, can_share
from socp_twisted.client.contacts import Contacts
from socp_twisted.client.content import (
    Delivery,
    direct_payload,
    public_payload,
    seal_text,
    text_bytes,
)
from socp_twisted.client.events import (
    Contact,
    Delivered,
    NotDelivered,
    Queued,
    TextReceived,
)
from socp_twisted.client.keystore import Account, Randomness
from socp_twisted.client.outbox import NO_ANSWER_MS, OK, Outbox, Outcome
from socp_twisted.client.replays import Replayed, Replays
from socp_twisted.errors import (
    ErrorCode,
    InvalidSignature,
    MalformedFrame,
    Refused,
    SocpError,
)
from socp_twisted.trust.keys import PrivateKey, PublicKey, public_key
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import MSG_DIRECT, MSG_PUBLIC_CHANNEL

MAX_REFERENCE: Final = 128
"""Characters of what a receipt refers to."""

_SIGNING_MS: Final = 10
"""Later frames of one command leave later: signing takes 5 ms each."""


@dataclass(slots=True)
class _Parts:
    """One message to one recipient: what is still to be answered."""

    message_id: str
    to: str
    public: bool
    left: int
    refs: list[str] = field(default_factory=list)
    queued: bool = False
    failed: bool = False
    unconfirmed: bool = False


class Messages:
    """Seals and signs what our user says; checks and opens what others say."""

    def __init__(
        self,
        account: Account,
        outbox: Outbox,
        contacts: Contacts,
        replays: Replays,
        randomness: Randomness,
    ) -> None:
        self._account = account
        self._outbox = outbox
        self._contacts = contacts
        self._replays = replays
        self._under_way: dict[str, _Parts] = {}
        self._broadcasting = Broadcasting(
            outbox, contacts, randomness, self._one_by_one
        )

    # -- commands ----------------------------------------------------------------------

    def tell(self, to: str, text: str, now: int) -> str:
        """
        Send a text to one user and return the message's id, or raise ``Refused``.

        ``Delivered`` or ``NotDelivered`` follows, once.
        """
        text_bytes(text)
        contact = self._contacts.recipient(to)
        message_id = self._outbox.new_id()
        self._send(message_id, contact, text, now)
        return message_id

    def all(self, text: str, now: int) -> tuple[str, tuple[str, ...]]:
        """
        Send a text to every user online; return the message's id and the recipients.

        For each of them ``Delivered`` or ``NotDelivered`` follows, once: the latter
        also for whoever has a new key that our user has not accepted.  It is sealed
        once for all who can read that, and for each of the others.
        """
        text_bytes(text)
        message_id, frames = self._outbox.new_id(), 0
        members = self._contacts.online()
        together: list[Contact] = []
        for contact in members:
            try:
                self._contacts.recipient(contact.user_id)
            except Refused as why:
                self._outbox.say(
                    NotDelivered(message_id, contact.user_id, why.code, str(why), True)
                )
                continue
            if self._outbox.fans_out and can_share(contact):
                together.append(contact)
                continue
            frames = self._send(
                message_id, contact, text, now, public=True, frames=frames
            )
        if together:
            self._broadcasting.say(message_id, text, together, self._key(), now)
        return message_id, tuple(contact.user_id for contact in members)

    def _one_by_one(self, said: Said, user_id: str, now: int) -> None:
        """Send a message to everybody to one who did not get it with the others."""
        try:
            contact = self._contacts.recipient(user_id)
        except Refused as why:
            self._outbox.say(
                NotDelivered(said.message_id, user_id, why.code, str(why), True)
            )
            return
        self._send(
            said.message_id, contact, said.text, now, public=True, again=said.mark
        )

    def left(self, user_id: str) -> None:
        """A user has gone, and reads nothing that is said to everybody from now on."""
        self._broadcasting.left(user_id)

    def asks_again(self, ref: str, outcome: Outcome, now: int) -> bool:
        """Say whether a refused message is no news, since it is sent once more."""
        return self._broadcasting.asks_again(ref, outcome, now)

    def _send(
        self,
        message_id: str,
        contact: Contact,
        text: str,
        now: int,
        *,
        public: bool = False,
        frames: int = 0,
        again: str = "",
    ) -> int:
        outbox, key, to = self._outbox, self._key(), contact.user_id
        recipient = public_key(contact.key)
        ciphertexts = seal_text(recipient, contact.extras, text)
        parts = _Parts(message_id, to, public, len(ciphertexts))
        type = MSG_PUBLIC_CHANNEL if public else MSG_DIRECT
        for ciphertext in ciphertexts:
            ts = outbox.next_ts(now)
            payload: dict[str, Any] = (
                public_payload(key, ciphertext, outbox.sender, ts)
                if public
                else direct_payload(key, ciphertext, outbox.sender, to, ts)
            )
            if outbox.confirms:
                # Such a server keeps it: for this key, whoever has used the id since.
                payload["recipient_key"] = recipient.text_hash
            if again and len(ciphertexts) == 1:
                # Parts of a text are no copy of it, and may be alike: none is left out.
                payload["again"] = again
            frames += 1
            ref = outbox.send(
                type,
                to,
                payload,
                now,
                ts=ts,
                settle=lambda outcome, _: self._settle(parts, outcome),
                wait=NO_ANSWER_MS + frames * _SIGNING_MS,
                lasting=outbox.confirms,
            )
            parts.refs.append(ref)
        self._under_way.update(dict.fromkeys(parts.refs, parts))
        if not outbox.confirms:
            parts.unconfirmed = True
            outbox.say(Delivered(message_id, to, public, confirmed=False))
        return frames

    def _settle(self, parts: _Parts, outcome: Outcome) -> None:
        parts.left -= 1
        if parts.left == 0:
            for ref in parts.refs:
                self._under_way.pop(ref, None)
        # Where nobody confirms, an ERROR may still name the frame; silence is usual.
        quiet = parts.unconfirmed and outcome.code in ("", ErrorCode.TIMEOUT)
        if parts.failed or quiet:
            return
        if not outcome.ok:
            parts.failed = True
            self._outbox.say(
                NotDelivered(
                    parts.message_id,
                    parts.to,
                    outcome.code,
                    outcome.detail,
                    parts.public,
                )
            )
        elif parts.left == 0:
            self._outbox.say(Delivered(parts.message_id, parts.to, parts.public))

    def queued(self, ref: str) -> None:
        """ACK ``queued``: the server keeps a message, and will say when it arrived."""
        parts = self._under_way.get(ref)
        if parts is None or not self._outbox.patient(ref) or parts.queued:
            return
        parts.queued = True
        self._outbox.say(Queued(parts.message_id, parts.to, parts.public))

    def _key(self) -> PrivateKey:
        if self._account.key is None:
            raise Refused(ErrorCode.BAD_KEY, "there is no key to sign with")
        return self._account.key

    # -- deliveries --------------------------------------------------------------------

    def direct(self, envelope: Envelope, now: int) -> None:
        """USER_DELIVER: show what is signed for us, fresh and new."""
        self._received(envelope, False, now)

    def public(self, envelope: Envelope, now: int) -> None:
        """MSG_PUBLIC_CHANNEL: the same for the public channel."""
        self._received(envelope, True, now)

    def shared(self, envelope: Envelope, now: int) -> None:
        """PUBLIC_CHANNEL_KEY_SHARE: a member gives us the key of what they will say."""
        me = self._account.user_id
        self._broadcasting.shared(envelope, me, self._key(), now)

    def _received(self, envelope: Envelope, public: bool, now: int) -> None:
        for_all = public and "key_id" in envelope.payload
        try:
            delivery = Delivery.read(envelope)
        except SocpError as why:
            # Without a receipt the server would try again, and others would wait.
            msg_id = envelope.payload.get("msg_id")
            if type(msg_id) is str and 0 < len(msg_id) <= MAX_REFERENCE:
                self._receipt(msg_id, for_all, Outcome(why.code, str(why)), now)
            raise
        msg_id = delivery.msg_id
        try:
            self._show(delivery, public, now)
        except Replayed:
            if not msg_id:
                raise
            # The server did not get our receipt, and asks again: no news to our user.
        except SocpError as why:
            if msg_id:
                self._receipt(msg_id, for_all, Outcome(why.code, str(why)), now)
                if isinstance(why, UnknownKey):
                    return  # no news either: its sender is told, and sends it to us
            raise
        if msg_id:
            self._receipt(msg_id, for_all, OK, now)

    def _receipt(self, msg_id: str, for_all: bool, outcome: Outcome, now: int) -> None:
        if for_all:
            if len(msg_id) > MAX_REFERENCE:
                return  # no server takes it, nor the others that go with it
            self._outbox.acknowledge(msg_id, outcome.ok, now)
        else:
            self._outbox.receipt(msg_id, outcome, now)

    def _show(self, delivery: Delivery, public: bool, now: int) -> None:
        key = self._contacts.signer(delivery.sender, delivery.sender_pub)
        delivery.check(key, self._account.user_id, public)
        if public and self._contacts.is_split(delivery.sender, key):
            raise InvalidSignature("what was said to one is shown as said to all")
        for_all = public and bool(delivery.key_id)
        if for_all:  # nobody holds it for us, and its name tells it from others
            self._replays.check_age(delivery.ts, now)
            text = self._open(delivery, key, for_all, now)
        else:
            text = self._open_once(delivery, key, now)
        if public and delivery.mark:
            if self._replays.again(delivery.sender, delivery.mark, text):
                raise Replayed("the same message was received before")
        self._outbox.say(
            TextReceived(
                sender=delivery.sender,
                text=text,
                ts=delivery.ts,
                public=public,
                held=delivery.held and not for_all,
            )
        )

    def _open_once(self, delivery: Delivery, key: PublicKey, now: int) -> str:
        about = delivery.sender, delivery.ts, delivery.ciphertext
        self._replays.check(*about, delivery.held, now)
        try:
            return self._open(delivery, key, False, now)
        except SocpError:
            # Not shown: a copy must not be acknowledged as if it had been.
            self._replays.forget(*about)
            raise

    def _open(self, delivery: Delivery, key: PublicKey, for_all: bool, now: int) -> str:
        if delivery.sender != self._account.user_id and not self._contacts.meet(
            delivery.sender, key, now
        ):
            raise MalformedFrame(f"signed with a key that is not {delivery.sender}'s")
        if for_all:
            return self._broadcasting.open(delivery)
        return delivery.open(self._key())
