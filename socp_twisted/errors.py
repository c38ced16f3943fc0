"""
What can be wrong, and what is a peer told about it?  (SOCP 9.5)

::

    SocpError
      MalformedFrame    the bytes are no envelope, or a payload lacks what it must have
      BadKey            not an RSA-4096 public key
      InvalidSignature  a signature is missing or does not verify
      Refused           well formed and believed, but the rules forbid it
    ConfigurationError  an option, a key file or a database that cannot be used

The text of an error is for the operator and the log; its code is for the peer.
"""

from enum import StrEnum


class ErrorCode(StrEnum):
    """
    The codes of an ERROR frame: the standard's, then ours.

    The standard's six do not cover a frame that cannot be read or a limit that was
    reached; implementations print codes that they do not know.
    """

    USER_NOT_FOUND = "USER_NOT_FOUND"
    INVALID_SIG = "INVALID_SIG"
    BAD_KEY = "BAD_KEY"
    TIMEOUT = "TIMEOUT"
    UNKNOWN_TYPE = "UNKNOWN_TYPE"
    NAME_IN_USE = "NAME_IN_USE"
    MALFORMED = "MALFORMED"
    NOT_ALLOWED = "NOT_ALLOWED"
    LIMIT = "LIMIT"


class SocpError(Exception):
    """A peer's fault: it is told the code and the text, and nothing else happens."""

    code = ErrorCode.MALFORMED


class MalformedFrame(SocpError):
    """The bytes are no SOCP frame; the text names the field at fault."""


class BadKey(SocpError):
    """Not the base64url of an RSA-4096 SubjectPublicKeyInfo."""

    code = ErrorCode.BAD_KEY


class InvalidSignature(SocpError):
    """A signature is missing, or does not verify with the key that we hold."""

    code = ErrorCode.INVALID_SIG


class Refused(SocpError):
    """The rules of the overlay forbid this."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class ConfigurationError(Exception):
    """One sentence for the operator: what cannot be used, and why."""
