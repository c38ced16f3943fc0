"""Who else is there, and with which key?  (SOCP 8.2, 9.1)"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from socp_twisted.client.events import (
    ChannelMembers,
    Contact,
    UserJoined,
    UserKeyChanged,
    UserLeft,
    UserList,
    UserPinned,
)
from socp_twisted.client.fields import shortened
from socp_twisted.client.keystore import Account
from socp_twisted.client.outbox import Outbox
from socp_twisted.client.pins import Pin, Pins, is_told
from socp_twisted.errors import (
    BadKey,
    ErrorCode,
    InvalidSignature,
    MalformedFrame,
    Refused,
)
from socp_twisted.trust.keys import PublicKey, public_key
from socp_twisted.wire.envelope import Envelope, is_identifier

MAX_PARTS: Final = 1_000


class Contacts:
    """The users that the server told us of, each with the key that we pinned."""

    def __init__(self, account: Account, outbox: Outbox, pins: Pins) -> None:
        self._account = account
        self._outbox = outbox
        self._pins = pins
        self._known: dict[str, Contact] = {}  # each has a pin: no more than there are
        self._offered: dict[str, str] = {}  # keys that are not the pinned ones
        self._listed: dict[str, Contact] = {}
        self._part = 0

    # -- what our user asks ------------------------------------------------------------

    def get(self, user_id: str) -> Contact:
        """Return a contact, or raise ``Refused`` with USER_NOT_FOUND."""
        contact = self._known.get(user_id)
        if contact is None:
            oneself = user_id == self._account.user_id
            raise Refused(
                ErrorCode.USER_NOT_FOUND,
                "that is you" if oneself else f"nobody here is known as {user_id!r}",
            )
        return contact

    def recipient(self, user_id: str) -> Contact:
        """Return a contact that may be written to, or raise ``Refused``."""
        contact = self.get(user_id)
        if not contact.trusted:
            raise Refused(
                ErrorCode.BAD_KEY,
                f"the key of {user_id} has changed; compare the fingerprints and "
                "accept it first",
            )
        return contact

    def online(self) -> tuple[Contact, ...]:
        """Return who is online, sorted by id, without ourselves."""
        here = (contact for contact in self._known.values() if contact.online)
        return tuple(sorted(here, key=lambda contact: contact.user_id))

    def extras(self, user_id: str) -> frozenset[str]:
        """Return what a user's client can beyond the standard, as the server told."""
        contact = self._known.get(user_id)
        return contact.extras if contact is not None else frozenset()

    def trust(self, user_id: str, fingerprint: str, now: int) -> None:
        """
        Pin the key that a user shows now, compared by our user; save it.

        Raise ``Refused`` if it is not the key of the ``fingerprint`` that our user saw.
        """
        contact = self._known.get(user_id)
        text = self._offered.get(user_id) or self.get(user_id).key
        key = public_key(text)
        if not is_told(fingerprint, key.fingerprint):
            raise Refused(
                ErrorCode.BAD_KEY, f"the key that {user_id} shows now is another one"
            )
        self._pins.users.decide(user_id, Pin(key.fingerprint, now, verified=True))
        self._offered.pop(user_id, None)
        if contact is not None:
            self._known[user_id] = replace(
                contact,
                key=text,
                fingerprint=key.fingerprint,
                trusted=True,
                verified=True,
            )

    def fingerprints(self, user_id: str) -> tuple[str, str]:
        """Return the pinned fingerprint of a user and the one they show now."""
        pin = self._pins.users.get(user_id)
        contact = self._known.get(user_id)
        text = self._offered.get(user_id) or (contact.key if contact else "")
        seen = public_key(text).fingerprint if text else ""
        if pin is None and not seen:
            self.get(user_id)  # raises: we know nothing of them
        return (pin.fingerprint if pin else "", seen)

    # -- what the server says ----------------------------------------------------------

    def added(self, envelope: Envelope, now: int) -> None:
        """USER_ADDED: pin at first sight; warn of a key that is not the pinned one."""
        contact = self._saw(envelope.type, envelope.payload, now)
        if contact is not None:
            self._outbox.say(UserJoined(contact))

    def removed(self, envelope: Envelope, now: int) -> None:
        """USER_REMOVED: still known, no longer online."""
        user_id = envelope.payload.get("user_id")
        contact = self._known.get(user_id) if isinstance(user_id, str) else None
        if contact is not None and contact.online:
            self._known[contact.user_id] = replace(contact, online=False)
            self._outbox.say(UserLeft(contact.user_id))

    def listed(self, envelope: Envelope, now: int) -> bool:
        """LIST_RESPONSE, in one or several parts; return whether it is complete."""
        payload = envelope.payload
        users = payload.get("users", envelope.extra.get("users"))
        if type(users) is not list:
            raise MalformedFrame("LIST_RESPONSE has no list of users")
        part, parts = payload.get("part", 1), payload.get("parts", 1)
        if type(part) is not int or type(parts) is not int:
            raise MalformedFrame("payload.part must be an integer")
        if part == 1:
            self._listed, self._part = {}, 0
        if part != self._part + 1 or not part <= parts <= MAX_PARTS:
            raise MalformedFrame("a part of the list of users is missing")
        self._part = part
        for entry in users:
            fields = entry if isinstance(entry, Mapping) else {}
            contact = self._saw(envelope.type, fields, now)
            if contact is not None:
                self._listed[contact.user_id] = contact
        if part < parts:
            return False
        for user_id, contact in self._known.items():
            if contact.online and user_id not in self._listed:
                self._known[user_id] = replace(contact, online=False)
        self._listed, self._part = {}, 0
        self._outbox.say(UserList(self.online()))
        return True

    def members(self, envelope: Envelope, now: int) -> None:
        """PUBLIC_CHANNEL_SNAPSHOT: who is in the channel; for display alone."""
        version, members = (envelope.payload.get(k) for k in ("version", "members"))
        if type(version) is not int or type(members) is not list:
            raise MalformedFrame("PUBLIC_CHANNEL_SNAPSHOT lacks version or members")
        ids = tuple(sorted({one for one in members if is_identifier(one)}))
        if version == 0:  # everybody: who that is, USER_ADDED has said
            ids = tuple(one.user_id for one in self.online())
        self._outbox.say(ChannelMembers(version, ids))

    def lost(self) -> None:
        """Nobody is online as far as we know: the next login tells."""
        for user_id, contact in self._known.items():
            self._known[user_id] = replace(contact, online=False)
        self._listed, self._part = {}, 0

    # -- keys --------------------------------------------------------------------------

    def signer(self, sender: str, sender_pub: str) -> PublicKey:
        """
        Return the one key that ``sender`` may have signed with.

        It is the pinned one; without a pin, the one that comes along, which is pinned
        by ``meet`` once its signature was verified.  Raise ``BadKey`` or
        ``InvalidSignature``.
        """
        me = self._account
        if sender == me.user_id and me.key is not None:
            return me.key.public
        contact, pin = self._known.get(sender), self._pins.users.get(sender)
        text = sender_pub or (contact.key if contact is not None else "")
        if not text:
            raise BadKey(f"no key of {sender} is known")
        key = public_key(text)
        if pin is not None and key.fingerprint != pin.fingerprint:
            self._changed(sender, pin.fingerprint, key)
            raise InvalidSignature(f"signed with a key that is not {sender}'s")
        return key

    def is_split(self, sender: str, key: PublicKey) -> bool:
        """
        Say whether the key is that of somebody whose id begins as ``sender`` does.

        Nothing separates the parts of a content: what alice signed for bob alone is,
        byte for byte, what ``alicebob`` would sign for everybody.  (SOCP 12)
        """
        pins = (self._pins.users.get(sender[:end]) for end in range(1, len(sender)))
        return any(
            pin is not None and pin.fingerprint == key.fingerprint for pin in pins
        )

    def meet(self, user_id: str, key: PublicKey, now: int) -> bool:
        """Pin a key at first sight; return whether it is the pinned one."""
        users = self._pins.users
        pin = users.get(user_id)
        if pin is None:
            if users.full:
                raise Refused(ErrorCode.LIMIT, "more users than can be remembered")
            pin = users.meet(user_id, Pin(key.fingerprint, now))
            self._outbox.say(UserPinned(user_id, key.fingerprint))
        if pin.fingerprint == key.fingerprint:
            self._offered.pop(user_id, None)
            return True
        self._changed(user_id, pin.fingerprint, key)
        return False

    def _changed(self, user_id: str, pinned: str, key: PublicKey) -> None:
        if self._offered.get(user_id) == key.text:
            return  # said once
        self._offered[user_id] = key.text
        self._outbox.say(UserKeyChanged(user_id, pinned, key.fingerprint))

    def _saw(self, type: str, entry: Mapping[str, Any], now: int) -> Contact | None:
        user_id, text = entry.get("user_id"), entry.get("pubkey")
        if not isinstance(user_id, str) or not is_identifier(user_id):
            self._outbox.refuse(type, "", "a user has an id that is none")
            return None
        try:
            if not isinstance(text, str):
                raise BadKey(f"{user_id} has no key")
            key = public_key(text)
            me = self._account
            if user_id == me.user_id:
                if me.key is not None and me.key.public != key:
                    self._changed(user_id, me.key.public.fingerprint, key)
                return None
            trusted = self.meet(user_id, key, now)
        except (BadKey, Refused) as why:
            self._outbox.refuse(type, user_id, why)
            return None
        pin = self._pins.users.get(user_id)
        contact = Contact(
            user_id=user_id,
            key=key.text,
            fingerprint=key.fingerprint,
            local=entry.get("online_local") is True,
            server_id=_id(entry.get("server_id")),
            display_name=shortened(entry.get("display_name"), 64),
            extras=_extras(entry.get("extras")),
            trusted=trusted,
            verified=trusted and pin is not None and pin.verified,
        )
        self._known[user_id] = contact
        return contact


def _id(value: Any) -> str:
    return value if type(value) is str and is_identifier(value) else ""


def _extras(value: Any) -> frozenset[str]:
    if type(value) is not list:
        return frozenset()
    return frozenset(one for one in value[:32] if type(one) is str and len(one) <= 32)
