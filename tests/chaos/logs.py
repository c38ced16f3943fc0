"""What must no log of a node hold?  Plaintext, secrets, and errors nobody expected."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

# 32 bytes in base64url are 43 characters: nonces, keys, signatures and ciphertexts are
# at least as long, and no honest word of a log is.
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43,}")
_BUG: Final = re.compile(r"Traceback|Unhandled|\bbug while\b|#critical\]|PRIVATE KEY")


def find_faults(
    logs: Mapping[str, Iterable[str]], secrets: Iterable[str]
) -> list[tuple[str, str]]:
    """Return log name and line for each line that should not be there."""
    words = [word for word in secrets if word]
    return [
        (name, line)
        for name, lines in logs.items()
        for line in lines
        if _BUG.search(line)
        or _SECRET.search(line)
        or any(word in line for word in words)
    ]
