"""What becomes of messages when the disk is full?  A real node on a real full disk."""

import resource
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from tests.plain_socp import Frame, b64u, content_bytes
from tests.processes import NodeProcess, ProcessTestCase
from tests.sockets import Stranger

FULL = "the message cannot be kept: the disk refuses"
TEXT = bytes(512 * 100)
"""50 KiB that pass for a ciphertext; nobody here decrypts anything."""


class Disk(ABC):
    """A place for a database, which can be filled up and emptied again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def fill(self, node: NodeProcess | None) -> None:
        """Leave no room for anything."""

    @abstractmethod
    def empty(self, node: NodeProcess | None) -> None:
        """Make room."""


class SmallDisk(Disk):
    """A file system of 8 MiB in memory: it really is full (ENOSPC)."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
        subprocess.run(mount, check=True, capture_output=True)

    def fill(self, node: NodeProcess | None) -> None:
        """Write until nothing can be written."""
        with open(self.folder / "ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError:
                return

    def empty(self, node: NodeProcess | None) -> None:
        """Delete what was written."""
        (self.folder / "ballast").unlink()

    def unmount(self) -> None:
        """Give it back."""
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


class SmallFiles(Disk):
    """Files of this process, and of a node, may grow no more (EFBIG)."""

    def fill(self, node: NodeProcess | None) -> None:
        """Allow nothing beyond what the files have now."""
        sizes = [one.stat().st_size for one in self.folder.iterdir()]
        self._allow(node, max([4096, *sizes]))

    def empty(self, node: NodeProcess | None) -> None:
        """Allow everything."""
        self._allow(node, resource.RLIM_INFINITY)

    def _allow(self, node: NodeProcess | None, size: int) -> None:
        pid = 0 if node is None else node.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


class FullDiskTests(ProcessTestCase):
    """Nothing that was acknowledged is lost, and nothing lost is acknowledged."""

    def disk(self, *, small_files: bool = False) -> Disk:
        """Return a disk that can be full, as far as this system lets us have one."""
        folder = (self._home / f"disk-{len(list(self._home.iterdir()))}").absolute()
        folder.mkdir()
        if not small_files:
            try:
                disk = SmallDisk(folder)
            except (OSError, subprocess.CalledProcessError):
                return SmallFiles(folder)  # only root may mount
            self.addCleanup(disk.unmount)
            return disk
        return SmallFiles(folder)

    async def write(self, sender: Stranger, to: str) -> Frame:
        """Send a message; return the ACK or the ERROR that answers it."""
        ts = sender.now()
        sig = sender.key.sign(content_bytes(TEXT, sender.name, to, ts))
        payload = {"ciphertext": b64u(TEXT), "content_sig": sig}
        payload["sender_pub"] = sender.key.public
        sender.say("MSG_DIRECT", to, payload, ts=ts, id=f"m{ts}")

        def answers() -> list[Frame]:
            return [
                one
                for one in [*sender.heard("ACK"), *sender.heard("ERROR")]
                if one["payload"].get("msg_ref") == f"m{ts}"
            ]

        await self.watch.until(answers, 10, sender.story)
        [answer] = answers()
        return {**answer["payload"], "message_ts": ts}

    async def refused(self, sender: Stranger, to: str) -> tuple[list[int], str]:
        """Write until it is refused; return what was taken, and why not more."""
        taken: list[int] = []
        for _ in range(120):
            answer = await self.write(sender, to)
            if "code" in answer:
                self.assertEqual(answer["code"], "LIMIT")
                return taken, answer["detail"]
            taken.append(answer["message_ts"])
        raise AssertionError("the disk was never full")

    async def check(self, disk: Disk, sentence: str) -> None:
        """Fill the disk of a node that runs, make room, kill it, and count."""
        node = self.node("srv-a")
        node.configure((), "--db", str(disk.folder / "socp.db"))
        await self.start(node)
        carol = await self.user("carol", node, key="srv-e")
        carol.close()
        alice, bob = await self.user("alice", node), await self.user("bob", node)
        kept = [(await self.write(alice, "carol"))["message_ts"] for _ in range(3)]
        disk.fill(node)
        taken, why = await self.refused(alice, "carol")
        self.assertEqual(why, FULL)
        kept += taken
        answer = await self.write(bob, "carol")  # refused again, not logged again
        self.assertEqual(answer["detail"], FULL)
        self.assertIsNone(alice.closed or bob.closed)
        disk.empty(node)
        kept.append((await self.write(alice, "carol"))["message_ts"])
        self.assertEqual((await self.write(alice, "bob"))["status"], "delivered")
        said = [line for line in node.lines if "the database" in line]
        path = disk.folder / "socp.db"
        self.assertEqual(
            said,
            [
                f"the database {path} {sentence}; trying on",
                f"the database {path} works again",
            ],
        )
        await self.kill(node)
        await self.start(node)
        carol = await self.user("carol", node, key="srv-e")
        await self.watch.until(
            lambda: len(carol.heard("USER_DELIVER")) >= len(kept), 10, carol.story
        )
        told: list[Any] = [one["payload"]["ts"] for one in carol.heard("USER_DELIVER")]
        self.assertEqual(told, kept)

    async def test_full(self) -> None:
        """Senders are told, the log says it once, and it goes on with room again."""
        disk = self.disk()
        if isinstance(disk, SmallDisk):
            await self.check(disk, "cannot grow: the disk is full")
        else:
            await self.check(disk, "cannot be read or written")

    async def test_files_too_large(self) -> None:
        """The same where files may not grow: a quota, or a limit of the system."""
        await self.check(self.disk(small_files=True), "cannot be read or written")

    async def test_full_at_start(self) -> None:
        """A node that cannot make its database says so in a sentence, and ends."""
        node, disk = self.node("srv-a"), self.disk()
        node.configure((), "--db", str(disk.folder / "socp.db"))
        disk.fill(None)
        node.start()
        if isinstance(disk, SmallFiles):
            disk.empty(None)  # this process may write again; the node may not
        await self.until(lambda: node.code is not None, 20, node)
        self.assertEqual(node.code, 1)
        self.assertRegex(
            node.lines[-1],
            r"\Asocp: (the|cannot open the) database .*socp.db.*"
            r"(the disk is full|cannot be read or written|No space left on device)\Z",
        )
