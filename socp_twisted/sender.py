"""
How does what we say leave?  Signed once, queued in order, on each link it is for.

A link whose TLS both ends have signed for (``Party.tls_bound``) gets what ends at its
other end without a signature.  (SOCP 12)
"""

import hashlib
import itertools
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from socp_twisted.net.link import Link
from socp_twisted.net.outbox import Draft
from socp_twisted.overlay.effects import (
    Answer,
    Foreseen,
    Forward,
    LinkId,
    Send,
    SendAll,
)
from socp_twisted.overlay.freshness import bind
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party
from socp_twisted.trust.signer import Signer
from socp_twisted.wire.encoding import canonical
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.payloads import MAX_RECEIPTS, harmless
from socp_twisted.wire.vocabulary import (
    ACK,
    CAP_ACK_LISTS,
    ERROR,
    EVERYBODY,
    STATES,
    USER_ADDED,
)

EVERYBODYS_LANE = 0
"""Presence and heartbeats: what goes to many takes turns with each of them."""


TOLD = 8_192
"""Frames kept that tell users of a user, 2 kB each: newcomers are told the same."""


class Sender:
    """Makes frames of what the rules ask for."""

    def __init__(
        self,
        mesh: Mesh,
        signer: Signer,
        links: Mapping[LinkId, Link],
        after: Callable[[], None],
    ) -> None:
        """
        Send on ``links``, those that are open; the node keeps the table.

        ``after`` is called when a frame has been signed: others may be waiting for it.
        """
        self._mesh = mesh
        self._signer = signer
        self._links = links
        self._after = after
        self._told: OrderedDict[bytes, Draft] = OrderedDict()
        self._last_ts = 0
        self._ids = itertools.count()
        self._first_id = uuid.uuid4().hex
        self._owed: dict[tuple[LinkId, str], list[str]] = {}
        """What else has arrived since an ACK of this kind went to be signed."""

    def send(self, effect: Send) -> None:
        """Send one frame on one link."""
        party = self._mesh.parties.get(effect.link)
        if party is None or party.is_closing:
            return
        to = effect.to or party.name or EVERYBODY
        if effect.type == USER_ADDED:
            self._tell([party], effect)
        elif effect.type == ACK and self._can_gather(to, effect.payload):
            self._acknowledge(party, effect, to)
        else:
            self._send([party], effect, to, effect.link, effect.extra)

    def send_all(self, effect: SendAll) -> None:
        """Send the same frame on several links: one signature, or none."""
        found = (self._mesh.parties.get(link) for link in effect.links)
        # They are all of one kind, servers or users, but who is closing is neither.
        parties = [one for one in found if one is not None and not one.is_closing]
        if parties and effect.type == USER_ADDED:
            self._tell(parties, effect)
        elif parties:
            lane = effect.links[0] if len(effect.links) == 1 else EVERYBODYS_LANE
            self._send(parties, effect, effect.to, lane)

    def foresee(self, effect: Foreseen) -> None:
        """Have signed, if the signer is idle, what users will soon be sent."""
        if self._signer.waiting:
            return
        parties = (self._mesh.parties.get(link) for link in effect.links)
        if all(party is None or party.tls_bound for party in parties):
            return
        for one in effect.effects:
            if isinstance(one, SendAll):
                # Who asks for it once it is to be sent finds it, or waits for it.
                signed = canonical(one.payload)
                self._signer.sign(signed, lambda sig: None, effect.links[0])

    def forward(self, effect: Forward) -> None:
        """Send somebody else's frame as it came."""
        assert effect.envelope.sig, "who is not at the other end believes signatures"
        draft = Draft(effect.envelope.frame)
        for link in effect.links:
            self._push(link, draft)

    def answer(self, effect: Answer) -> None:
        """Send an ERROR."""
        # Both may be another server's words, on their way to a user's screen.
        code, detail = harmless(str(effect.code)), harmless(effect.detail)
        payload = {"code": code, "detail": detail}
        if effect.msg_ref:
            payload["msg_ref"] = effect.msg_ref
        self.send(Send(effect.link, ERROR, payload))

    def _tell(self, parties: Sequence[Party], effect: Send | SendAll) -> None:
        """
        Tell users of a user: in one frame, whoever they are and whenever they come.

        Each newcomer is told of everybody: of a thousand, that is a million frames.
        """
        name = _name(effect.payload)
        for party in parties:
            plain = party.needs_no_signature(effect.type, EVERYBODY)
            told = b"plain " + name if plain else name
            draft = self._told.get(told)
            if draft is None or draft.wire == b"":
                envelope = self._write(effect, EVERYBODY, False, None)
                if plain:
                    draft = Draft(envelope.to_frame())
                else:
                    draft = self._draft(envelope, EVERYBODYS_LANE)
                self._told[told] = draft
                if len(self._told) > TOLD:
                    self._told.popitem(last=False)
            self._push(party.link, draft)

    # -- several ACKs in one -----------------------------------------------------------

    def _can_gather(self, to: str, payload: Mapping[str, Any]) -> bool:
        server = self._mesh.directory.servers.get(to)
        return (
            server is not None
            and CAP_ACK_LISTS in server.caps
            and payload.keys() == {"msg_ref", "status"}
            and payload["status"] == "delivered"
        )

    def _acknowledge(self, party: Party, effect: Send, to: str) -> None:
        """Send an ACK, or add it to what the next one says once this one is signed."""
        kind = (party.link, to)
        owed = self._owed.get(kind)
        if owed is None:
            self._owed[kind] = []
            self._send([party], effect, to, party.link, then=lambda: self._owe(kind))
        elif len(owed) < MAX_RECEIPTS:
            owed.append(effect.payload["msg_ref"])
        else:
            self._send([party], effect, to, party.link)

    def _owe(self, kind: tuple[LinkId, str]) -> None:
        """An ACK is signed: send one for all that have arrived meanwhile."""
        refs = self._owed.pop(kind)
        link, to = kind
        party = self._mesh.parties.get(link)
        if refs and party is not None and not party.is_closing:
            told: dict[str, Any] = {"msg_refs": refs, "status": "delivered"}
            if len(refs) == 1:
                told = {"msg_ref": refs[0], "status": "delivered"}
            self._acknowledge(party, Send(link, ACK, told), to)

    # -- making frames -----------------------------------------------------------------

    def _send(
        self,
        parties: Sequence[Party],
        effect: Send | SendAll,
        to: str,
        lane: int,
        extra: Mapping[str, Any] | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Send a frame of ours, signed to those who need it, and ``then`` go on."""
        envelope = self._write(effect, to, parties[0].is_server, extra)
        signed = plain = None
        for party in parties:
            if party.needs_no_signature(effect.type, to):
                draft = plain = plain or Draft(envelope.to_frame())
            else:
                draft = signed = signed or self._draft(envelope, lane, then)
            self._push(party.link, draft)
        if signed is None and then is not None:
            then()

    def _write(
        self,
        effect: Send | SendAll,
        to: str,
        to_server: bool,
        extra: Mapping[str, Any] | None,
    ) -> Envelope:
        ts = self._next_ts() if effect.ts is None else effect.ts
        payload = effect.payload
        if to_server and "bound" not in payload:
            at = ts if effect.type in STATES else self._mesh.stamp()
            payload = bind(self._mesh, effect.type, to, payload, at)
        return Envelope.create(
            effect.type,
            self._mesh.server_id,
            to,
            ts,
            payload,
            id=self._next_id(),
            extra=extra,
        )

    def _draft(
        self, envelope: Envelope, lane: int, then: Callable[[], None] | None = None
    ) -> Draft:
        """Begin a frame of ours; it waits for its signature, and others do not."""
        draft = Draft()

        def signed(sig: str) -> None:
            # Without a signature, which would be our bug, others still want theirs.
            draft.finish(envelope.to_frame(sig) if sig else b"")
            self._after()
            if then is not None:
                then()

        self._signer.sign(envelope.signed, signed, lane)
        return draft

    def _push(self, link_id: LinkId, draft: Draft) -> None:
        link = self._links.get(link_id)
        if link is not None:
            link.outbox.push(draft)

    def _next_id(self) -> str:
        """Return a UUID4 that was never used: random for the process, then counted."""
        return f"{self._first_id[:20]}{next(self._ids):012x}"

    def _next_ts(self) -> int:
        """Return a ts that we never used: two frames of one millisecond differ."""
        self._last_ts = max(self._mesh.now_ms, self._last_ts + 1)
        return self._last_ts


def _name(payload: Mapping[str, Any]) -> bytes:
    """Return what names a payload of texts, lists of texts and flags, and no other."""
    return hashlib.blake2b(repr(payload).encode("utf-8"), digest_size=16).digest()
