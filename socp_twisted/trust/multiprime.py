"""
How does a server sign with four primes instead of two?  (RFC 8017 3.2, 5.2.1, 8.1)

The same RSA-4096 and the same signatures: 1.0 ms of a core each, where two primes take
3.3 ms, or 1.4 ms with AVX-512 IFMA.  ``cryptography`` refuses such keys; the system's
libcrypto takes them, and is called through ctypes, which lets go of the GIL meanwhile.

OpenSSL checks each result of the primes against the public key before it lets it out
(``rsa_ossl_mod_exp``), and works it out without them if it is wrong: one faulty
signature would tell the primes.
"""

import contextlib
import sys
import weakref
from collections.abc import Iterator
from ctypes import (
    CDLL,
    POINTER,
    PyDLL,
    addressof,
    byref,
    c_char_p,
    c_int,
    c_long,
    c_size_t,
    c_ulong,
    c_void_p,
    create_string_buffer,
)
from ctypes.util import find_library
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Self

from socp_twisted.errors import BadKey, ConfigurationError
from socp_twisted.trust.keys import PSS_SALT, PublicKey
from socp_twisted.trust.pkcs8 import der_of, pem_of, primes_in
from socp_twisted.wire.encoding import b64u_encode
from socp_twisted.wire.vocabulary import RSA_BITS, RSA_BYTES

MAX_PRIMES: Final = 4
"""What OpenSSL takes at 4096 bits."""

_EVP_PKEY_RSA: Final = 6

# Without argtypes and restype ctypes cuts 64-bit pointers to 32 bits.
_FUNCTIONS: Final[dict[str, tuple[Any, ...]]] = {
    "OpenSSL_version": (c_char_p, c_int),
    "OpenSSL_version_num": (c_ulong,),
    "ERR_clear_error": (None,),
    "ERR_get_error": (c_ulong,),
    "ERR_error_string_n": (None, c_ulong, c_char_p, c_size_t),
    "EVP_PKEY_CTX_new": (c_void_p, c_void_p, c_void_p),
    "EVP_PKEY_CTX_new_id": (c_void_p, c_int, c_void_p),
    "EVP_PKEY_CTX_free": (None, c_void_p),
    "EVP_PKEY_CTX_ctrl_str": (c_int, c_void_p, c_char_p, c_char_p),
    "EVP_PKEY_keygen_init": (c_int, c_void_p),
    "EVP_PKEY_keygen": (c_int, c_void_p, POINTER(c_void_p)),
    "EVP_PKEY_sign_init": (c_int, c_void_p),
    "EVP_PKEY_sign": (
        c_int,
        *(c_void_p, c_char_p, POINTER(c_size_t)),  # context, signature and its size
        *(c_char_p, c_size_t),  # digest and its size
    ),
    "EVP_PKEY_check": (c_int, c_void_p),
    "EVP_PKEY_free": (None, c_void_p),
    "EVP_PKCS82PKEY": (c_void_p, c_void_p),
    "EVP_PKEY2PKCS8": (c_void_p, c_void_p),
    "d2i_PKCS8_PRIV_KEY_INFO": (c_void_p, c_void_p, POINTER(c_char_p), c_long),
    "i2d_PKCS8_PRIV_KEY_INFO": (c_int, c_void_p, POINTER(c_void_p)),
    "PKCS8_PRIV_KEY_INFO_free": (None, c_void_p),
    "i2d_PUBKEY": (c_int, c_void_p, POINTER(c_void_p)),
}
"""Return type, then arguments, of each function: all are in 1.1.1 and in 3 alike."""

_LONG: Final = frozenset({"EVP_PKEY_keygen", "EVP_PKEY_check", "EVP_PKEY_sign"})
"""
Those during which others get the GIL.

To get it back from a busy reactor takes up to 5 ms: not ten times for a signature.
"""


class LibcryptoError(Exception):
    """A call of libcrypto failed; the text is from its own queue of errors."""


