"""Key files and pins for tests: the vectors' keys, so that none has to be made."""

import json
from pathlib import Path
from typing import Final

from tests.keyring import pem_of, pub_of
from tests.vector_files import vectors

PINS: Final[dict[str, str]] = vectors("keys")["public_keys"]
BAD_PINS: Final = vectors("keys")["bad_public_keys"]


def write_key_file(path: Path, name: str) -> Path:
    """Write the key file of one of the tests' servers, as the original writes it."""
    stored = {
        "private_pem": pem_of(name).decode("ascii"),
        "pub_spki_b64u": pub_of(name),
    }
    path.write_text(json.dumps(stored), "utf-8")
    path.chmod(0o600)
    return path
