"""Why is there no connection?  In a few words, for the log and for the user."""

from twisted.internet.error import (
    ConnectBindError,
    ConnectionRefusedError,
    DNSLookupError,
    NoRouteError,
    TCPTimedOutError,
    TimeoutError,
    UserError,
)
from twisted.python.failure import Failure

_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (ConnectionRefusedError, "connection refused"),
    (DNSLookupError, "name not found"),
    (NoRouteError, "unreachable: no route to host"),
    (TCPTimedOutError, "unreachable: no answer"),
    (ConnectBindError, "cannot use the local address"),
    (UserError, "given up"),
)


def why_not_connected(reason: Failure, timeout: float) -> str:
    """Return why nobody was reached; ``timeout`` is how many seconds were allowed."""
    if isinstance(reason.value, TimeoutError):
        return f"unreachable: no answer within {timeout:g} s"
    for kind, words in _WORDS:
        if isinstance(reason.value, kind):
            return words
    return f"unreachable: {reason.getErrorMessage()}"


def why_no_link(fault: str) -> str:
    """Return in our words what Autobahn said of a handshake that failed."""
    if "upgrade failed" in fault or "HTTP" in fault:
        return f"speaks HTTP but no WebSocket: {fault}"
    if "opening handshake timeout" in fault:
        return "accepts the connection but speaks no WebSocket: no answer within 10 s"
    if not fault or "peer dropped" in fault or "closed uncleanly" in fault:
        return "hung up in the middle of the handshake"
    return fault
