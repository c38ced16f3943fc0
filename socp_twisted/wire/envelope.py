"""What is one message, before and after we believe it?  (SOCP 7)"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from socp_twisted.errors import MalformedFrame
from socp_twisted.wire.encoding import MAX_INTEGER, canonical, parse_object
from socp_twisted.wire.vocabulary import RESERVED_IDS

_TYPE = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_IDENTIFIER = re.compile(r"[A-Za-z0-9._@-]{1,64}\Z")
_ADDRESS = re.compile(r"[!-~]{0,300}\Z")  # ids, "*", host:port and URLs; no controls
_REFERENCE = re.compile(r"[!-~]{0,128}\Z")

MAX_VALUES = 20_000
"""In one frame: 1 MiB of users has half as many; of ``[],`` it takes 0.2 s to read."""


MAX_WORD = 32
"""Characters of a type that are shown; a key or a nonce has at least 43."""


def is_identifier(text: object) -> bool:
    """Say whether this may name a server or a user (reserved words may not)."""
    return (
        type(text) is str
        and _IDENTIFIER.match(text) is not None
        and text not in RESERVED_IDS
    )


def word(kind: str) -> str:
    """Return a type as it may be shown: what is longer than any of ours is no word."""
    return kind if len(kind) <= MAX_WORD else f"{kind[:8]}..."


@dataclass(frozen=True, slots=True)
class Envelope:
    """
    One protocol message: well formed, but not yet believed.

    ``ts`` is Unix time in milliseconds.  ``id`` names the frame for ACK and ERROR.
    ``sig`` covers ``signed``, the canonical form of the payload, and nothing else.
    """

    type: str
    sender: str
    to: str
    ts: int
    payload: Mapping[str, Any]
    sig: str = ""
    id: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further top-level fields: one client looks for its list there."""
    frame: bytes = field(default=b"", compare=False, repr=False)
    """As it was received, so that it can be forwarded unchanged."""
    _signed: bytes = field(default=b"", compare=False, repr=False)

    @property
    def signed(self) -> bytes:
        """The canonical form of ``payload``: made once, if anybody asks for it."""
        if not self._signed:
            object.__setattr__(self, "_signed", canonical(self.payload))
        return self._signed

    @property
    def word(self) -> str:
        """The type, for sentences and logs: who puts a key there has it cut."""
        return word(self.type)

    @classmethod
    def parse(cls, frame: bytes, *, complete: bool = True) -> Self:
        """
        Read one frame, or raise ``MalformedFrame`` naming the field at fault.

        A user's frame may lack ``from``, ``to``, ``ts`` and ``payload`` (the
        original's client leaves them out): ``complete=False`` reads them as empty.
        """
        if sum(map(frame.count, (b",", b"[", b"{"))) > MAX_VALUES:
            raise MalformedFrame(f"more than {MAX_VALUES} values")
        fields = parse_object(frame)
        if not complete:
            fields = {"from": "", "to": "", "ts": 0, "payload": {}, **fields}
            if fields["payload"] is None:
                fields["payload"] = {}
        for name, kind in _REQUIRED.items():
            if name not in fields:
                raise MalformedFrame(f"{name!r} is missing")
            if type(fields[name]) is not kind:  # not isinstance: True is an int
                raise MalformedFrame(f"{name!r} must be {_KIND[kind]}")
        sig, reference = fields.get("sig"), fields.get("id")
        if sig is not None and (type(sig) is not str or len(sig) > 2048):
            raise MalformedFrame("'sig' must be text")
        if type(reference) is not str or not _REFERENCE.match(reference):
            reference = ""  # foreign implementations put numbers and null there
        sender, to, ts = fields["from"], fields["to"], fields["ts"]
        if not _TYPE.match(fields["type"]):
            raise MalformedFrame("'type' must be 1 to 64 letters, digits or '_'")
        if not (_IDENTIFIER.match(sender) or (sender == "" and not complete)):
            raise MalformedFrame("'from' must be 1 to 64 letters, digits or ._-@")
        if not _ADDRESS.match(to):
            raise MalformedFrame("'to' must be an id, '*' or an address")
        if not 0 <= ts <= MAX_INTEGER:
            raise MalformedFrame("'ts' must be Unix time in milliseconds")
        payload = fields["payload"]
        return cls(
            type=fields["type"],
            sender=sender,
            to=to,
            ts=ts,
            payload=payload,
            sig=sig or "",
            id=reference,
            frame=frame,
        )

    @classmethod
    def create(
        cls,
        type: str,
        sender: str,
        to: str,
        ts: int,
        payload: Mapping[str, Any],
        *,
        id: str = "",
        extra: Mapping[str, Any] | None = None,
    ) -> Self:
        """Write a message of our own, not signed yet."""
        return cls(type, sender, to, ts, payload, "", id, extra or {})

    def to_frame(self, sig: str = "") -> bytes:
        """
        Return the frame, its payload in canonical key order.

        An empty ``sig`` is left out: some implementations refuse one.
        """
        head: dict[str, Any] = {
            "type": self.type,
            "from": self.sender,
            "to": self.to,
            "ts": self.ts,
        }
        if self.id:
            head["id"] = self.id
        if sig or self.sig:
            head["sig"] = sig or self.sig
        head.update(self.extra)
        # The payload's bytes were made for the signature: they are not made twice.
        opening = _HEAD.encode(head)
        return b"".join(
            (opening[:-1].encode("utf-8"), b',"payload":', self.signed, b"}")
        )


@dataclass(frozen=True, slots=True)
class Verified:
    """
    An envelope whose transport signature we checked; ``trust.signatures`` makes it.

    ``signer`` is the public key, as on the wire, that the signature verified with, or
    that has signed for the TLS connection over which an unsigned one came.
    """

    envelope: Envelope
    signer: str


_HEAD = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)

_REQUIRED: dict[str, type] = {
    "type": str,
    "from": str,
    "to": str,
    "ts": int,
    "payload": dict,
}
_KIND: dict[type, str] = {str: "text", int: "an integer", dict: "an object"}
