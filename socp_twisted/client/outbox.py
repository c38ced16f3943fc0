"""What goes out, and who waits for its answer?  Frames, events, open questions."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from socp_twisted.client.events import Event, FrameRefused
from socp_twisted.errors import ErrorCode, SocpError
from socp_twisted.trust.keys import PrivateKey
from socp_twisted.trust.signatures import signed_frame
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import ACK, ERROR

NO_ANSWER_MS: Final = 15_000
"""A server answers within 10 s; what is older than this will not be answered."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request of ours ended; an empty ``code`` means well."""

    code: str = ""
    detail: str = ""
    received: frozenset[str] | None = None
    """Who has a message to everybody, where the server says so."""

    @property
    def ok(self) -> bool:
        """Say whether it ended well."""
        return not self.code


BUSY_MS: Final = 1_000
"""Milliseconds after which a server that had too much to do is asked again."""

SOON_MS: Final = 250
"""Within this time a receipt for a message to everybody leaves ..."""

LATER_MS: Final = 2_000
"""... or within this, where many come: one frame for all of them."""

MANY: Final = 8
MAX_RECEIPTS: Final = 256
"""Receipts in one frame."""

TRIES: Final = 3
"""Times that a lasting question is asked on one connection."""

OK: Final = Outcome()
NO_ANSWER: Final = Outcome(ErrorCode.TIMEOUT, "no answer from the server")


def random_id() -> str:
    """Return an id that nothing else has."""
    return uuid.uuid4().hex


Settle = Callable[[Outcome, int], None]
"""Called once, with how it ended and the time in milliseconds."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a session wants done: frames for the wire, events for the user."""

    frames: tuple[bytes, ...] = ()
    events: tuple[Event, ...] = ()
    receipts: tuple[bytes, ...] = ()
    """Frames to send once the events are told: what a receipt is for was seen."""
    link: int = 0
    """Which connection the frames are for: they are counted."""
    wake: float = 0.0
    """Seconds after which the session wants a ``tick``; 0 if it does not matter."""


@dataclass(slots=True)
class _Question:
    """A frame that waits for its answer; without a deadline, as long as it takes."""

    deadline: int | None
    settle: Settle
    frame: bytes = b""
    tries: int = 1


