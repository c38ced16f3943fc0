"""How fast is a file, beside the cryptography that it needs?"""

import os
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from socp_twisted.client.manifest import LARGE_CHUNK
from socp_twisted.trust.sealing import seal, unseal
from socp_twisted.wire.vocabulary import OAEP_MAX
from tests.benchmarks.lab import Child, Lab
from tests.benchmarks.measuring import Outcome, Quantity, beside, timed
from tests.keyring import key_of


def file_aes(lab: Lab) -> Outcome:
    """AES-256-GCM chunks; by hand, each chunk is sealed and opened."""
    data = os.urandom(lab.sizes.pick(20_000_000, 200_000))
    cipher = AESGCM(bytes(32))

    def by_hand() -> None:
        for start in range(0, len(data), LARGE_CHUNK):
            sealed = cipher.encrypt(bytes(12), data[start : start + LARGE_CHUNK], None)
            cipher.decrypt(bytes(12), sealed, None)

    return _beside(lab, data, by_hand, "aes")


def file_rsa(lab: Lab) -> Outcome:
    """RSA-OAEP, as the standard has it: by hand, each block is decrypted."""
    blocks = lab.sizes.pick(1000, 4)
    data = os.urandom(blocks * OAEP_MAX)
    key = key_of("bob")
    sealed = seal(key.public, data[:OAEP_MAX])

    def by_hand() -> None:
        for _ in range(blocks):
            unseal(key, sealed)

    return _beside(lab, data, by_hand, "rsa")


def _beside(lab: Lab, data: bytes, by_hand: Callable[[], None], way: str) -> Outcome:
    folder = lab.folder()
    path = folder / "file.bin"
    path.write_bytes(data)
    alice, bob = _clients(lab, folder)

    def send() -> None:
        alice.begin("send", to="bob-files", path=str(path), way=way)
        got = Path(bob.ask("got")["path"])
        alice.finish()
        if got.read_bytes() != data:
            raise RuntimeError("another file came")
        got.unlink()

    limits, loads = beside(lab.sizes, lambda: timed(by_hand), lambda: timed(send))
    return Outcome(
        [Quantity.of(hand / took for took, hand in zip(loads, limits, strict=True))],
        {
            "seconds": Quantity.of(loads),
            "seconds by hand": Quantity.of(limits),
            "MB/s": Quantity.of(len(data) / 1e6 / one for one in loads),
        },
        notes=[f"{len(data):,} bytes"],
    )


def _clients(lab: Lab, folder: Path) -> tuple[Child, Child]:
    """Log in two clients of this project, each in a process of its own."""
    url = lab.node().url
    people = [lab.child("tests.benchmarks.person", name) for name in ("alice", "bob")]
    for child, key in zip(people, ("alice", "bob"), strict=True):
        told = {"user_id": f"{key}-files", "home": str(folder / key), "key": key}
        child.begin("enter", url=url, **told)
    for child in people:
        child.finish()
    people[0].ask("meet", user_id="bob-files")
    return people[0], people[1]
