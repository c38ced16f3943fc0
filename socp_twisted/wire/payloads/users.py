"""What do users tell their server, and each other through it?  (SOCP 9.1, 9.2)"""

from dataclasses import dataclass
from typing import Any

from socp_twisted.wire.payloads.fields import (
    a_ciphertext,
    a_public_key,
    a_sha256,
    a_signature,
    an_id,
    is_bool,
    is_object,
    is_text,
    perhaps_an_id,
    wire_field,
)
from socp_twisted.wire.payloads.payload import Payload


def _secret(limit: int) -> Any:
    return wire_field(is_text(limit), f"text of {limit} characters", "", shown=False)


@dataclass(frozen=True, slots=True)
class UserHello(Payload):
    """USER_HELLO: who connects, with which key."""

    pubkey: str = a_public_key()
    enc_pubkey: str = a_public_key("")
    client: str = wire_field(is_text(128), "text", "")
    user_id: str = perhaps_an_id()  # where the envelope has no ``from``
    meta: dict[str, Any] = wire_field(is_object, "an object", dict)
    tls_exporter: str = wire_field(is_text(64), "text", "")  # of the client's TLS


@dataclass(frozen=True, slots=True)
class UserRegister(Payload):
    """USER_REGISTER: an account, for a password login or for none."""

    user_id: str = an_id()
    pubkey: str = a_public_key()
    privkey_store: str = _secret(16_384)
    pake_password: str = _secret(256)
    meta: dict[str, Any] = wire_field(is_object, "an object", dict)


@dataclass(frozen=True, slots=True)
class UserLogin(Payload):
    """
    USER_LOGIN: with a password (dialect), or a signature of our nonce (ours).

    ``fetch`` asks for the stored key and no more: they come in with that.
    """

    user_id: str = an_id()
    password: str = _secret(1024)
    proof: str = a_signature("")
    fetch: bool = wire_field(is_bool, "true or false", False)


@dataclass(frozen=True, slots=True)
class MsgDirect(Payload):
    """MSG_DIRECT and MSG_PUBLIC_CHANNEL from a user: sealed for one recipient."""

    ciphertext: str = a_ciphertext()
    sender_pub: str = a_public_key()
    content_sig: str = a_signature()
    sender: str = perhaps_an_id()  # dialect: in the payload, or in the envelope
    to: str = perhaps_an_id()
    recipient_key: str = a_sha256("")  # ours: of the text of the key it is sealed for
