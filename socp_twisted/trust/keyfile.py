"""How does a server come by its key, and keep it?  (SOCP 4)"""

import contextlib
import json
from pathlib import Path
from typing import Any

from socp_twisted.errors import BadKey, ConfigurationError
from socp_twisted.trust.files import write_new
from socp_twisted.trust.keys import PrivateKey, SigningKey
from socp_twisted.trust.multiprime import MultiPrimeKey
from socp_twisted.trust.pkcs8 import primes_in


def load_or_make_key_file(
    path: Path, primes: int | None = None
) -> tuple[SigningKey, bool]:
    """
    Return the key of a server's key file, and whether it was made just now.

    The file is the original's: JSON with ``private_pem`` (PKCS#8) and
    ``pub_spki_b64u``, mode 0600.  It is never overwritten.  ``primes`` is how many a
    key must have, ``None`` any number, and two if it is made.  Raise
    ``ConfigurationError`` if the file cannot be read, is broken, cannot be made, has
    another number of primes, or has more than this machine can sign with.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        key = _generate(primes or 2)
        stored = {
            "private_pem": key.to_pem().decode("ascii"),
            "pub_spki_b64u": key.public.text,
        }
        try:
            write_new(path, json.dumps(stored, indent=2) + "\n")
        except FileExistsError:  # another process was faster
            return load_or_make_key_file(path, primes)
        except OSError as why:
            raise ConfigurationError(
                f"cannot make the key file {path}: {why.strerror}"
            ) from why
        return key, True
    except OSError as why:
        raise ConfigurationError(
            f"cannot read the key file {path}: {why.strerror}"
        ) from why
    except UnicodeDecodeError as why:
        raise ConfigurationError(f"the key file {path} is broken: not text") from why
    try:
        stored = json.loads(text)
        pem, told = stored["private_pem"].encode("ascii"), stored["pub_spki_b64u"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as why:
        raise ConfigurationError(
            f"the key file {path} is broken: not JSON with private_pem and "
            "pub_spki_b64u"
        ) from why
    key = _read(path, pem, told)
    if primes is not None and primes != key.primes:
        raise ConfigurationError(
            f"the key file {path} has a key of {key.primes} primes, not {primes}, and "
            "is never overwritten: name another file, for a new key"
        )
    if path.stat().st_mode & 0o077:
        with contextlib.suppress(OSError):  # somebody else's file: theirs to guard
            path.chmod(0o600)
    return key, False


def _generate(primes: int) -> SigningKey:
    if primes == 2:
        return PrivateKey.generate()
    return MultiPrimeKey.generate(primes)


def _read(path: Path, pem: bytes, told: Any) -> SigningKey:
    """Return a sound key that belongs to the public one beside it."""
    key: SigningKey
    try:
        if primes_in(pem) > 2:
            key = MultiPrimeKey.from_pem(pem)
        else:
            key = PrivateKey.from_pem(pem)
    except BadKey as why:
        raise ConfigurationError(f"the key file {path} is broken: {why}") from why
    except ConfigurationError as why:
        raise ConfigurationError(
            f"the key file {path} cannot be used here: {why}"
        ) from why
    if told != key.public.text:
        raise ConfigurationError(
            f"the key file {path} is broken: pub_spki_b64u is another key's"
        )
    return key
