"""Who takes a message in, and sees to it that it is answered for?  (SOCP 10)"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from twisted.internet.defer import Deferred

from socp_twisted.errors import ErrorCode, MalformedFrame, Refused, SocpError
from socp_twisted.overlay.effects import Effect, Foreseen, Settled
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party
from socp_twisted.post.acquaintances import Acquaintances
from socp_twisted.post.flow import TRIES, WINDOW, Flow
from socp_twisted.post.reading import Reading, unpacked
from socp_twisted.post.sending import Sending
from socp_twisted.post.tidings import Tidings
from socp_twisted.store.interface import (
    Message,
    State,
    Store,
    StoreError,
)
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import (
    ANSWER_TIMEOUT,
    STALE_AFTER,
)

EXPIRE_EVERY = 60.0
"""Seconds between two looks for what has waited too long."""


class Post:
    """Takes messages in, and sees to it that each is answered for."""

    def __init__(
        self,
        mesh: Mesh,
        store: Store,
        perform: Callable[[Iterable[Effect]], None],
        *,
        hold: float,
    ) -> None:
        """``hold`` is how many seconds a message may wait; 0 holds nothing."""
        self._mesh = mesh
        self._store = store
        self._perform = perform
        self._hold = hold
        self._acquaintances = Acquaintances(mesh, store, hold=hold)
        self._tidings = Tidings(mesh, store, perform)
        self._flows: dict[str, Flow] = {}
        self._reading = Reading(mesh, self._acquaintances, self._flows)
        self._sending = Sending(
            mesh,
            store,
            perform,
            acquaintances=self._acquaintances,
            tidings=self._tidings,
            flows=self._flows,
            hold=hold,
        )
        self._expire_at = mesh.now
        self._is_open = self._is_ticking = False

    async def open(self) -> None:
        """Recall whom messages wait for."""
        await self._acquaintances.recall()
        for user_id in await self._store.recipients():
            self._flows[user_id] = Flow(more=True)
        self._is_open = True

    # -- taking in ---------------------------------------------------------------------

    async def attend(self, party: Party, envelope: Envelope) -> list[Effect]:
        """Take a message of a user, or raise ``SocpError``; say what follows."""
        message = self._reading.read(party, envelope)
        try:
            await self._check(message)
            await self._take(message)
        except StoreError as why:
            raise Refused(
                ErrorCode.LIMIT, "the message cannot be kept: the disk refuses"
            ) from why
        return []  # what follows was done in turn

    async def _check(self, message: Message) -> None:
        fault: SocpError | None = None
        if abs(self._mesh.now_ms - message.ts) > STALE_AFTER * 1000:
            fault = MalformedFrame("'ts' is more than 10 minutes off: check your clock")
        elif not self._acquaintances.is_known(message.recipient):
            fault = Refused(
                ErrorCode.USER_NOT_FOUND, f"{message.recipient} was never seen here"
            )
        # Sent again it is answered, however late, and whoever has left meanwhile.
        if fault is not None and await self._store.message(message.msg_id) is None:
            raise fault

    async def _take(self, message: Message) -> None:
        """Keep a message, and send it after those that were kept before it."""
        limits = self._mesh.limits
        keeping = Deferred.fromCoroutine(
            self._store.accept(message, limits.held, limits.held_in_all)
        )
        if message.state == State.DELIVERED:
            # While the disk is at work the signer can be, too: it is sent after both.
            links = tuple(self._mesh.directory.local_users[message.recipient])
            self._perform([Foreseen(links, self._deliveries(message))])
        kept = await keeping
        if kept is None:
            raise Refused(
                ErrorCode.LIMIT,
                f"max-held: {limits.held} messages of yours wait, or "
                f"max-held-in-all: {limits.held_in_all} of everybody's",
            )
        flow = self._flows.setdefault(kept.recipient, Flow())
        await flow.lock.acquire()
        try:
            # Under the lock: who waits for it runs as soon as it is released.
            self._perform(await self._go_on(flow, kept))
        finally:
            flow.lock.release()
            self._sending.drop_if_idle(kept.recipient, flow)

    def _deliveries(self, message: Message) -> Iterator[Effect]:
        """Say how a message goes to a user of ours who gives no receipts."""
        content, _ = unpacked(message)
        sent = self._sending.dispatch(message, content)
        if sent is not None:
            yield from sent.effects

    async def _go_on(self, flow: Flow, kept: Message) -> list[Effect]:
        """Say what follows from a message that is on disk now."""
        if kept.state == State.DELIVERED and kept.payload:
            return await self._hand_over(flow, kept)
        if kept.state != State.WAITING:
            return await self._tidings.tell(self._tidings.as_known(kept))
        if kept.msg_id in flow.under_way:
            return []
        if kept.msg_id in flow.aside:
            return await self._tidings.tell_queued(kept)
        if flow.more or len(flow.under_way) >= WINDOW:
            flow.more = True
            return await self._tidings.tell_queued(kept)
        if kept.seq <= flow.last_seq:
            return []  # it was read from the disk, and sent, while we waited
        flow.last_seq = kept.seq
        return await self._sending.send(flow, kept)

    async def _hand_over(self, flow: Flow, message: Message) -> list[Effect]:
        """Send what is noted as delivered; let it wait if its recipient has left."""
        to = message.recipient
        if to in self._mesh.directory.local_users and not flow.more:
            content, key = unpacked(message)
            if self._acquaintances.is_for(to, key):
                sent = self._sending.dispatch(message, content)
                if sent is not None:
                    return [*sent.effects, *await self._tidings.tell(message)]
        waiting = await self._store.put_back(message)
        return [] if waiting is None else await self._go_on(flow, waiting)

    # -- who is seen -------------------------------------------------------------------

    async def seen(self, user_id: str) -> None:
        """Send what waits for a user who has come online, or whose server has."""
        if not self._is_open:
            return
        await self._acquaintances.meet(user_id)
        if user_id in self._mesh.directory.local_users:
            await self._tidings.greet(user_id)
        flow = self._flows.get(user_id)
        if flow is None:
            return
        await self._sending.pump(user_id, flow, anew=True)

    # -- answers -----------------------------------------------------------------------

    async def settle(self, answer: Settled) -> None:
        """Take the answer to a message, from the server that was asked."""
        recipient = answer.recipient
        if not recipient:
            found = await self._store.message(answer.msg_id)
            recipient = "" if found is None else found.recipient
        flow = self._flows.get(recipient)
        way = None if flow is None else flow.way(answer.msg_id)
        if way is None or way.server_id != answer.server_id:
            return  # late, or none of that server's business
        if answer.code == ErrorCode.USER_NOT_FOUND and self._hold:
            return  # they have just left: it waits until they are seen again
        if answer.code:
            code, detail = answer.code, answer.detail
            self._perform(await self._sending.fail(answer.msg_id, code, detail))
            return
        settled = await self._store.settle(
            answer.msg_id,
            State.DELIVERED,
            "",
            "",
            told=self._tidings.is_here(way.sender),
        )
        if settled is not None:
            self._perform(await self._tidings.tell(settled))
            await self._sending.done(settled)

    async def tick(self) -> None:
        """Say ``queued`` of what was not answered in time; try again what rests."""
        if not self._is_open or self._is_ticking:
            return  # on a slow disk each tick would send everything once more
        self._is_ticking = True
        try:
            await self._tick()
        finally:
            self._is_ticking = False

    async def _tick(self) -> None:
        now = self._mesh.now
        if now >= self._expire_at:
            self._expire_at = now + EXPIRE_EVERY
            await self._expire()
        for user_id, flow in list(self._flows.items()):
            late = flow.late(now)
            if late and not self._hold:
                await self._give_up(user_id, flow, late)
                continue
            for msg_id in late:
                await self._set_aside(user_id, flow, msg_id)
            if user_id not in self._mesh.directory.user_locations:
                continue
            if flow.more and flow.rest_until <= now:
                await self._sending.pump(user_id, flow)
            for msg_id in flow.due(now):
                await self._send_again(flow, msg_id)
            self._sending.drop_if_idle(user_id, flow)

    async def _set_aside(self, user_id: str, flow: Flow, msg_id: str) -> None:
        """Let what nobody answers wait, so that it keeps no other message waiting."""
        flow.set_aside(msg_id, self._mesh.now)
        online = user_id in self._mesh.directory.user_locations
        if online and flow.aside[msg_id].tries >= TRIES:
            detail = "the recipient is online, but does not acknowledge it"
            self._perform(await self._sending.fail(msg_id, ErrorCode.TIMEOUT, detail))
            return
        message = await self._store.message(msg_id)
        if message is not None and message.state == State.WAITING:
            self._perform(await self._tidings.tell_queued(message))

    async def _send_again(self, flow: Flow, msg_id: str) -> None:
        await flow.lock.acquire()
        try:
            way = flow.aside.pop(msg_id, None)
            message = await self._store.message(msg_id)
            if way is None or message is None or message.state != State.WAITING:
                return
            self._perform(await self._sending.send(flow, message))
            if msg_id in flow.under_way:
                flow.under_way[msg_id] = replace(
                    flow.under_way[msg_id], tries=way.tries
                )
        finally:
            flow.lock.release()

    async def _give_up(self, user_id: str, flow: Flow, msg_ids: list[str]) -> None:
        detail = "the recipient's server did not answer in 10 s"
        for msg_id in msg_ids:
            flow.under_way.pop(msg_id, None)
            self._perform(await self._sending.fail(msg_id, ErrorCode.TIMEOUT, detail))
        self._sending.drop_if_idle(user_id, flow)

    async def _expire(self) -> None:
        """Give up what waited longer than ``hold``, and tell its senders."""
        now, hold = self._mesh.now_ms, max(self._hold, ANSWER_TIMEOUT)
        known = 2 * STALE_AFTER  # sent again for longer than that, it would be stale
        given_up = await self._store.expire(
            now - int(hold * 1000),
            now - int(known * 1000),
            now - int((2 * hold + known) * 1000),
            self._mesh.limits.users,
        )
        for user_id in {message.recipient for message in given_up}:
            flow = self._flows.get(user_id)
            if flow is not None and not flow.under_way:
                await self._sending.pump(user_id, flow, anew=True)  # is there more?
        for message in given_up:
            failed = await self._store.message(message.msg_id)
            if failed is not None:
                self._perform(await self._tidings.tell(failed))
