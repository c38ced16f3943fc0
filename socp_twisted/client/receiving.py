"""How does a file come in?  Streamed to disk, named when it is whole.  (SOCP 9.4)"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from socp_twisted.client import disk
from socp_twisted.client.contacts import Contacts
from socp_twisted.client.events import (
    FileFailed,
    FileOffered,
    FileProgress,
    FileReceived,
)
from socp_twisted.client.fields import field_bytes, field_text, field_ts
from socp_twisted.client.keystore import Account
from socp_twisted.client.manifest import MAX_MANIFEST, Manifest, open_chunk, subject
from socp_twisted.client.outbox import Outbox, Outcome
from socp_twisted.client.replays import Replays
from socp_twisted.errors import (
    ErrorCode,
    InvalidSignature,
    MalformedFrame,
    Refused,
)
from socp_twisted.trust.signatures import check, direct_content
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import EXTRA_ASKED, EXTRA_FILES, FILE_ANSWER

MAX_INCOMING: Final = 16
MAX_UNSIGNED: Final = 2
"""Transfers of the standard's kind: they fill the disk before anybody was asked."""

ANSWER_MS: Final = 30_000
"""For a client that is not asked to decide: that an offer came, or that all did ..."""
DECISION_MS: Final = 600_000
"""... and for their user to decide."""
SILENCE_MS: Final = 60_000


class Policy(StrEnum):
    """What happens when somebody offers a file."""

    ASK = "ask"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(slots=True)
class _Incoming:
    sender: str
    manifest: Manifest
    name: str
    signed: bool
    deadline: int
    accepted: bool = False
    ended: bool = False
    draft: disk.Draft | None = None
    index: int = 0

    @property
    def streams(self) -> bool:
        """Say whether the chunks come without waiting for an answer."""
        return not self.manifest.secret