@dataclass(slots=True)
class Outbox:
    """Collects frames and events; remembers by ``id`` who waits for an answer."""

    new_id: Callable[[], str] = random_id
    sender: str = ""
    confirms: bool = False
    """Whether this server answers every frame that carries an id."""
    fans_out: bool = False
    """Whether this server hands one ciphertext to everybody who can."""
    over: bool = False
    """Whether there will be no further connection."""
    link: int = 0
    _frames: list[bytes] = field(default_factory=list)
    _events: list[Event] = field(default_factory=list)
    _receipts: list[bytes] = field(default_factory=list)
    _open: dict[str, _Question] = field(default_factory=dict)
    _last_ts: int = 0
    _unsaid: dict[str, bool] = field(default_factory=dict)
    """Messages to everybody that are to be acknowledged, and whether we have them."""
    _unsaid_since: int = 0
    _wake: float = 0.0

    def next_ts(self, now: int) -> int:
        """Return Unix milliseconds that no earlier frame of ours has."""
        self._last_ts = max(now, self._last_ts + 1)
        return self._last_ts

    def send(
        self,
        type: str,
        to: str,
        payload: Mapping[str, Any],
        now: int,
        *,
        ts: int | None = None,
        settle: Settle | None = None,
        wait: int = NO_ANSWER_MS,
        key: PrivateKey | None = None,
        lasting: bool = False,
    ) -> str:
        """
        Queue a frame and return its id.

        ``settle`` hears how it ended, after ``wait`` milliseconds at the latest; with a
        ``key`` the frame is signed.  A ``lasting`` question outlives its connection:
        ``again`` asks it on the next one, to the letter, so that it stays one.
        """
        ref = self.new_id()
        if ts is None:
            ts = self.next_ts(now)
        envelope = Envelope.create(type, self.sender, to or "*", ts, payload, id=ref)
        frame = signed_frame(envelope, key) if key else envelope.to_frame()
        self._frames.append(frame)
        if settle is not None:
            self._open[ref] = _Question(now + wait, settle, frame if lasting else b"")
        return ref

    def again(self, now: int) -> None:
        """Ask what an earlier connection did not answer."""
        for question in self._open.values():
            if question.frame:
                self._frames.append(question.frame)
                question.deadline, question.tries = now + NO_ANSWER_MS, 1

    def hold(self) -> None:
        """Keep what was just asked for the next connection: there is none now."""
        self._frames.clear()
        for question in self._open.values():
            if question.frame:
                question.deadline = None

    def patient(self, ref: str) -> bool:
        """Wait for an answer without end: the server has promised one."""
        question = self._open.get(ref)
        if question is None or question.deadline is None:
            return False
        question.deadline = None
        return True

    def later(self, ref: str, now: int) -> bool:
        """Ask a lasting question again soon; return whether that is worth a try."""
        question = self._open.get(ref)
        if question is None or not question.frame or question.tries >= TRIES:
            return False
        question.deadline = now + BUSY_MS
        return True

    def receipt(self, msg_ref: str, outcome: Outcome, now: int) -> None:
        """Tell the server what became of a message that it gave us."""
        if outcome.ok:
            type, payload = ACK, {"msg_ref": msg_ref, "status": "delivered"}
        else:
            detail = outcome.detail[:200]
            type = ERROR
            payload = {"msg_ref": msg_ref, "code": outcome.code, "detail": detail}
        self._receipts.append(self._frame(type, payload, now))

    def acknowledge(self, msg_ref: str, has: bool, now: int) -> None:
        """Tell the server soon that we have what was said to everybody, or cannot."""
        if not self._unsaid:
            self._unsaid_since, self._wake = now, SOON_MS / 1000
        self._unsaid[msg_ref] = has
        if len(self._unsaid) >= MAX_RECEIPTS:
            self.flush(now)

    def unsaid_ms(self, now: int) -> int | None:
        """Return in how many milliseconds receipts are due, ``None`` if none are."""
        if not self._unsaid:
            return None
        wait = SOON_MS if len(self._unsaid) <= MANY else LATER_MS
        return max(0, self._unsaid_since + wait - now)

    def flush(self, now: int) -> None:
        """Tell the server which messages to everybody we have: one frame."""
        if not self._unsaid:
            return
        payload: dict[str, Any] = {"msg_refs": [], "refused": []}
        for ref, has in self._unsaid.items():
            payload["msg_refs" if has else "refused"].append(ref)
        self._unsaid.clear()
        self._receipts.append(self._frame(ACK, payload, now))

    def _frame(self, type: str, payload: Mapping[str, Any], now: int) -> bytes:
        return Envelope.create(
            type, self.sender, "*", self.next_ts(now), payload, id=self.new_id()
        ).to_frame()

    def say(self, event: Event) -> None:
        """Queue an event for the user."""
        self._events.append(event)

    def refuse(self, type: str, sender: str, why: SocpError | str) -> None:
        """Say that something was received and is not shown."""
        self.say(FrameRefused(type, sender, str(why)))

    def answer(self, ref: str, outcome: Outcome, now: int) -> bool:
        """Settle what waits for ``ref``; return whether anything did."""
        question = self._open.pop(ref, None)
        if question is None:
            return False
        question.settle(outcome, now)
        return True

    def expire(self, now: int) -> None:
        """Settle what has waited too long."""
        late = [
            ref
            for ref, question in self._open.items()
            if question.deadline is not None and question.deadline <= now
        ]
        for ref in late:
            question = self._open[ref]
            if question.frame and question.tries < TRIES:
                # The server may have it, and its answer not: asked again, it is one.
                question.tries += 1
                question.deadline = now + NO_ANSWER_MS
                self._frames.append(question.frame)
            else:
                self.answer(ref, NO_ANSWER, now)

    def lost(self, outcome: Outcome, now: int, *, for_good: bool = False) -> None:
        """
        Settle what only the connection that is gone would have answered.

        What lasts is asked again on the next one, unless there will be none.
        """
        self.over = for_good
        self._unsaid.clear()
        for ref, question in list(self._open.items()):
            if for_good or not question.frame:
                self.answer(ref, outcome, now)
            else:
                question.deadline = None
        self._frames.clear()
        self._receipts.clear()  # the server gives us the message again

    def drain(self) -> Output:
        """Take what was queued."""
        output = Output(
            tuple(self._frames),
            tuple(self._events),
            tuple(self._receipts),
            self.link,
            self._wake,
        )
        self._wake = 0.0
        self._frames.clear()
        self._receipts.clear()
        self._events.clear()
        return output
