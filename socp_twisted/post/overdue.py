"""What was not answered in time, and what has waited too long?  Asked at each tick."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from twisted.logger import Logger

from socp_twisted.errors import ErrorCode
from socp_twisted.overlay.effects import Effect
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.post.flow import TRIES, Flow
from socp_twisted.post.sending import Sending
from socp_twisted.post.tidings import Tidings
from socp_twisted.store.interface import State, Store, StoreError
from socp_twisted.wire.vocabulary import ANSWER_TIMEOUT, STALE_AFTER

EXPIRE_EVERY = 60.0
"""Seconds between two looks for what has waited too long."""


class Overdue:
    """Sets aside, sends again or gives up what nobody answers."""

    _log = Logger()

    def __init__(
        self,
        mesh: Mesh,
        store: Store,
        perform: Callable[[Iterable[Effect]], None],
        *,
        tidings: Tidings,
        sending: Sending,
        flows: Mapping[str, Flow],
        hold: float,
    ) -> None:
        """``flows`` are what is on its way, by recipient; ``hold`` is in seconds."""
        self._mesh = mesh
        self._store = store
        self._perform = perform
        self._tidings = tidings
        self._sending = sending
        self._flows = flows
        self._hold = hold
        self._expire_at = mesh.now
        self._is_ticking = False

    async def tick(self) -> None:
        """Say ``queued`` of what was not answered in time; try again what rests."""
        if self._is_ticking:
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
            try:
                await self._look_at(user_id, flow, now)
            except StoreError:
                raise  # nobody's would fare better
            except Exception:
                self._log.failure("bug while sending again to {user}", user=user_id)

    async def _look_at(self, user_id: str, flow: Flow, now: float) -> None:
        late = flow.late(now)
        if late and not self._hold:
            await self._give_up(user_id, flow, late)
            return
        for msg_id in late:
            await self._set_aside(user_id, flow, msg_id)
        if user_id not in self._mesh.directory.user_locations:
            return
        if flow.more and flow.rest_until <= now:
            await self._sending.pump(user_id, flow)
        for msg_id in flow.due(now):
            await self._send_again(flow, msg_id)
        self._sending.drop_if_idle(user_id, flow)

    async def _set_aside(self, user_id: str, flow: Flow, msg_id: str) -> None:
        """Let what nobody answers wait, so that it keeps no other message waiting."""
        if not flow.set_aside(msg_id, self._mesh.now):
            return  # answered, or begun anew, while the disk was busy with another
        online = user_id in self._mesh.directory.user_locations
        if online and flow.aside[msg_id].tries >= TRIES:
            detail = "the recipient is online, but does not acknowledge it"
            self._perform(await self._sending.fail(msg_id, ErrorCode.TIMEOUT, detail))
            return
        message = await self._store.message(msg_id)
        if message is not None and message.state == State.WAITING:
            self._perform(await self._tidings.tell_queued(message))

    async def _send_again(self, flow: Flow, msg_id: str) -> None:
        async with flow.lock:
            message = await self._store.message(msg_id)
            way = flow.aside.pop(
                msg_id, None
            )  # now: a disk that refuses is asked again
            if way is None or message is None or message.state != State.WAITING:
                return
            self._perform(await self._sending.send(flow, message))
            if msg_id in flow.under_way:
                flow.under_way[msg_id] = replace(
                    flow.under_way[msg_id], tries=way.tries
                )

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
            self._sending.forget(message.msg_id)
            failed = await self._store.message(message.msg_id)
            if failed is not None:
                self._perform(await self._tidings.tell(failed))
