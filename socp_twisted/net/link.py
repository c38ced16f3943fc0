"""What does one WebSocket connection do?  Carry frames; decide nothing.  (SOCP 6)"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from autobahn.exception import Disconnected, PayloadExceededError
from autobahn.twisted.websocket import (
    WebSocketClientProtocol,
    WebSocketServerProtocol,
)
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import Connection
from twisted.logger import Logger

from socp_twisted.net.entrance import Entrance
from socp_twisted.net.gathering import Gathered, Gathering
from socp_twisted.net.outbox import Draft, Outbox
from socp_twisted.net.tls import Checked, tls_exporter
from socp_twisted.overlay.effects import LinkId
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.payloads import harmless
from socp_twisted.wire.vocabulary import (
    CLOSE_BUG,
    CLOSE_NORMAL,
    CLOSE_REFUSED,
    HANDSHAKE_TIMEOUT,
)

log = Logger()

BITE = 2048
"""Bytes that are read at a time: some hundred tiny frames cost 20 ms of a core."""

TURN = 0.01
"""Seconds for which one connection is read before it is others' turn."""

SMALL_PIECE = 1024
"""Bytes of a piece of a message, less than which it is counted like a whole one."""

MAX_REASON = 120
"""Bytes of a close reason: a control frame holds 125, two of them the code."""


class Owner(Protocol):
    """Whom links report to: the node."""

    limits: Limits
    entrance: Entrance
    gathering: Gathering

    def link_opened(self, link: "Link") -> None:
        """A WebSocket connection is open."""

    def frame_received(self, link: "Link", frame: bytes) -> None:
        """A message has come."""

    def piece_received(self, link: "Link") -> None:
        """A ping has come, or a small piece of a message: each costs like a frame."""

    def pong_received(self, link: "Link") -> None:
        """The other end has answered a ping."""

    def link_failed(self, link: "Link", code: int, reason: str) -> None:
        """The connection is to be closed, and nobody is there any more."""

    def link_closed(self, link: "Link", reason: str) -> None:
        """The connection is gone."""

    def seconds(self) -> float:
        """Return monotonic seconds."""

    def soon(self, call: Callable[[], None]) -> None:
        """Call back in the next turn of the reactor."""

    def is_turn_over(self) -> bool:
        """Say whether enough was read in this turn of the reactor."""


def shared_options(limits: Limits) -> dict[str, Any]:
    """Return the Autobahn options of both ends: its limits are off by default."""
    return {
        "failByDrop": False,  # a close frame with 1009, not a reset
        "maxFramePayloadSize": limits.frame,
        "maxMessagePayloadSize": limits.frame,
        "openHandshakeTimeout": HANDSHAKE_TIMEOUT,
        "closeHandshakeTimeout": 3,  # whole seconds: its timers truncate
        "echoCloseCodeReason": True,
    }


_SPENT = frozenset(
    {
        "_wskey",
        "http_request_params",
        "http_response_data",
        "http_status_line",
        "websocket_extensions",
        "websocket_extensions_in_use",
        "websocket_protocols",
        "websocket_key",
    }
)
"""What Autobahn keeps of the handshake."""

