"""
What does a node do?  It performs what the overlay decides, on links.

Frames come in here, are parsed and verified, and go to the rules; the effects that the
rules return are performed in order.  The node decides nothing about the protocol.
"""

import itertools
import os
import uuid
from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from socp_twisted.accounts import WAITING_TYPES, Accounts
from socp_twisted.background import Background
from socp_twisted.counting import Counting
from socp_twisted.errors import SocpError
from socp_twisted.net.entrance import Entrance
from socp_twisted.net.gathering import Gathering
from socp_twisted.net.link import Link
from socp_twisted.net.mesh import MeshService
from socp_twisted.net.turn import Turn
from socp_twisted.overlay import admission, arrival, attendance, channel_rules
from socp_twisted.overlay.directory import Directory
from socp_twisted.overlay.effects import Effect, HangUp, LinkId
from socp_twisted.overlay.liveness import TICK, Liveness
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party, Stage
from socp_twisted.overlay.router import Router
from socp_twisted.pacing import Pacing
from socp_twisted.performer import Performer
from socp_twisted.pins import Pins
from socp_twisted.portions import Portions
from socp_twisted.post import POSTED_TYPES, Post
from socp_twisted.reader import Reader, is_key
from socp_twisted.sender import Sender
from socp_twisted.trust.signatures import is_login
from socp_twisted.trust.signer import Signer
from socp_twisted.turns import Desk, Turns
from socp_twisted.wire.encoding import b64u_encode
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import (
    CAP_POSSESSION,
    CLOSE_LIMIT,
    CLOSE_NORMAL,
)

LAST_WORDS = 1.0
"""Seconds that links have, when the node stops, to take what is queued."""


