"""Who sends faster than we can sign, and who does not read what they are sent?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from socp_twisted.net.link import Link
from socp_twisted.overlay.effects import Effect, HangUp, LinkId
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Stage
from socp_twisted.trust.signer import Signer
from socp_twisted.wire.vocabulary import CLOSE_SLOW

HELD_FRAMES = 64
"""Frames of our own that wait towards one connection before we stop reading it."""

_UNSENT = "answers wait to be sent"
_TOO_FAST = "more than its share was read"

GOODBYE = 5.0
"""Seconds that a link which we have hung up has to close."""


BURST = 4
"""Seconds of its rate that a connection which was quiet may send at once."""


LINES = 20
"""Complaints about one connection that the log takes at once; then a few a second."""


@dataclass(slots=True)
class _Allowance:
    """What a connection may still send; it grows with time."""

    frames: float
    bytes: float
    since: float

    def spend(self, now: float, size: int, frames: int, data: int) -> float:
        """Take one frame of ``size`` bytes; return the seconds that it was too soon."""
        passed = now - self.since
        self.since = now
        self.frames = min(self.frames + passed * frames, BURST * frames) - 1
        self.bytes = min(self.bytes + passed * data, BURST * data) - size
        return max(-self.frames / frames, -self.bytes / data, 0.0)


class Pacing:
    """Holds back who asks for too much; puts out who takes too little."""

    def __init__(
        self, mesh: Mesh, signer: Signer, links: Mapping[LinkId, Link]
    ) -> None:
        """``links`` are those that are open; the node keeps the table."""
        self._mesh = mesh
        self._signer = signer
        self._links = links
        self._held: set[LinkId] = set()
        # A connection that turns out to be a user's or a server's begins anew, as one.
        self._allowances: dict[tuple[LinkId, str], _Allowance] = {}
        self._complaints: dict[LinkId, _Allowance] = {}
        self._early: dict[LinkId, float] = {}

    def may_log(self, link_id: LinkId) -> bool:
        """Say whether one more complaint about a link is worth a line in the log."""
        mine = self._complaints.get(link_id)
        if mine is None and link_id not in self._links:
            return False  # of somebody who has left; nothing would remember it
        if mine is None:
            mine = _Allowance(LINES, 0.0, self._mesh.now)
            self._complaints[link_id] = mine
        return mine.spend(self._mesh.now, 0, LINES // BURST, 1) <= 0

    def before_frame(self, link: Link, size: int) -> None:
        """Read no more, for now, from who sends more than their share."""
        limits, now = self._mesh.limits, self._mesh.now
        party = self._mesh.parties[link.id]
        if party.is_server:
            who, frames, data = "max-peer", limits.peer_frames, limits.peer_bytes
        elif party.stage is Stage.USER:
            who, frames, data = "max", limits.frames, limits.bytes
        else:
            who, frames, data = "max-stranger", limits.stranger_frames, limits.bytes
        mine = self._allowances.get((link.id, who))
        if mine is None:
            mine = _Allowance(BURST * frames, BURST * data, now)
            self._allowances.pop((link.id, "max-stranger"), None)
            self._allowances[link.id, who] = mine
        early = mine.spend(now, size, frames, data)
        if early > 0:
            what = "bytes" if mine.frames > 0 else "frames"
            self._mesh.counters[f"{who}-{what}"] += 1
            self._early[link.id] = now + early
            self._hold(link)

    def _hold(self, link: Link) -> None:
        self._held.add(link.id)
        link.pause(_TOO_FAST)

    def after_frame(self, link: Link) -> None:
        """Read no more, for now, from who causes more than can be signed or sent."""
        limit = self._mesh.limits.signing
        busy = len(link.outbox) > HELD_FRAMES and link.outbox.paused_at is None
        if (busy or self._signer.waiting > limit) and link.id in self._links:
            self._held.add(link.id)
            link.pause(_UNSENT)

    @property
    def holds(self) -> bool:
        """Whether somebody is not read for now."""
        return bool(self._held)

    def read_on(self) -> None:
        """Read again from those whose answers have been sent."""
        if not self._held or self._signer.waiting > self._mesh.limits.signing // 2:
            return
        for link_id in list(self._held):
            link = self._links[link_id]
            early = self._early.get(link_id, 0.0) > self._mesh.now
            if early:  # who is not read cannot be heard, and is not silent
                self._mesh.parties[link_id].heard = self._mesh.now
            if not early and len(link.outbox) <= HELD_FRAMES // 2:
                self._held.discard(link_id)
                link.read_on(_UNSENT)
                link.read_on(_TOO_FAST)

    def closed(self, link_id: LinkId) -> None:
        """Forget a link that is gone."""
        self._held.discard(link_id)
        for who in ("max", "max-peer", "max-stranger"):
            self._allowances.pop((link_id, who), None)
        self._complaints.pop(link_id, None)
        self._early.pop(link_id, None)

    def overdue(self) -> Iterator[Effect]:
        """Put out who does not read, before they cost memory or others' messages."""
        limits = self._mesh.limits
        for link in list(self._links.values()):
            box = link.outbox
            stuck = 0.0 if box.paused_at is None else self._mesh.now - box.paused_at
            if stuck >= limits.unread:
                sentence = f"max-unread: nothing read for {limits.unread} s"
                yield HangUp(link.id, CLOSE_SLOW, sentence)
            elif box.queued > limits.queued:
                sentence = f"max-queued: {limits.queued} bytes wait to be read"
                yield HangUp(link.id, CLOSE_SLOW, sentence)
            party = self._mesh.parties.get(link.id)
            if party is not None and party.stage is Stage.CLOSING:
                if self._mesh.now - party.closing_since >= GOODBYE:
                    link.drop()