def names() -> Iterator[str]:
    """Return where libcrypto may be, the best first."""
    if sys.platform == "darwin":
        # Apple's own libcrypto.dylib, which find_library finds, ends the process.
        yield "/opt/homebrew/opt/openssl@3/lib/libcrypto.3.dylib"
        yield "/usr/local/opt/openssl@3/lib/libcrypto.3.dylib"
        yield "/opt/local/libexec/openssl3/lib/libcrypto.3.dylib"
        return
    for version in ("4", "3", "1.1"):
        yield f"libcrypto.so.{version}"
    found = find_library("crypto")  # runs ldconfig or a compiler, so it comes last
    if found is not None:
        yield found


@cache
def libcrypto() -> CDLL:
    """Return OpenSSL's libcrypto, 1.1.1 or later, or raise ``ConfigurationError``."""
    for name in names():
        with contextlib.suppress(OSError, AttributeError):  # no such file, or function
            lib, brief = CDLL(name), PyDLL(name)  # the second keeps the GIL
            for function, (result, *arguments) in _FUNCTIONS.items():
                bound = getattr(lib if function in _LONG else brief, function)
                bound.restype, bound.argtypes = result, arguments
                setattr(lib, function, bound)
            # LibreSSL counts its versions differently, and has no multi-prime keys.
            is_openssl = lib.OpenSSL_version(0).startswith(b"OpenSSL ")
            if is_openssl and lib.OpenSSL_version_num() >= 0x10101000:
                return lib
    raise ConfigurationError(
        "a key of more than two primes needs libcrypto of OpenSSL 1.1.1 or later, "
        "which is not on this machine"
    )


class _Pkey:
    """An ``EVP_PKEY`` of our own: any number of threads may sign with it at once."""

    def __init__(self, lib: CDLL, handle: int) -> None:
        """Own ``handle``: it is freed when nobody refers to this object any more."""
        self._lib = lib
        self._handle = handle
        # At the end of the process another thread may still be signing.
        weakref.finalize(self, lib.EVP_PKEY_free, handle).atexit = False

    @classmethod
    def generate(cls, lib: CDLL, primes: int) -> Self:
        """Make an RSA-4096 key, or raise ``LibcryptoError``."""
        lib.ERR_clear_error()
        handle = c_void_p()
        with _context(lib, lib.EVP_PKEY_CTX_new_id(_EVP_PKEY_RSA, None)) as context:
            _need(lib, lib.EVP_PKEY_keygen_init(context))
            _set(lib, context, "rsa_keygen_bits", str(RSA_BITS))
            _set(lib, context, "rsa_keygen_primes", str(primes))
            _need(lib, lib.EVP_PKEY_keygen(context, byref(handle)))
        assert handle.value is not None
        return cls(lib, handle.value)

    @classmethod
    def from_der(cls, lib: CDLL, der: bytes) -> Self:
        """Read PKCS#8 that is not encrypted, or raise ``LibcryptoError``."""
        lib.ERR_clear_error()
        info = lib.d2i_PKCS8_PRIV_KEY_INFO(None, byref(c_char_p(der)), len(der))
        _need(lib, info)
        try:
            handle = lib.EVP_PKCS82PKEY(info)
        finally:
            lib.PKCS8_PRIV_KEY_INFO_free(info)
        _need(lib, handle)
        return cls(lib, handle)

    def check(self) -> None:
        """Check that the numbers are a key, or raise ``LibcryptoError``: 0.1 s."""
        lib = self._lib
        lib.ERR_clear_error()
        with _context(lib, lib.EVP_PKEY_CTX_new(self._handle, None)) as context:
            _need(lib, lib.EVP_PKEY_check(context))

    def sign(self, digest: bytes) -> bytes:
        """Sign a SHA-256 digest with PSS, or raise ``LibcryptoError``."""
        lib = self._lib
        lib.ERR_clear_error()
        signature, size = create_string_buffer(RSA_BYTES), c_size_t(RSA_BYTES)
        # A context is one thread's; the key and what it caches are everybody's.
        with _context(lib, lib.EVP_PKEY_CTX_new(self._handle, None)) as context:
            _need(lib, lib.EVP_PKEY_sign_init(context))
            _set(lib, context, "rsa_padding_mode", "pss")
            _set(lib, context, "digest", "SHA256")
            _set(lib, context, "rsa_mgf1_md", "SHA256")
            _set(lib, context, "rsa_pss_saltlen", str(PSS_SALT))
            signed = lib.EVP_PKEY_sign(
                context, signature, byref(size), digest, len(digest)
            )
            _need(lib, signed)
        return signature.raw[: size.value]

    def to_der(self) -> bytes:
        """Return the PKCS#8 of the key, not encrypted."""
        lib = self._lib
        lib.ERR_clear_error()
        info = lib.EVP_PKEY2PKCS8(self._handle)
        _need(lib, info)
        try:
            return _encoded(lib, lib.i2d_PKCS8_PRIV_KEY_INFO, info)
        finally:
            lib.PKCS8_PRIV_KEY_INFO_free(info)

    def public_der(self) -> bytes:
        """Return the SubjectPublicKeyInfo of the key."""
        self._lib.ERR_clear_error()
        return _encoded(self._lib, self._lib.i2d_PUBKEY, self._handle)


