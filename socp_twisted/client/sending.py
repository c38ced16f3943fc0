"""How does a file go out?  Read as it is sent, a few chunks ahead.  (SOCP 9.4)"""

import hashlib
import os
import stat
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from socp_twisted.client import disk
from socp_twisted.client.contacts import Contacts
from socp_twisted.client.events import Contact, FileFailed, FileSent
from socp_twisted.client.fields import field_text
from socp_twisted.client.keystore import Account, Randomness
from socp_twisted.client.manifest import (
    AES,
    MAX_NAME_BYTES,
    RSA,
    Manifest,
    chunk_size,
    seal_chunk,
    subject,
)
from socp_twisted.client.outbox import Outbox, Outcome
from socp_twisted.client.receiving import ANSWER_MS, DECISION_MS, progressed
from socp_twisted.errors import ConfigurationError, ErrorCode, Refused
from socp_twisted.trust.keys import public_key
from socp_twisted.trust.signatures import direct_content, sign
from socp_twisted.wire.encoding import b64u_encode
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.payloads import MAX_FILE
from socp_twisted.wire.vocabulary import (
    EXTRA_ASKED,
    EXTRA_FILES,
    FILE_CHUNK,
    FILE_END,
    FILE_START,
    PUBLIC,
)

WINDOW: Final = 8
"""Chunks that may be unanswered ..."""
WINDOW_BYTES: Final = 512 * 1024
"""... and bytes of them: eight transfers to one reader stay below a server's limit."""
MAX_OUTGOING: Final = 8
"""Transfers at one time, of the sixteen that a server allows; others wait."""


@dataclass(slots=True)
class _Outgoing:
    contact: Contact
    manifest: Manifest
    path: Path
    waits: bool
    """Whether the recipient's client answers FILE_START before the chunks go."""
    shown: bool
    """Whether their user was asked, as far as that is ever said."""
    chunk: int
    file: BinaryIO | None = None
    index: int = 0
    read: int = 0
    done: int = 0
    unanswered: int = 0
    going: bool = False
    ended: bool = False
    deadline: int = 0