class Node:
    """One server of the mesh."""

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        signer: Signer,
        wall_clock: Callable[[], float],
        *,
        server_id: str,
        host: str,
        port: int,
        pubkey: str,
        limits: Limits,
        patience: float,
        secure: bool = False,
        sign_always: bool = False,
    ) -> None:
        """
        Build a node that listens nowhere yet.

        ``wall_clock`` gives Unix time in seconds.
        ``host`` and ``port`` are what others are told, and with ``secure`` that it is
        wss:// there; ``patience`` is how many seconds a server may be gone before its
        users are.  With ``sign_always`` no link is bound: every frame is signed.
        """
        self._reactor = reactor
        self._signer = signer
        self._wall_clock = wall_clock
        self.limits = limits
        self.mesh = Mesh(
            Directory(server_id),
            host,
            port,
            pubkey,
            instance=uuid.uuid4().hex,
            is_key=is_key,
            is_login=is_login,
            fresh=lambda: uuid.uuid4().hex,
            secure=secure,
            backlog=self._backlog,
            limits=limits,
            now=reactor.seconds(),
        )
        self.turn = Turn(reactor)
        self.gathering = Gathering(self.soon, reactor.seconds)
        self.entrance = Entrance(limits, self.mesh.counters, reactor.seconds)
        self.reader = Reader(Router(self.mesh))
        self.service: MeshService | None = None
        self._liveness = Liveness(self.mesh, patience)
        self._sign_always = sign_always
        self._links: dict[LinkId, Link] = {}
        self._ids = itertools.count(1)
        self._pacing = Pacing(self.mesh, signer, self._links)
        self._sender = Sender(self.mesh, signer, self._links, self._read_on_soon)
        self._portions = Portions(self.mesh, self._links, self._later, self.soon)
        self._turns = Turns(self._later, self._complain_later, self._act_later)
        self._reading_on = False
        self._counting = Counting(self.mesh)
        self.accounts: Accounts | None = None
        self.post: Post | None = None
        self.pins: Pins | None = None
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = reactor
        self._stopping: Deferred[None] | None = None
        self._background = Background()
        self._performer = Performer(
            self.mesh,
            self._links,
            self._sender,
            self._portions,
            self._background,
            others=self,
            depart=self._depart,
            later=self._later,
            may_log=self._pacing.may_log,
        )

    # -- life --------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to keep time."""
        self._signer.start()
        self._set_clocks()
        self.mesh.spoken.since = self.mesh.now_ms
        self._ticking.start(TICK, now=False)

    async def stop(self) -> None:
        """Say goodbye: USER_REMOVE for our users, close 1000 for every link."""
        if self._ticking.running:
            self._ticking.stop()
        self._set_clocks()
        self._counting.say()
        local_users = self.mesh.directory.local_users
        self.perform([attendance.depart(self.mesh, user_id) for user_id in local_users])
        local_users.clear()  # they leave as one: nobody here is told of each other
        self._stopping = Deferred()
        for link in list(self._links.values()):
            self.perform([HangUp(link.id, CLOSE_NORMAL, "the server is going down")])
        try:
            if self._links:
                hurry = self._reactor.callLater(LAST_WORDS, self._hurry)
                await self._stopping
                if hurry.active():
                    hurry.cancel()
            # The answers that came last are still on their way to the disk.
            last = self._background.rest()
            last.addTimeout(LAST_WORDS, self._reactor)
            await last
        finally:
            self._signer.stop()

    def _hurry(self) -> None:
        for link in list(self._links.values()):
            link.drop()

    def _backlog(self, link_id: LinkId) -> int:
        link = self._links.get(link_id)
        return 0 if link is None else link.outbox.queued

    # -- what links report -------------------------------------------------------------

    def seconds(self) -> float:
        """Return monotonic seconds."""
        return self._reactor.seconds()

    def soon(self, call: Callable[[], None]) -> None:
        """Call back in a later turn of the reactor, after those who asked before."""
        self.turn.soon(call)

    def is_turn_over(self) -> bool:
        """Say whether enough was done in this turn of the reactor."""
        return self.turn.is_over()

    def adopt(self, link: Link) -> None:
        """Take charge of a link that is being made."""
        link.id = LinkId(next(self._ids))
        link.owner = self

    def link_opened(self, link: Link) -> None:
        """Greet a server that we dialled; let anybody else speak first."""
        self._set_clocks()
        self._links[link.id] = link
        party = self.mesh.parties[link.id] = Party(
            link.id,
            Stage.DIALLED if link.url else Stage.FRESH,
            opened=self.mesh.now,
            heard=self.mesh.now,
            host=link.remote_host(),
            secure=link.is_secure(),
            tls_exporter="" if self._sign_always else link.tls_exporter(),
            url=link.url,
            pinned=link.pinned,
            key=link.key,
            name=link.server_id,
            nonce=b64u_encode(os.urandom(32)),
        )
        if self._stopping is not None:
            self.perform([HangUp(link.id, CLOSE_NORMAL, "the server is going down")])
        elif link.url:
            self.perform(admission.greet(self.mesh, party))
        elif sentence := self.entrance.upgraded(link.transport):
            self.perform([HangUp(link.id, CLOSE_LIMIT, sentence)])

    def frame_received(self, link: Link, frame: bytes) -> None:
        """Parse, verify, decide, perform; a peer's fault is answered with ERROR."""
        party = self.mesh.parties[link.id]
        if self._turns.is_taken(link, frame):
            return
        self._set_clocks()
        self._pacing.before_frame(link, len(frame))
        envelope: Envelope | None = None
        try:
            envelope = self.reader.parse(party, frame)
            party.heard = self.mesh.now
            self._act_on(link, party, envelope)
        except SocpError as fault:
            self._complain(party, envelope, fault)
        self._pacing.after_frame(link)

    def _act_on(self, link: Link, party: Party, envelope: Envelope) -> None:
        if (desk := self._desk(party, envelope)) is not None:
            alone = desk is self.accounts
            self._turns.attend(desk, link, party, envelope, alone=alone)
            return
        if self._turns.comes_after(link, envelope):
            return
        was_greeted = party.stage is Stage.GREETED
        self.perform(self.reader.read(party, envelope))
        if was_greeted and party.stage is Stage.USER:
            # Its signature has let its sender in; now it is a message as any other.
            self._act_on(link, party, envelope)

    def _desk(self, party: Party, envelope: Envelope) -> Desk | None:
        """Return who answers this frame if the answer waits for the disk."""
        if envelope.type in WAITING_TYPES and party.may_be_user:
            return self.accounts
        if envelope.type in POSTED_TYPES and party.stage is Stage.USER:
            return None if channel_rules.is_for_all(envelope) else self.post
        return None

    def _act_later(self, link: Link, envelope: Envelope) -> None:
        """Act on a frame that was read while earlier ones waited for the disk."""
        self._set_clocks()
        party = self.mesh.parties.get(link.id)
        if party is None:
            return  # closed meanwhile
        try:
            self._act_on(link, party, envelope)
        except SocpError as fault:
            self._complain(party, envelope, fault)

    def _later(self, effects: Iterable[Effect]) -> None:
        """Perform what was decided while time went on."""
        self._set_clocks()
        self.perform(effects)

    def _complain_later(
        self, party: Party, envelope: Envelope, fault: SocpError
    ) -> None:
        self._set_clocks()
        self._complain(party, envelope, fault)

    def piece_received(self, link: Link) -> None:
        """Count what is no frame of SOCP and costs as much: else it had no bound."""
        self._set_clocks()
        self._pacing.before_frame(link, 0)

    def pong_received(self, link: Link) -> None:
        """A user's machine is still there."""
        self.piece_received(link)
        self.mesh.parties[link.id].heard = self.mesh.now

    def link_failed(self, link: Link, code: int, reason: str) -> None:
        """Hang up on somebody for a bug of ours: from here on they are not reached."""
        self._later([HangUp(link.id, code, reason)])

    def link_closed(self, link: Link, reason: str) -> None:
        """Count a connection that is gone."""
        self._set_clocks()
        party = self.mesh.parties[link.id]
        try:
            self._depart(party, reason)
        finally:
            self._forget(link.id)

    def _forget(self, link_id: LinkId) -> None:
        del self.mesh.parties[link_id]
        del self._links[link_id]
        self._pacing.closed(link_id)
        self._turns.closed(link_id)
        self._portions.closed(link_id)
        if self._stopping is not None and not self._links:
            if not self._stopping.called:  # a link may open, and close, after the last
                self._stopping.callback(None)

    def _complain(
        self, party: Party, envelope: Envelope | None, fault: SocpError
    ) -> None:
        """Tell the other end what was wrong, and the operator."""
        self.mesh.counters[f"refused {fault.code}"] += 1
        if self._pacing.may_log(party.link):
            self._log.warn(
                "refused {type} from {peer}: {code}: {reason}",
                type=envelope.word if envelope is not None else "a frame",
                peer=party.name or party.host,
                code=fault.code,
                reason=str(fault),
            )
        self.perform(self.reader.complaint(party, envelope, fault))

    # -- performing --------------------------------------------------------------------

    def perform(self, effects: Iterable[Effect]) -> None:
        """Do what was decided, in order."""
        self._performer.perform(effects)

    # -- the rest ----------------------------------------------------------------------

    def _depart(self, party: Party, reason: str) -> None:
        """Take a link out of the tables, whether it was closed or we close it."""
        stage, party.stage = party.stage, Stage.CLOSING
        if stage is Stage.USER:
            self.perform(attendance.leave(self.mesh, party))
        elif stage is Stage.SERVER:
            server = self.mesh.directory.servers.get(party.name)
            if server is None or party.link not in server.links:
                return  # replaced already
            self.perform(arrival.link_lost(self.mesh, server, party.link))
            if not server.links:
                self._log.info(
                    "lost {server_id}: {reason}", server_id=server.id, reason=reason
                )
                if self.service is not None and self._stopping is None:
                    # Who dialled us dials again, and first.
                    self.service.lost(
                        server.sign_of_life(
                            soon=party.dialled or CAP_POSSESSION not in server.caps
                        )
                    )

    def _tick(self) -> None:
        self._set_clocks()
        for step in (
            self._tick_mesh,
            self._tick_post,
            self._tick_links,
            self.entrance.close_late,
            self._pacing.read_on,
            self._counting.tick,
        ):
            try:
                step()
            except Exception:
                # The others are due all the same; and a LoopingCall that raises once
                # never runs again.
                self._log.failure("bug while keeping time")

    def _tick_mesh(self) -> None:
        self.perform(self._liveness.tick())

    def _tick_post(self) -> None:
        if self.post is not None:
            self._background.run(self.post.tick())

    def _tick_links(self) -> None:
        self.perform(self._pacing.overdue())

    def _read_on_soon(self) -> None:
        """Look who may be read again: once for all that was signed in a turn."""
        if self._pacing.holds and not self._reading_on:
            self._reading_on = True
            self.soon(self._read_on)

    def _read_on(self) -> None:
        self._reading_on = False
        self._pacing.read_on()

    def _set_clocks(self) -> None:
        self.mesh.now = self._reactor.seconds()
        self.mesh.now_ms = int(self._wall_clock() * 1000)
