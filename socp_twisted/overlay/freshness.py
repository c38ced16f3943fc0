"""
Was this said now, to us, as this?  (SOCP 12 leaves it open)

The transport signature covers the payload alone, so whoever sees a frame could send its
payload again under another ``ts``, ``to`` or ``type``.  Between nodes of this project
the payload therefore says itself what it is: ``bound`` holds the type, the recipient,
the process that speaks and when it first did.  A node that says that it binds
(``caps``) is believed in nothing that is not bound.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from socp_twisted.errors import ErrorCode, Refused
from socp_twisted.overlay.directory import Server
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.wire.envelope import Envelope, word
from socp_twisted.wire.payloads import Binding
from socp_twisted.wire.vocabulary import CAP_BOUND, EVERYBODY, STATES


def bind(
    mesh: Mesh, kind: str, to: str, payload: Mapping[str, Any], at: int
) -> dict[str, Any]:
    """Return a payload of ours that says what it is; ``at`` is in milliseconds."""
    bound: dict[str, Any] = {"type": kind, "instance": mesh.instance, "at": at}
    if to != EVERYBODY:
        bound["to"] = to
    return {**payload, "bound": bound}


@dataclass(frozen=True, slots=True)
class Stamp:
    """When something was said: as it was signed, or, by others, as it was written."""

    at: int
    instance: str = ""

    @property
    def signed_at(self) -> int:
        """The time, if it is under the signature, else 0."""
        return self.at if self.instance else 0


def stamp(envelope: Envelope) -> Stamp:
    """Return when a frame was said."""
    told = envelope.payload.get("bound")
    if type(told) is not dict:
        return Stamp(envelope.ts)
    binding = Binding.read(told)
    return Stamp(binding.at, binding.instance)


def check(mesh: Mesh, server: Server | None, envelope: Envelope) -> None:
    """Raise ``Refused`` for a frame that was said as something else, or long ago."""
    told = envelope.payload.get("bound")
    if type(told) is not dict:
        if server is not None and CAP_BOUND in server.caps:
            raise Refused(
                ErrorCode.INVALID_SIG, f"{server.id} binds what it says; this is not"
            )
        return
    binding = Binding.read(told)
    if binding.type != envelope.type:
        signed, sent = word(binding.type), envelope.word
        raise Refused(ErrorCode.INVALID_SIG, f"signed as {signed}, sent as {sent}")
    if binding.to not in ("", envelope.to):
        raise Refused(ErrorCode.INVALID_SIG, "signed for another recipient")
    age = abs(mesh.now_ms - binding.at)
    if envelope.type not in STATES and age > mesh.limits.seen_age * 500:
        raise Refused(
            ErrorCode.INVALID_SIG,
            f"said {age // 1000} s ago, or a clock is wrong: at most "
            f"{mesh.limits.seen_age // 2} s (half of max-seen-age)",
        )


def is_history(server: Server, said: Stamp) -> bool:
    """Say whether this is of a process that has ended since."""
    return said.instance != "" and server.instance not in ("", said.instance)
