"""How does what is on disk leave?  In order, and as far as a window allows.  (Ours)"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.logger import Logger

from socp_twisted.errors import ErrorCode
from socp_twisted.overlay.content import BY_USER_TYPE, Sent, dispatch
from socp_twisted.overlay.effects import Effect
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.post.acquaintances import Acquaintances
from socp_twisted.post.flow import AGAIN_AFTER, SELDOM, WINDOW, Flow, Way
from socp_twisted.post.reading import unpacked
from socp_twisted.post.tidings import Tidings
from socp_twisted.store.interface import Message, State, Store, StoreError
from socp_twisted.wire.vocabulary import ANSWER_TIMEOUT


class Sending:
    """Sends messages to their recipients, and counts them until they are answered."""

    _log = Logger()

    def __init__(
        self,
        mesh: Mesh,
        store: Store,
        perform: Callable[[Iterable[Effect]], None],
        *,
        acquaintances: Acquaintances,
        tidings: Tidings,
        flows: dict[str, Flow],
        hold: float,
    ) -> None:
        """``flows`` are what is on its way, by recipient; ``hold`` is in seconds."""
        self._mesh = mesh
        self._store = store
        self._perform = perform
        self._acquaintances = acquaintances
        self._tidings = tidings
        self._flows = flows
        self._hold = hold
        self._recipients: dict[str, str] = {}
        """Of what was sent and is not answered, whom it is for."""

    def recipient(self, msg_id: str) -> str:
        """Return whom a message is for that somebody was asked for, or nothing."""
        return self._recipients.get(msg_id, "")

    def forget(self, msg_id: str) -> None:
        """Ask nobody any more for a message that is answered, or given up."""
        self._recipients.pop(msg_id, None)

    def dispatch(self, message: Message, content: Mapping[str, Any]) -> Sent | None:
        """Say how a message goes, or return None if its recipient cannot be reached."""
        return dispatch(
            self._mesh,
            message.recipient,
            BY_USER_TYPE[message.type],
            content,
            message.ts,
            message.msg_id,
        )

    async def send(self, flow: Flow, message: Message) -> list[Effect]:
        """Send one message towards its recipient, and settle what needs no answer."""
        content, key = unpacked(message)
        self.forget(message.msg_id)
        if not self._acquaintances.is_for(message.recipient, key):
            # Somebody else uses the name: it waits for whom it was meant.
            if not self._hold:
                why = f"{message.recipient} is online with another key"
                return await self._cannot(message, ErrorCode.BAD_KEY, why)
            again = self._mesh.now + SELDOM
            flow.aside[message.msg_id] = Way("", again, message.sender, again=again)
            return await self._tidings.tell_queued(message)
        if self._mesh.now_ms - message.accepted_at > ANSWER_TIMEOUT * 1000:
            content["held"] = True
        sent = self.dispatch(message, content)
        if sent is None and not self._hold:
            why = f"{message.recipient} cannot be reached now"
            return await self._cannot(message, ErrorCode.USER_NOT_FOUND, why)
        if sent is None:
            self._stall(flow)
            return await self._tidings.tell_queued(message)
        if sent.answers:
            deadline = self._mesh.now + ANSWER_TIMEOUT
            self._recipients[message.msg_id] = message.recipient
            flow.under_way[message.msg_id] = Way(
                sent.server_id, deadline, message.sender
            )
            return list(sent.effects)
        try:
            settled = await self._store.settle(
                message.msg_id,
                State.DELIVERED,
                "",
                "",
                told=self._tidings.is_here(message.sender),
            )
        except StoreError as why:
            self._log.warn("a message waits: {reason}", reason=str(why))
            self._stall(flow)  # not sent, or it would be sent again
            return await self._tidings.tell_queued(message)
        tidings = await self._tidings.tell(settled, sent.status) if settled else []
        return [*sent.effects, *tidings]

    async def _cannot(self, message: Message, code: str, detail: str) -> list[Effect]:
        """Give up what may not wait; say what its sender is told."""
        failed = await self._store.settle(
            message.msg_id,
            State.FAILED,
            code,
            detail,
            told=self._tidings.is_here(message.sender),
        )
        return await self._tidings.tell(failed) if failed is not None else []

    def _stall(self, flow: Flow) -> None:
        """Begin again from the oldest, once the recipient is seen."""
        flow.begin_anew(self._mesh.now + AGAIN_AFTER)

    async def pump(self, user_id: str, flow: Flow, *, anew: bool = False) -> None:
        """Send what is on disk, as far as the window allows."""
        try:
            async with flow.lock:
                if anew:
                    # What was under way may be lost with a link; who has it, drops it.
                    flow.begin_anew()
                await self._empty(user_id, flow)
        finally:
            self.drop_if_idle(user_id, flow)

    async def _empty(self, user_id: str, flow: Flow) -> None:
        while flow.more and (room := WINDOW - len(flow.under_way)) > 0:
            some = await self._store.waiting(user_id, flow.last_seq, room)
            for message in some:
                flow.last_seq = message.seq
                self._perform(await self.send(flow, message))
                if flow.rest_until > self._mesh.now:
                    return
            flow.more = len(some) == room  # now: if one fails the others go in time

    def drop_if_idle(self, user_id: str, flow: Flow) -> None:
        """Forget a flow in which nothing waits, unless there is another one by now."""
        if flow.is_idle and self._flows.get(user_id) is flow:
            del self._flows[user_id]

    async def fail(self, msg_id: str, code: str, detail: str) -> list[Effect]:
        """Give a message up; say what its sender is told."""
        failed = await self._store.settle(msg_id, State.FAILED, code, detail)
        if failed is None:
            return []
        await self.done(failed)
        return await self._tidings.tell(failed)

    async def give_way(
        self, message: Message, detail: str, *, under_way: bool = False
    ) -> bool:
        """
        Give a message up; say whether there is room.

        What is on its way now is given up only if ``under_way`` says so: it may have
        arrived.
        """
        flow = self._flows.setdefault(message.recipient, Flow())
        try:
            async with flow.lock:  # or it could be read from the disk, and about to go
                if message.msg_id in flow.under_way and not under_way:
                    return False
                failed = await self._store.settle(
                    message.msg_id, State.FAILED, ErrorCode.LIMIT, detail
                )
        finally:
            self.drop_if_idle(message.recipient, flow)
        if failed is not None:  # else it was answered meanwhile
            await self.done(failed)
            self._perform(await self._tidings.tell(failed))
        return True

    async def done(self, message: Message) -> None:
        """Count a message that is answered: there is room for the next."""
        self.forget(message.msg_id)
        flow = self._flows.get(message.recipient)
        if flow is None:
            return
        flow.settle(message.msg_id)
        if flow.more and flow.rest_until <= self._mesh.now:
            await self.pump(message.recipient, flow)
        self.drop_if_idle(message.recipient, flow)