class Sending:
    """The files that we are sending to others."""

    def __init__(
        self,
        account: Account,
        outbox: Outbox,
        contacts: Contacts,
        randomness: Randomness,
    ) -> None:
        self._account = account
        self._outbox = outbox
        self._contacts = contacts
        self._randomness = randomness
        self._open: dict[str, _Outgoing] = {}
        self._queue: deque[_Outgoing] = deque()

    # -- what our user says ------------------------------------------------------------

    def knows(self, file_id: str) -> bool:
        """Say whether this is a file of ours that is not through yet."""
        return file_id in self._open or any(
            one.manifest.file_id == file_id for one in self._queue
        )

    def send(self, to: str, path: Path, now: int) -> dict[str, str]:
        """
        Offer a file; return user ids and file ids.

        Raise ``Refused`` or ``ConfigurationError``.
        """
        public = to == PUBLIC
        if public:
            contacts = self._contacts.online()
            if not contacts:
                raise Refused(ErrorCode.USER_NOT_FOUND, "nobody else is online")
        else:
            contacts = (self._contacts.recipient(to),)
        size, sha256 = _measure(path)
        name = path.name.encode("utf-8", "replace")[:MAX_NAME_BYTES]
        ids: dict[str, str] = {}
        for contact in contacts:
            aes = EXTRA_FILES in contact.extras
            manifest = Manifest(
                self._outbox.new_id(),
                name.decode("utf-8", "ignore"),
                size,
                sha256,
                "public" if public else "dm",
                self._randomness(32) if aes else b"",
            )
            chunk = chunk_size(manifest.secret, contact.extras)
            ids[contact.user_id] = manifest.file_id
            shown = EXTRA_ASKED not in contact.extras
            one = _Outgoing(contact, manifest, path, aes, shown, chunk)
            if contact.trusted:
                self._queue.append(one)
            else:
                self._fail(one, "their key has changed and was not accepted")
        self._next(now)
        return ids

    def stop(self, file_id: str, reason: str, now: int) -> None:
        """Break off and tell the recipient."""
        for one in list(self._queue):
            if one.manifest.file_id == file_id:
                self._queue.remove(one)
                self._fail(one, reason)
                return
        self._abort(self._open[file_id], reason, now)

    # -- what the other side says ------------------------------------------------------

    def answered(self, envelope: Envelope, now: int) -> None:
        """FILE_ANSWER_DELIVER: go on, well received, or no."""
        sender, file_id = subject(envelope)
        one = self._open.get(file_id)
        if one is None or one.contact.user_id != sender:
            return  # it crossed with our end of the transfer
        payload = envelope.payload
        if payload.get("asked") is True:
            if not (one.shown or one.going):
                one.shown, one.deadline = True, now + DECISION_MS
        elif payload.get("accept") is not True:
            reason = field_text(payload, "reason", 1024, default="")
            self._abort(one, reason or "declined", now)
        elif payload.get("done") is True:
            if one.ended:
                self._through(one, True, now)
        elif one.waits and not one.going:
            one.going, one.deadline = True, 0
            self._pump(one, now)

    # -- time, and the connection ------------------------------------------------------

    def tick(self, now: int) -> bool:
        """Give up on who does not answer; return whether more is due very soon."""
        for one in list(self._open.values()):
            if one.deadline and one.deadline <= now:
                self._abort(one, _silence(one), now)
            elif one.going and not self._outbox.confirms:
                self._pump(one, now)
        return any(one.going for one in self._open.values()) and (
            not self._outbox.confirms
        )

    def drop_all(self, reason: str) -> None:
        """The connection is gone, and every transfer with it."""
        for one in [*self._open.values(), *self._queue]:
            self._fail(one, reason)
        self._queue.clear()

    def gone(self, user_id: str, now: int) -> None:
        """The recipient has left."""
        for one in list(self._open.values()):
            if one.contact.user_id == user_id:
                self._abort(one, f"{user_id} has left", now)

    # -- steps -------------------------------------------------------------------------

    def _next(self, now: int) -> None:
        while self._queue and len(self._open) < MAX_OUTGOING:
            one = self._queue.popleft()
            try:
                one.file = one.path.open("rb")
            except OSError as why:
                self._fail(one, f"cannot read: {disk.reason(why)}")
                continue
            self._open[one.manifest.file_id] = one
            self._start(one, now)

    def _start(self, one: _Outgoing, now: int) -> None:
        outbox, key, to = self._outbox, self._account.key, one.contact.user_id
        assert key is not None
        sealed = one.manifest.seal(public_key(one.contact.key))
        ts = outbox.next_ts(now)
        payload = {
            **one.manifest.fields(),
            "to": to,
            "sender_pub": key.public.text,
            "manifest": b64u_encode(sealed),
            "content_sig": sign(key, direct_content(sealed, outbox.sender, to, ts)),
            "cipher": AES if one.manifest.secret else RSA,
            "chunk": one.chunk,
        }
        self._send(one, FILE_START, payload, now, ts=ts)
        if one.waits:
            one.deadline = now + (DECISION_MS if one.shown else ANSWER_MS)
        else:
            one.going = True
            self._pump(one, now)

    def _send(
        self,
        one: _Outgoing,
        type: str,
        payload: dict[str, Any],
        now: int,
        *,
        ts: int | None = None,
        size: int = 0,
    ) -> None:
        def settle(outcome: Outcome, now: int) -> None:
            if self._open.get(one.manifest.file_id) is not one:
                return
            if not outcome.ok:
                self._abort(one, outcome.detail or outcome.code, now)
            elif type == FILE_CHUNK:
                one.unanswered -= 1
                self._advance(one, size)
                self._pump(one, now)
            elif type == FILE_END and not one.waits:
                self._through(one, False, now)

        confirms = self._outbox.confirms
        to = one.contact.user_id
        self._outbox.send(
            type, to, payload, now, ts=ts, settle=settle if confirms else None
        )

    def _pump(self, one: _Outgoing, now: int) -> None:
        """Send until the window is full; where nobody answers, one window a time."""
        sent, confirms = 0, self._outbox.confirms
        manifest, to = one.manifest, one.contact.user_id
        window = min(WINDOW, WINDOW_BYTES // one.chunk)
        while one.read < manifest.size and max(one.unanswered, sent) < window:
            assert one.file is not None
            want = min(one.chunk, manifest.size - one.read)
            try:
                data = one.file.read(want)
            except OSError as why:
                self._abort(one, f"cannot read: {disk.reason(why)}", now)
                return
            if len(data) != want:
                self._abort(one, "the file became shorter while it was sent", now)
                return
            ciphertext = seal_chunk(
                manifest, public_key(one.contact.key), one.index, data
            )
            payload = {
                "file_id": manifest.file_id,
                "index": one.index,
                "ciphertext": ciphertext,
                "to": to,
            }
            one.index, one.read, sent = one.index + 1, one.read + want, sent + 1
            one.unanswered += confirms
            self._send(one, FILE_CHUNK, payload, now, size=want)
            if not confirms:
                self._advance(one, want)
        if one.done == manifest.size and not one.ended:
            one.ended, one.going = True, False
            one.deadline = now + ANSWER_MS
            end = {"file_id": manifest.file_id, "to": to}
            self._send(one, FILE_END, end, now)
            if not confirms and not one.waits:
                self._through(one, False, now)

    def _advance(self, one: _Outgoing, size: int) -> None:
        before, one.done = one.done, one.done + size
        progress = progressed(
            one.manifest, one.contact.user_id, before, one.done, False
        )
        if progress is not None:
            self._outbox.say(progress)

    def _through(self, one: _Outgoing, confirmed: bool, now: int) -> None:
        self._close(one)
        manifest = one.manifest
        self._outbox.say(
            FileSent(
                manifest.file_id,
                one.contact.user_id,
                manifest.name,
                manifest.size,
                confirmed,
            )
        )
        self._next(now)

    def _abort(self, one: _Outgoing, reason: str, now: int) -> None:
        payload = {
            "file_id": one.manifest.file_id,
            "to": one.contact.user_id,
            "aborted": True,
            "reason": reason[:200],
        }
        self._fail(one, reason)
        if not one.ended:  # the server has it among the open transfers
            self._outbox.send(
                FILE_END,
                one.contact.user_id,
                payload,
                now,
                settle=lambda outcome, now: None,
            )
        self._next(now)

    def _fail(self, one: _Outgoing, reason: str) -> None:
        self._close(one)
        self._outbox.say(
            FileFailed(
                one.manifest.file_id,
                one.contact.user_id,
                one.manifest.name,
                reason,
                False,
            )
        )

    def _close(self, one: _Outgoing) -> None:
        self._open.pop(one.manifest.file_id, None)
        if one.file is not None:
            one.file.close()


def _silence(one: _Outgoing) -> str:
    """Say what it means that nothing more was heard of a transfer."""
    if one.ended:
        return "whether it arrived whole is not known: no final answer"
    if one.shown:
        return "nobody accepted it in time"
    return "their client does not answer"


def _measure(path: Path) -> tuple[int, str]:
    """Return size and SHA-256 of a file, or raise: 0.1 s for 100 MB."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe waits for ever
            raise Refused(ErrorCode.NOT_ALLOWED, f"{path} is no ordinary file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_FILE:
                raise Refused(
                    ErrorCode.LIMIT,
                    f"{path} has {size:,} bytes; at most {MAX_FILE:,} can be sent",
                )
            digest = hashlib.file_digest(file, "sha256")
            return file.tell(), digest.hexdigest()
    except OSError as why:
        raise ConfigurationError(f"cannot read {path}: {disk.reason(why)}") from why