class Receiving:
    """The files that others are sending to us."""

    def __init__(
        self,
        account: Account,
        outbox: Outbox,
        contacts: Contacts,
        *,
        replays: Replays,
        downloads: Path,
        policy: Policy,
    ) -> None:
        self._account = account
        self._outbox = outbox
        self._contacts = contacts
        self._replays = replays
        self.downloads = downloads
        self.policy = policy
        self._open: dict[str, _Incoming] = {}
        # Chunks that were under way when we hung up are no news.
        self._closed: deque[str] = deque(maxlen=256)

    # -- what our user says ------------------------------------------------------------

    def knows(self, file_id: str) -> bool:
        """Say whether this file is offered or on its way to us."""
        return file_id in self._open

    def accept(self, file_id: str, now: int) -> None:
        """Take an offered file; ``FileReceived`` or ``FileFailed`` follows."""
        one = self._open.get(file_id)
        if one is None:
            raise Refused(ErrorCode.NOT_ALLOWED, "no such file is offered")
        if one.accepted:
            return
        one.accepted, one.deadline = True, now + SILENCE_MS
        if one.streams:
            if one.ended:
                self._finish(one, now)
        elif self._opened(one, now):
            self._answer(one, True, "", now)

    def stop(self, file_id: str, reason: str, now: int) -> None:
        """Decline or break off, tell the sender, and leave nothing behind."""
        one = self._open[file_id]
        self._answer(one, False, reason, now)
        self._drop(one, reason)

    # -- what the sender says ----------------------------------------------------------

    def offered(self, envelope: Envelope, now: int) -> None:
        """FILE_START_DELIVER: check who offers it, then ask, take or decline."""
        one = self._read(envelope, now)
        file_id = one.manifest.file_id
        if file_id in self._open or file_id in self._closed:
            raise MalformedFrame("a file with this id was offered before")
        self._open[file_id] = one
        unsigned = sum(1 for other in self._open.values() if other.streams)
        if self.policy is Policy.NEVER:
            self.stop(file_id, "files are not accepted here", now)
            return
        if len(self._open) > MAX_INCOMING or (one.streams and unsigned > MAX_UNSIGNED):
            self.stop(file_id, "too many files at one time", now)
            return
        question = self.policy is Policy.ASK or not one.signed
        self._outbox.say(
            FileOffered(
                file_id,
                one.sender,
                one.name,
                one.manifest.size,
                one.manifest.mode == "public",
                one.signed,
                question,
            )
        )
        if one.streams and not self._opened(one, now):
            return
        if not question:
            self.accept(file_id, now)
        elif EXTRA_ASKED in self._contacts.extras(one.sender):
            self._answer(one, False, "", now, asked=True)

    def chunk(self, envelope: Envelope, now: int) -> None:
        """FILE_CHUNK_DELIVER: the next piece, and no other, goes to disk."""
        one = self._find(envelope, now)
        if one is None:
            return
        key, payload = self._account.key, envelope.payload
        if one.draft is None or one.ended or key is None:
            self.stop(one.manifest.file_id, "a chunk came that was not due", now)
            return
        index = payload.get("index")
        if type(index) is not int or index != one.index:
            self.stop(one.manifest.file_id, "a chunk is missing", now)
            return
        try:
            data = open_chunk(one.manifest, key, index, payload)
            if not data or one.draft.size + len(data) > one.manifest.size:
                raise MalformedFrame("a chunk has not the size that was announced")
            before = one.draft.size
            one.draft.write(data)
        except MalformedFrame as why:
            self.stop(one.manifest.file_id, str(why), now)
            return
        except OSError as why:
            self.stop(one.manifest.file_id, f"cannot write: {disk.reason(why)}", now)
            return
        one.index += 1
        if not one.streams or one.accepted:
            one.deadline = now + SILENCE_MS
        progress = progressed(one.manifest, one.sender, before, one.draft.size, True)
        if progress is not None:
            self._outbox.say(progress)

    def end(self, envelope: Envelope, now: int) -> None:
        """FILE_END_DELIVER: whole, right and named; or gone."""
        one = self._find(envelope, now)
        if one is None:
            return
        payload = envelope.payload
        if payload.get("aborted") is True:
            reason = field_text(payload, "reason", 1024, default="")
            self._drop(one, reason or "the sender broke off")
            return
        draft, manifest = one.draft, one.manifest
        if draft is None or draft.size != manifest.size:
            self.stop(manifest.file_id, "the file ended early", now)
        elif draft.sha256() != manifest.sha256:
            self.stop(manifest.file_id, "the SHA-256 is not the announced one", now)
        elif one.accepted:
            self._finish(one, now)
        else:
            one.ended = True

    # -- time, and the connection ------------------------------------------------------

    def tick(self, now: int) -> None:
        """Give up on senders who fall silent, and on questions nobody decides."""
        for file_id, one in list(self._open.items()):
            if one.deadline <= now:
                silent = one.accepted or (one.streams and not one.ended)
                why = "nothing came for a minute" if silent else "nobody decided"
                self.stop(file_id, why, now)

    def drop_all(self, reason: str, sender: str | None = None) -> None:
        """Leave nothing behind of what can no longer come."""
        for one in list(self._open.values()):
            if sender is None or one.sender == sender:
                self._drop(one, reason)

    # -- steps -------------------------------------------------------------------------

    def _read(self, envelope: Envelope, now: int) -> _Incoming:
        payload, account = envelope.payload, self._account
        sender, _ = subject(envelope)
        manifest = Manifest.read(payload)
        signed = "manifest" in payload
        if signed:
            if account.key is None:
                raise MalformedFrame("there is no key to read it with")
            sealed = field_bytes(payload, "manifest", MAX_MANIFEST)
            pub = field_text(payload, "sender_pub", default="")
            sig = field_text(payload, "content_sig", default="")
            ts = field_ts(envelope)
            key = self._contacts.signer(sender, pub)
            check(key, direct_content(sealed, sender, account.user_id, ts), sig)
            self._replays.check(sender, ts, sealed, False, now)
            if sender != account.user_id:
                self._contacts.meet(sender, key, now)
            told, manifest = manifest, Manifest.unseal(account.key, sealed)
            if told.fields() != manifest.fields():
                raise MalformedFrame("the offer is not what the sender signed")
        elif EXTRA_FILES in self._contacts.extras(sender):
            # Their client signs: whoever took the manifest away is in between.
            raise InvalidSignature("the offer has lost its signature")
        name = disk.safe_name(manifest.name)
        return _Incoming(sender, manifest, name, signed, now + DECISION_MS)

    def _find(self, envelope: Envelope, now: int) -> _Incoming | None:
        sender, file_id = subject(envelope)
        one = self._open.get(file_id)
        if one is None and file_id in self._closed:
            return None
        if one is None and EXTRA_FILES in self._contacts.extras(sender):
            # Offered on a connection that is gone: they need not wait for the end.
            self._closed.append(file_id)
            answer = {
                "file_id": file_id,
                "accept": False,
                "reason": "the offer is lost",
            }
            self._outbox.send(
                FILE_ANSWER, sender, answer, now, settle=lambda outcome, now: None
            )
            return None
        if one is None or one.sender != sender:
            raise MalformedFrame("part of a file that was never offered")
        return one

    def _opened(self, one: _Incoming, now: int) -> bool:
        try:
            one.draft = disk.Draft(self.downloads)
        except OSError as why:
            reason = f"cannot write to {self.downloads}: {disk.reason(why)}"
            self._answer(one, False, "the recipient cannot store it", now)
            self._drop(one, reason)
            return False
        return True

    def _finish(self, one: _Incoming, now: int) -> None:
        assert one.draft is not None
        manifest = one.manifest
        try:
            path = one.draft.keep(one.name)
        except OSError as why:
            self.stop(manifest.file_id, f"cannot write: {disk.reason(why)}", now)
            return
        self._close(one)
        if one.signed:
            self._answer(one, True, "", now, done=True)
        self._outbox.say(
            FileReceived(
                manifest.file_id, one.sender, path.name, manifest.size, path, one.signed
            )
        )

    def _answer(
        self,
        one: _Incoming,
        accept: bool,
        reason: str,
        now: int,
        *,
        done: bool = False,
        asked: bool = False,
    ) -> None:
        if not one.signed:
            return  # the standard has no answers
        file_id = one.manifest.file_id
        payload = {"file_id": file_id, "accept": accept, "reason": reason}
        for name, is_so in (("done", done), ("asked", asked)):
            if is_so:
                payload[name] = True

        def settle(outcome: Outcome, now: int) -> None:
            if not outcome.ok and file_id in self._open:
                self._drop(one, f"the sender cannot be reached: {outcome.detail}")

        self._outbox.send(FILE_ANSWER, one.sender, payload, now, settle=settle)

    def _drop(self, one: _Incoming, reason: str) -> None:
        self._close(one)
        if one.draft is not None:
            one.draft.discard()
        self._outbox.say(
            FileFailed(one.manifest.file_id, one.sender, one.name, reason, True)
        )

    def _close(self, one: _Incoming) -> None:
        self._open.pop(one.manifest.file_id, None)
        self._closed.append(one.manifest.file_id)


def progressed(
    manifest: Manifest, peer: str, before: int, done: int, incoming: bool
) -> FileProgress | None:
    """Return an event for each further percent, and for the last byte."""
    step = max(manifest.size // 100, 1)
    if done // step == before // step and done < manifest.size:
        return None
    name = disk.safe_name(manifest.name)
    return FileProgress(manifest.file_id, peer, name, done, manifest.size, incoming)
