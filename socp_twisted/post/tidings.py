"""What is a sender told?  ``queued``, ``delivered``, or why not.  (SOCP 10)"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from twisted.logger import Logger

from socp_twisted.errors import ErrorCode
from socp_twisted.overlay.effects import Answer, Effect, Send
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.post.reading import AT_ONCE
from socp_twisted.store.interface import Message, State, Store, StoreError
from socp_twisted.wire.vocabulary import ACK


class Tidings:
    """Tells senders, here or when they are back, what became of their messages."""

    _log = Logger()

    def __init__(
        self,
        mesh: Mesh,
        store: Store,
        perform: Callable[[Iterable[Effect]], None],
    ) -> None:
        """``perform`` is for what is told to somebody who has come back."""
        self._mesh = mesh
        self._store = store
        self._perform = perform

    def is_here(self, user_id: str) -> bool:
        """Say whether a sender can be told now."""
        return user_id in self._mesh.directory.local_users

    def as_known(self, kept: Message) -> Message:
        """Claim of no message what an earlier process may not have come to do."""
        if kept.detail != AT_ONCE or kept.accepted_at >= self._mesh.spoken.since:
            return kept
        detail = "the server has stopped since: whether it arrived is not known"
        return replace(kept, state=State.FAILED, code=ErrorCode.TIMEOUT, detail=detail)

    async def greet(self, user_id: str) -> None:
        """Tell a user who has logged in what became of their messages meanwhile."""
        for message in await self._store.untold(user_id):
            self._perform(await self.tell(message))

    async def tell(self, message: Message, status: str = "delivered") -> list[Effect]:
        """Say what a sender is told of an outcome; it is noted that they were."""
        links = self._mesh.directory.local_users.get(message.sender, [])
        if message.state == State.FAILED:
            tidings: list[Effect] = [
                Answer(link, message.code, message.detail, message.msg_ref)
                for link in links
            ]
        else:
            tidings = self._acks(message, status)
        known = message.told == message.state
        if links and not known:
            await self._note(message, message.state)
        elif known and not links:
            await self._note(message, "")  # they left meanwhile, and were not told
        return tidings

    async def tell_queued(self, message: Message) -> list[Effect]:
        """Say, once, to a sender that their message waits."""
        if message.told == "queued":
            return []
        await self._note(message, "queued")
        return self._acks(message, "queued")

    async def _note(self, message: Message, what: str) -> None:
        """Write down what the sender is told; else they are told again, no more."""
        try:
            await self._store.told(message.msg_id, what)
        except StoreError as why:
            self._log.warn("a sender may be told twice: {reason}", reason=str(why))

    def _acks(self, message: Message, status: str) -> list[Effect]:
        if not message.msg_ref:
            return []  # they did not ask
        return [
            Send(link, ACK, {"msg_ref": message.msg_ref, "status": status})
            for link in self._mesh.directory.local_users.get(message.sender, [])
        ]