@dataclass(frozen=True, slots=True)
class MultiPrimeKey:
    """
    An RSA-4096 key of three or four primes: it signs, and cannot decrypt.

    Who sees its public key or a signature of it cannot tell it from any other.
    """

    public: PublicKey
    primes: int
    _pkey: _Pkey = field(compare=False, repr=False)

    @classmethod
    def generate(cls, primes: int) -> Self:
        """
        Make a new key: a second of a core, less than two longer primes take.

        Raise ``ConfigurationError`` if there is no libcrypto, or it refuses.
        """
        try:
            return cls._of(_Pkey.generate(libcrypto(), primes), primes)
        except LibcryptoError as why:
            raise ConfigurationError(
                f"cannot make a key of {primes} primes: {why}"
            ) from why

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """
        Read a PKCS#8 PEM and check the key.

        Raise ``BadKey`` if it is none of three or four primes, or an unsound one, and
        ``ConfigurationError`` if there is no libcrypto to use it with.
        """
        primes = primes_in(pem)
        if not 2 < primes <= MAX_PRIMES:
            raise BadKey(f"the private key is not one of 3 to {MAX_PRIMES} primes")
        try:
            pkey = _Pkey.from_der(libcrypto(), der_of(pem))
            public = PublicKey.parse(b64u_encode(pkey.public_der()))
            pkey.check()
            # A libcrypto that is set up to refuse does so now, not at each frame.
            pkey.sign(bytes(32))
        except LibcryptoError as why:
            raise BadKey(f"the private key is unsound: {why}") from why
        return cls(public, primes, pkey)

    @classmethod
    def _of(cls, pkey: _Pkey, primes: int) -> Self:
        return cls(PublicKey.parse(b64u_encode(pkey.public_der())), primes, pkey)

    def sign(self, digest: bytes) -> bytes:
        """Return the RSASSA-PSS signature of a SHA-256 digest: 1 ms, without GIL."""
        return self._pkey.sign(digest)

    def to_pem(self) -> bytes:
        """Return the unencrypted PKCS#8 PEM."""
        return pem_of(self._pkey.to_der())


@contextlib.contextmanager
def _context(lib: CDLL, context: int | None) -> Iterator[int]:
    """Hold an ``EVP_PKEY_CTX``, and free it."""
    _need(lib, context)
    assert context is not None
    try:
        yield context
    finally:
        lib.EVP_PKEY_CTX_free(context)


def _set(lib: CDLL, context: int, name: str, value: str) -> None:
    """Set a parameter by name: what is a function in 3 is a macro in 1.1.1."""
    told = lib.EVP_PKEY_CTX_ctrl_str(context, name.encode(), value.encode())
    _need(lib, told)


def _need(lib: CDLL, result: int | None) -> None:
    """Raise ``LibcryptoError`` for what is no success: NULL, 0 or below."""
    if result is not None and result > 0:
        return
    reasons = []
    text = create_string_buffer(256)
    # All of them: what stays in the thread's queue would be taken for the next fault.
    while code := lib.ERR_get_error():
        lib.ERR_error_string_n(code, text, len(text))
        reasons.append(text.value.decode("ascii", "replace"))
    raise LibcryptoError("; ".join(reasons) or "libcrypto gives no reason")


def _encoded(lib: CDLL, encode: Any, value: int) -> bytes:
    """Return the DER that an ``i2d`` function makes of a value."""
    size = encode(value, None)
    _need(lib, size)
    der = create_string_buffer(size)
    _need(lib, encode(value, byref(c_void_p(addressof(der)))))
    return der.raw