_OTHERS_TURN = "others' turn"
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Link:
    """
    One connection, in either direction.

    ``url`` is what was dialled, empty if the other end dialled us; ``fault`` is why the
    link was hung up, in words for the log.
    """

    id: LinkId
    owner: Owner
    outbox: Outbox
    url = ""
    pinned = False
    key = ""
    server_id = ""
    fault = ""
    opened = False
    _unread = b""
    _reading = False
    _paused_for: frozenset[str] = frozenset()

    # What Autobahn gives; declared, since it has no types.
    transport: Any
    peer: str
    state: int
    message_data: Any = None
    current_frame: Any = None
    current_frame_masker: Any = None

    def onOpen(self) -> None:
        """Count the connection; from here on Autobahn passes messages."""
        self.opened = True
        # Of no more use, and a kilobyte of each connection.
        self.http_request_data, self.http_headers = b"", _NO_HEADERS
        for name in _SPENT & self.__dict__.keys():
            setattr(self, name, None)
        # Autobahn means to, and swallows its own AttributeError: stalls of 40 ms.
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(True)
        self.outbox = Outbox(self._send, self.owner.seconds)
        self.transport.unregisterProducer()  # the HTTP channel's, behind a Site
        self._begin_writing()
        # What escapes here is lost in a Deferred while both ends stay open.
        try:
            self.owner.link_opened(self)
        except Exception:
            log.failure("bug while greeting {peer}", peer=self.peer)
            self.fail()

    def dataReceived(self, data: bytes) -> None:
        """
        Read in bites, so that others have their turn in between.

        Twisted reads 64 KiB at once: 10,000 pings would stop everybody for 0.7 s.
        """
        self._unread += data
        if not self._reading:
            self._read()

    def pause(self, reason: str) -> None:
        """Read no more, until this reason is gone and every other is."""
        self._paused_for |= {reason}
        self.transport.pauseProducing()

    def read_on(self, reason: str) -> None:
        """Read again, unless there is another reason not to."""
        self._paused_for -= {reason}
        if not self._paused_for:
            self._paused_for = Link._paused_for  # an empty set of its own is 200 bytes
            self.transport.resumeProducing()
        elif self._paused_for == {_OTHERS_TURN}:
            self.owner.soon(self._go_on_reading)

    def _read(self) -> None:
        if self.owner.is_turn_over():
            # Many were ready to be read at once: whoever waits for a clock comes first.
            self.pause(_OTHERS_TURN)
            if self._paused_for == {_OTHERS_TURN}:
                self.owner.soon(self._go_on_reading)
            return
        until = self.owner.seconds() + TURN
        self._reading = True
        try:
            while self._unread and not self._paused_for - {_OTHERS_TURN}:
                size = self._rest_of_frame() + BITE
                bite, self._unread = self._unread[:size], self._unread[size:]
                # What Autobahn's dataReceived does, but for a line of its own log,
                # which costs more to make than it takes to read a frame.
                self._dataReceived(bite)  # type: ignore[attr-defined]
                if self.owner.seconds() >= until:
                    break
        finally:
            self._reading = False
        if self._unread:
            self.pause(_OTHERS_TURN)
            if self._paused_for == {_OTHERS_TURN}:
                self.owner.soon(self._go_on_reading)
        elif _OTHERS_TURN in self._paused_for:
            self.read_on(_OTHERS_TURN)

    def _rest_of_frame(self) -> int:
        """Return how much more belongs to the frame that has begun: it is one thing."""
        if self.current_frame is None:
            return 0
        return int(self.current_frame.length - self.current_frame_masker.pointer())

    def _go_on_reading(self) -> None:
        if self._unread and self._paused_for == {_OTHERS_TURN} and not self._reading:
            self._read()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Pass one frame on; a bug of ours costs this link, not the process."""
        if self.fault:
            return  # we have hung up; what was on its way no longer counts
        try:
            self.owner.frame_received(self, payload)
        except Exception:
            log.failure("bug while reading a frame from {peer}", peer=self.peer)
            self.fail()

    def onMessageFrameBegin(self, length: int) -> None:
        """Count the further pieces of a message: there is no end to empty ones."""
        if self.opened and self.message_data and length < SMALL_PIECE:
            self.owner.piece_received(self)
        super().onMessageFrameBegin(length)  # type: ignore[misc]

    def onPing(self, payload: bytes) -> None:
        """Answer, and count it: the answers wait for whoever does not read them."""
        if self.opened:
            self.owner.piece_received(self)
        super().onPing(payload)  # type: ignore[misc]

    def onPong(self, payload: bytes) -> None:
        """Pass on that the other end is there."""
        if self.opened:
            self.owner.pong_received(self)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Report the end of the connection, once."""
        self._unread = b""
        reason = harmless(reason or "")  # their words, and on their way to the log
        if not self.opened:
            self.closed_unopened(reason)
            return
        self.opened = False
        self.outbox.close()
        if not self.fault:
            said = f"{code} {reason}".strip() if wasClean else "connection lost"
            self.fault = f"the other end closed the link ({said})"
        try:
            self.owner.link_closed(self, self.fault)
        except Exception:
            log.failure("bug while closing the link to {peer}", peer=self.peer)

    def closed_unopened(self, reason: str) -> None:
        """The connection ended before it was a WebSocket."""
        self.fault = self.fault or reason

    def hang_up(self, code: int, reason: str) -> None:
        """
        Close the link; a goodbye or a refusal comes after what is queued.

        The ERROR that says why still waits for its signature then.
        """
        if self.fault or not self.opened:
            return
        self.fault = reason
        if code in (CLOSE_NORMAL, CLOSE_REFUSED):
            self.outbox.when_empty(lambda: self._close(code, reason))
        else:
            self._close(code, reason)

    def fail(self) -> None:
        """Close the link for a bug of ours, which the log has."""
        try:
            # First: what is sent to them from here on would count as delivered.
            self.owner.link_failed(self, CLOSE_BUG, "internal error")
        except Exception:
            log.failure("bug while giving up {peer}", peer=self.peer)
        self.hang_up(CLOSE_BUG, "internal error")

    def ping(self) -> None:
        """Ask whether the other end is there."""
        self.sendPing()  # type: ignore[attr-defined]

    def drop(self) -> None:
        """Close now, whatever is queued."""
        self.outbox.close()
        self.dropConnection(abort=True)  # type: ignore[attr-defined]

    def is_secure(self) -> bool:
        """Say whether the connection is encrypted."""
        return bool(ISSLTransport.providedBy(self.transport))

    def tls_exporter(self) -> str:
        """Return what names this TLS connection and no other, or nothing (RFC 9266)."""
        return tls_exporter(self.transport)

    def remote_host(self) -> str:
        """Return the address that the TCP connection comes from or goes to."""
        return str(getattr(self.transport.getPeer(), "host", ""))

    def _begin_writing(self) -> None:
        self.transport.registerProducer(self.outbox, True)

    def _close(self, code: int, reason: str) -> None:
        self.outbox.close()
        text = reason.encode("utf-8")[:MAX_REASON].decode("utf-8", "ignore")
        self.sendClose(code, text)

    def _send(self, draft: Draft) -> None:
        # Who sends is somebody else, whose link must not pay for what is wrong with
        # this one, and who may have the same frame for others.
        try:
            self._write(draft)
        except Disconnected:
            pass  # the other end has said goodbye, and onClose comes once TCP is down
        except PayloadExceededError:  # our own max-frame, if it is lower than theirs
            log.warn("max-frame: not sent to {peer}, too large", peer=self.peer)
        except Exception:
            log.failure("bug while writing to {peer}", peer=self.peer)
            self.owner.soon(self.fail)

    def _write(self, draft: Draft) -> None:
        self.sendMessage(draft.frame, isBinary=False)

    def sendClose(self, code: int, reason: str) -> None:
        """Autobahn's."""
        super().sendClose(code, reason)  # type: ignore[misc]

    def sendMessage(self, frame: bytes, isBinary: bool) -> None:
        """Autobahn's."""
        super().sendMessage(frame, isBinary)  # type: ignore[misc]


class AcceptedLink(Link, WebSocketServerProtocol):
    """A connection that somebody opened to us."""

    _gathered: Gathered | None = None

    def sendData(self, data: bytes, sync: bool = False, chopsize: int = 0) -> None:
        """Autobahn's, for what is no message of ours: after those of this turn."""
        if self._gathered is not None:
            self._gathered.hand_over()
        super().sendData(data)

    def _begin_writing(self) -> None:
        if isinstance(self.transport, Connection):
            self.send_queue = ()  # for what is cut or synchronous: nothing here is
            self._gathered = Gathered(self.transport, self.owner.gathering, self.outbox)
        else:  # TLS has a buffer of its own in between
            super()._begin_writing()

    def _write(self, draft: Draft) -> None:
        # No masks and no compression towards a client: the same bytes for everybody.
        if self.state == self.STATE_OPEN:
            to = self.transport if self._gathered is None else self._gathered
            to.write(draft.wire or b"")

    def connectionLost(self, reason: Any = connectionDone) -> None:
        """Make room for another one."""
        self.owner.entrance.gone(self.transport)
        super().connectionLost(reason)


class DialledLink(Checked, Link, WebSocketClientProtocol):
    """A connection that we opened to a server."""
