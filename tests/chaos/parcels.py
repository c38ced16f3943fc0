"""Which bytes are in a file that is sent in a run?  They follow from its name."""

import random
from pathlib import Path


def _content(text_id: str, size: int) -> bytes:
    return random.Random(text_id).randbytes(size)


def pack(folder: Path, text_id: str, size: int) -> Path:
    """Write the file ``text_id`` of ``size`` bytes; return where it is."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{text_id}.bin"
    path.write_bytes(_content(text_id, size))
    return path


def unpack(path: Path) -> tuple[str, bool]:
    """Return which file this is, and whether it holds what was sent."""
    # A second copy of m7.bin would be called "m7 (1).bin".
    text_id = path.stem.partition(" ")[0]
    found = path.read_bytes()
    return text_id, found == _content(text_id, len(found))
