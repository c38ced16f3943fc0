"""
What does a frame mean, given who sent it?  Parsed, verified, and put to the rules.

Here the three types meet that carry the security argument: bytes become an
``Envelope``, which is well formed; a server's becomes ``Verified``, which is believed;
and only then does a rule see it.
"""

from collections.abc import Callable, Iterable

from socp_twisted.errors import (
    BadKey,
    ErrorCode,
    InvalidSignature,
    MalformedFrame,
    Refused,
    SocpError,
)
from socp_twisted.overlay import admission, attendance
from socp_twisted.overlay.effects import Answer, Effect, HangUp
from socp_twisted.overlay.party import Party, Stage
from socp_twisted.overlay.router import Router
from socp_twisted.trust.keys import public_key
from socp_twisted.trust.signatures import (
    check,
    direct_content,
    public_content,
    trust_link,
    verify,
)
from socp_twisted.wire.encoding import b64u_decode
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.payloads import MsgDirect, harmless
from socp_twisted.wire.vocabulary import (
    ACK,
    CLOSE_NORMAL,
    CLOSE_REFUSED,
    CTRL_CLOSE,
    ERROR,
    FIRST_OF_SERVER,
    MSG_DIRECT,
    MSG_PUBLIC_CHANNEL,
    SERVER_WELCOME,
)


def is_key(text: str) -> bool:
    """Say whether this is an RSA-4096 public key as on the wire."""
    try:
        public_key(text)
    except BadKey:
        return False
    return True


class Reader:
    """Turns frames into effects; performs none of them."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.mesh = router.mesh

    def parse(self, party: Party, frame: bytes) -> Envelope:
        """Read a frame; a server's has all its fields, a user's may lack some."""
        envelope = Envelope.parse(frame, complete=party.is_server)
        if envelope.type in FIRST_OF_SERVER and not party.is_server:
            return Envelope.parse(frame)
        return envelope

    def read(self, party: Party, envelope: Envelope) -> Iterable[Effect]:
        """Say what follows, in order; raise ``SocpError``."""
        return _BY_STAGE[party.stage](self, party, envelope)

    def _read_fresh(self, party: Party, envelope: Envelope) -> Iterable[Effect]:
        if envelope.type in FIRST_OF_SERVER:
            return self._read_claim(party, envelope)
        if envelope.type == CTRL_CLOSE:
            return self.router.receive_from_user(party, envelope)
        raise Refused(ErrorCode.NOT_ALLOWED, f"{envelope.word}: log in first")

    def _read_claim(self, party: Party, envelope: Envelope) -> Iterable[Effect]:
        key = admission.key_for(self.mesh, party, envelope)
        effects = admission.admit(self.mesh, party, verify(envelope, key))
        if party.stage is Stage.SERVER and envelope.type not in FIRST_OF_SERVER:
            # A server of others proved itself with a frame that says something, too.
            return [*effects, *self._read_server(party, envelope)]
        return effects

    def _read_dialled(self, party: Party, envelope: Envelope) -> Iterable[Effect]:
        if envelope.type == SERVER_WELCOME:
            return self._read_claim(party, envelope)
        if envelope.type == ERROR:
            told = f"{envelope.payload.get('code')}: {envelope.payload.get('detail')}"
            return [
                HangUp(party.link, CLOSE_NORMAL, f"refused: {harmless(told[:200])}")
            ]
        if envelope.type in FIRST_OF_SERVER:
            sentence = "speaks WebSocket but not SOCP: it echoes"
            return [HangUp(party.link, CLOSE_REFUSED, sentence)]
        return []  # gossip before the WELCOME: the synchronisation repeats it

    def _read_server(self, party: Party, envelope: Envelope) -> Iterable[Effect]:
        if self.router.is_duplicate(envelope) or self.router.is_premature(envelope):
            return []
        key = self.router.key_for(envelope)
        if party.tls_bound and not envelope.sig:
            us = self.mesh.server_id
            verified = trust_link(envelope, key, sender=party.name, to=us)
        else:
            verified = verify(envelope, key)
        return self.router.receive(party, verified)

    def _read_greeted(self, party: Party, envelope: Envelope) -> Iterable[Effect]:
        """Let a user in whose first message is signed; the standard has no login."""
        if envelope.type == CTRL_CLOSE:
            return self.router.receive_from_user(party, envelope)
        if envelope.type not in (MSG_DIRECT, MSG_PUBLIC_CHANNEL) or party.must_log_in:
            raise Refused(ErrorCode.NOT_ALLOWED, f"{envelope.word}: log in first")
        spoken, now = self.mesh.spoken, self.mesh.now_ms
        spoken.check(party.name, party.key, envelope.ts, now)
        told = MsgDirect.read(envelope.payload)
        ciphertext = b64u_decode(told.ciphertext)
        if envelope.type == MSG_DIRECT:
            content = direct_content(
                ciphertext, party.name, told.to or envelope.to, envelope.ts
            )
        else:
            content = public_content(ciphertext, party.name, envelope.ts)
        check(public_key(party.key), content, told.content_sig)
        return list(attendance.enter(self.mesh, party))

    def _read_user(self, party: Party, envelope: Envelope) -> Iterable[Effect]:
        return self.router.receive_from_user(party, envelope)

    def _read_nothing(self, party: Party, envelope: Envelope) -> Iterable[Effect]:
        return []

    # -- what was wrong ----------------------------------------------------------------

    def complaint(
        self, party: Party, envelope: Envelope | None, fault: SocpError
    ) -> list[Effect]:
        """Say how to tell it; a link that is not up yet ends with it."""
        kind = envelope.type if envelope is not None else "a frame"
        if kind in (ERROR, ACK):
            return []  # or two servers would answer each other for ever
        if party.stage is Stage.DIALLED:
            return [HangUp(party.link, CLOSE_REFUSED, _why_no_welcome(kind, fault))]
        reference = envelope.id if envelope is not None else ""
        answer = Answer(party.link, fault.code, str(fault), reference)
        is_claim = party.stage is Stage.FRESH and kind in FIRST_OF_SERVER
        if party.stage is Stage.CLAIMED or is_claim:
            return [answer, HangUp(party.link, CLOSE_REFUSED, str(fault))]
        return [answer]


def _why_no_welcome(kind: str, fault: SocpError) -> str:
    """Say why a server that we dialled is not the one that we expect there."""
    if kind == SERVER_WELCOME and isinstance(fault, InvalidSignature):
        return f"its SERVER_WELCOME is not signed with the key pinned for it: {fault}"
    if isinstance(fault, MalformedFrame):
        return f"speaks WebSocket but not SOCP: {fault}"
    return str(fault)


_BY_STAGE: dict[Stage, Callable[[Reader, Party, Envelope], Iterable[Effect]]] = {
    Stage.FRESH: Reader._read_fresh,
    Stage.DIALLED: Reader._read_dialled,
    Stage.CLAIMED: Reader._read_claim,
    Stage.SERVER: Reader._read_server,
    Stage.GREETED: Reader._read_greeted,
    Stage.USER: Reader._read_user,
    Stage.CLOSING: Reader._read_nothing,
}
