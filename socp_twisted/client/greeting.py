"""What do client and server say of themselves at the login?  (SOCP 9.1)"""

from dataclasses import dataclass
from typing import Any, Final, Self

from socp_twisted import __version__
from socp_twisted.client.fields import field_text
from socp_twisted.client.keystore import Account, Randomness
from socp_twisted.errors import ErrorCode, InvalidSignature, MalformedFrame, Refused
from socp_twisted.trust.signatures import verify
from socp_twisted.wire.envelope import Envelope, is_identifier
from socp_twisted.wire.vocabulary import (
    AGENT,
    CAP_ACKS,
    CAP_CHANNEL,
    EXTRA_ASKED,
    EXTRA_BLOCKS,
    EXTRA_CHANNEL,
    EXTRA_FILES,
    EXTRA_LARGE,
    EXTRA_RECEIPTS,
)

MAX_NAME: Final = 64
"""Characters of a display name: servers of this project drop longer ones."""

_EXTRAS: Final = [
    EXTRA_ASKED,
    EXTRA_BLOCKS,
    EXTRA_CHANNEL,
    EXTRA_FILES,
    EXTRA_LARGE,
    EXTRA_RECEIPTS,
]


def hello(account: Account, challenge: str, tls_exporter: str) -> dict[str, Any]:
    """
    Return the payload of USER_HELLO.

    ``challenge`` is for the server to sign, ``tls_exporter`` the channel binding (RFC
    9266) of the connection as we see it; "" without TLS.
    """
    assert account.key is not None
    payload = {
        "client": f"{AGENT}/{__version__}",
        "pubkey": account.key.public.text,
        "enc_pubkey": account.key.public.text,
        "nonce": challenge,
        "meta": {"extras": _EXTRAS, **_profile(account)},
    }
    if tls_exporter:
        payload["tls_exporter"] = tls_exporter
    return payload


def registration(account: Account, randomness: Randomness) -> dict[str, Any]:
    """Return the payload of USER_REGISTER, or raise ``Refused`` without a key."""
    if account.key is None:
        raise Refused(ErrorCode.BAD_KEY, "there is no key to register")
    payload: dict[str, Any] = {
        "user_id": account.user_id,
        "pubkey": account.key.public.text,
        "privkey_store": "",
        "pake_password": "",
    }
    if account.passphrase:
        secrets = account.secrets()
        payload["privkey_store"] = secrets.seal_key(account.key, randomness)
        payload["pake_password"] = secrets.pake_password(randomness)
    profile = _profile(account)
    if profile:
        payload["meta"] = profile
    return payload


def _profile(account: Account) -> dict[str, str]:
    name = account.display_name[:MAX_NAME]
    return {"display_name": name} if name else {}


@dataclass(frozen=True, slots=True)
class Greeting:
    """USER_HELLO_ACK of a server that shows its key, and has signed with it."""

    server_id: str
    nonce: str
    """For us to sign; "" if this server knows no such login."""
    answer: str
    """Our own number, under the server's signature."""
    tls_exporter: str
    """The TLS connection that the server vouches for, or ""."""
    is_ours: bool
    """Whether it is a server of this project."""
    confirms: bool
    """Whether it answers each delivery."""
    fans_out: bool
    """Whether it hands one public ciphertext to everybody who can read it."""

    @classmethod
    def read(cls, envelope: Envelope, pubkey: str) -> Self:
        """
        Check the signature by the key that is shown, and read the rest.

        Raise ``InvalidSignature``, ``BadKey`` or ``MalformedFrame``.
        """
        verify(envelope, pubkey)
        payload = envelope.payload
        server_id = field_text(payload, "server_id", 64, default=envelope.sender)
        if not is_identifier(server_id):
            raise MalformedFrame("payload.server_id must be an id")
        is_ours = field_text(payload, "agent", 64, default="") == AGENT
        told = payload.get("caps")
        caps = told if type(told) is list else []
        return cls(
            server_id=server_id,
            nonce=field_text(payload, "nonce", 64, default=""),
            answer=field_text(payload, "answer", 64, default=""),
            tls_exporter=field_text(payload, "tls_exporter", 64, default=""),
            is_ours=is_ours,
            confirms=is_ours or CAP_ACKS in caps,
            fans_out=CAP_CHANNEL in caps,
        )

    def check_answer(self, challenge: str) -> None:
        """Raise ``InvalidSignature`` if it is not our USER_HELLO that it answers."""
        proves = self.nonce or self.answer or self.is_ours
        if proves and self.answer != challenge:
            raise InvalidSignature("the server's answer belongs to another greeting")
