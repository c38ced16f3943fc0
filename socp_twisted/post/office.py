"""Who takes a message in, and sees to it that it is answered for?  (SOCP 10)"""

from collections.abc import Callable, Iterable, Iterator

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from socp_twisted.errors import ErrorCode, MalformedFrame, Refused, SocpError
from socp_twisted.overlay.effects import Effect, Foreseen, Settled
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party
from socp_twisted.post.acquaintances import Acquaintances
from socp_twisted.post.flow import TRIES, WINDOW, Flow, Way
from socp_twisted.post.overdue import Overdue
from socp_twisted.post.reading import Reading, key_for, unpacked
from socp_twisted.post.sending import Sending
from socp_twisted.post.tidings import Tidings
from socp_twisted.store.interface import Message, State, Store, StoreError
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import ANSWER_TIMEOUT, STALE_AFTER


class Post:
    """Takes messages in, and sees to it that each is answered for."""

    _log = Logger()

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
        self._overdue = Overdue(
            mesh,
            store,
            perform,
            tidings=self._tidings,
            sending=self._sending,
            flows=self._flows,
            hold=hold,
        )
        self._is_open = False

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
        elif self._acquaintances.is_for_nobody(message.recipient, key_for(message)):
            fault = Refused(
                ErrorCode.BAD_KEY,
                f"{message.recipient} is registered here with another key",
            )
        # Sent again it is answered, however late, and whoever has left meanwhile.
        if fault is not None and await self._store.message(message.msg_id) is None:
            raise fault

    async def _take(self, message: Message) -> None:
        """Keep a message, and send it after those that were kept before it."""
        keeping = Deferred.fromCoroutine(self._keep(message))
        if message.state == State.DELIVERED:
            # While the disk is at work the signer can be, too: it is sent after both.
            try:
                links = tuple(self._mesh.directory.local_users[message.recipient])
                self._perform([Foreseen(links, self._deliveries(message))])
            except Exception:
                # Only time is lost: on disk it is delivered, so it has to be sent.
                self._log.failure("bug while signing ahead")
        kept = await keeping
        if kept is None:
            limits = self._mesh.limits
            raise Refused(
                ErrorCode.LIMIT,
                f"max-held: {limits.held} messages of yours wait, or "
                f"max-held-in-all: {limits.held_in_all} of everybody's",
            )
        flow = self._flows.setdefault(kept.recipient, Flow())
        try:
            async with flow.lock:
                # Within: who waits for it goes on as soon as it is let go of.
                self._perform(await self._go_on(flow, kept))
        finally:
            self._sending.drop_if_idle(kept.recipient, flow)

    async def _keep(self, message: Message) -> Message | None:
        """
        Keep a message, or return the same one; ``None`` if there is no room.

        Else five users could fill the disk's share with messages for somebody who is
        away, and nobody else could write to anybody for as long as those wait.
        """
        limits = self._mesh.limits
        for _ in range(TRIES):
            kept = await self._store.accept(message, limits.held, limits.held_in_all)
            if kept is not None or not await self._make_room(message):
                return kept
        return None

    async def _make_room(self, message: Message) -> bool:
        """Let whoever has most waiting give way; say whether somebody did."""
        most = self._mesh.limits.held_in_all
        detail = f"max-held-in-all: {most} wait, and you had most: it was given up"
        others = await self._store.giving_way(message.sender, 2 * WINDOW)
        for other in others:
            if await self._sending.give_way(other, detail):
                return True
        # Else who lets a friend take them again and again, and never answer, keeps all.
        answered_by = self._mesh.now_ms - ANSWER_TIMEOUT * 1000
        for other in others:
            if other.accepted_at < answered_by:
                if await self._sending.give_way(other, detail, under_way=True):
                    return True
        return False

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

    def asked(self, answer: Settled) -> Way | None:
        """
        Return the way of a message that this server was asked for, if it was.

        Without the disk: one frame may answer for hundreds, and all be invented.
        """
        flow = self._flows.get(self._sending.recipient(answer.msg_id))
        way = None if flow is None else flow.way(answer.msg_id)
        return way if way is not None and way.server_id == answer.server_id else None

    async def settle(self, answer: Settled) -> None:
        """Take the answer to a message, from the server that was asked."""
        way = self.asked(answer)
        if way is None:
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
        """Look for what was not answered in time, or waited too long."""
        if self._is_open:
            await self._overdue.tick()
