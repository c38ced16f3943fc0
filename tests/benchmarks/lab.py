"""Who starts the processes of a measurement, asks them, and ends them?"""

import contextlib
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.benchmarks.measuring import Sizes
from tests.certificates import Authority
from tests.keyfiles import PINS
from tests.keyring import key_of
from tests.plain_socp import FOLDERS
from tests.processes import Ports

ANSWER: Final = 300.0
"""Seconds that a question may take: a wave of logins is one."""

CROWD: Final = 60.0
"""Seconds that a row may spend on logging crowds in."""

RAISED: Final = (
    "--max-frames=1000000",
    "--max-stranger-frames=1000000",
    "--max-bytes=1000000000",
    "--max-connections=20000",
    "--max-accounts=100000",
    "--max-users=1000000",
    "--max-peer-frames=1000000",
    "--max-peer-bytes=1000000000",
    "--max-held=100000",
    "--max-held-in-all=1000000",
)
NOTE_RAISED: Final = "limits of the nodes under test are raised: " + " ".join(
    option.split("=")[0].removeprefix("--") for option in RAISED
)


class Child:
    """A process that answers questions on its standard output, one line each."""

    def __init__(self, module: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
        environ = {**os.environ, "PYTHONPATH": path}
        self._errors = (folder / "errors.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=folder,
            env=environ,
        )
        self._pending = b""

    def begin(self, do: str, **arguments: Any) -> None:
        """Ask a question; ``finish`` returns the answer."""
        assert self._process.stdin is not None
        line = json.dumps({"do": do, **arguments}).encode("ascii") + b"\n"
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except BrokenPipeError:
            self._give_up("is gone")

    def finish(self, seconds: float = ANSWER) -> dict[str, Any]:
        """Wait for the answer to the oldest question."""
        assert self._process.stdout is not None
        ends = time.monotonic() + seconds
        out = self._process.stdout.fileno()
        while b"\n" not in self._pending:
            ready, _, _ = select.select([out], [], [], max(0, ends - time.monotonic()))
            data = os.read(out, 65536) if ready else b""
            if not data:
                self._give_up("is gone" if ready else f"said nothing for {seconds} s")
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Ask, and wait for the answer."""
        self.begin(do, **arguments)
        return self.finish()

    def close(self) -> None:
        """Let the process end."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def end(self) -> None:
        """Wait for the end; insist after a while."""
        assert self._process.stdout is not None
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _give_up(self, what: str) -> None:
        told = (self.folder / "errors.log").read_text("utf-8", "replace")[-2000:]
        raise RuntimeError(f"{self.folder.name} {what}\n{told}")


class Server(Child):
    """A server under test."""

    def __init__(self, name: str, port: int, folder: Path, *, secure: bool) -> None:
        super().__init__("tests.benchmarks.node", folder)
        self.name, self.port = name, port
        self.url = f"{'wss' if secure else 'ws'}://127.0.0.1:{port}"

    def see(self) -> dict[str, Any]:
        """Return what it says of itself."""
        return self.ask("see")


class Lab:
    """The processes of one row; those of a smoke run are shared by all rows."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self._ports = Ports()
        self._home = tempfile.TemporaryDirectory(prefix="socp-benchmarks-")
        self._children: dict[str, Child] = {}
        self._count = 0
        self._crowded = 0.0
        """Seconds that this row has spent on logging crowds in."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.files = hard
        """How many files, and so connections, one process may have open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything."""
        self.end()
        self._ports.give_back()
        self._home.cleanup()

    def end(self) -> None:
        """End all processes; what comes next begins with new ones."""
        children, self._children = self._children, {}
        for child in children.values():
            child.close()
        for child in children.values():
            child.end()

    def row_over(self) -> None:
        """End what a row has started, unless the next one may use it again."""
        self._crowded = 0.0
        if not self.sizes.smoke:
            self.end()

    def folder(self) -> Path:
        """Return a new folder."""
        self._count += 1
        folder = Path(self._home.name) / str(self._count)
        folder.mkdir()
        return folder

    # -- nodes -------------------------------------------------------------------------

    def node(
        self,
        name: str = "srv-a",
        *options: str,
        signer: str = "",
        secure: bool = False,
        keyfile: Path | None = None,
    ) -> Server:
        """Return a node with a test key, or a file's; start it if there is none."""
        kind = f"{name} {signer} {secure} {options} {keyfile}"
        found = self._children.get(kind)
        if not isinstance(found, Server):
            found = self._start(name, options, signer, secure, keyfile)
            self._children[kind] = found
        return found

    def mesh(self, *names: str) -> list[Server]:
        """Return linked nodes: the first introduces the others."""
        first = self.node(names[0])
        pinned = f"--bootstrap={first.url}#{key_of(names[0]).public.text}"
        nodes = [first, *(self.node(name, pinned) for name in names[1:])]
        for node in nodes:
            self.until(lambda node=node: node.see()["links"] >= len(names) - 1)
        return nodes

    def until(self, condition: Any, seconds: float = 30.0) -> None:
        """Wait until something is so."""
        ends = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > ends:
                raise RuntimeError(f"nothing within {seconds:g} s")
            time.sleep(0.02)

    def bare(self) -> Server:
        """Return a server that is Autobahn alone."""
        found = self._children.get("bare")
        if not isinstance(found, Server):
            port = self._ports.take()
            found = Server("bare", port, self.folder(), secure=False)
            found.ask("bare", port=port)
            self._children["bare"] = found
        return found

    def load(self, which: str = "load") -> Child:
        """Return a process that loads whatever it is told to."""
        return self.child("tests.benchmarks.load", which)

    def crowd(self, load: Child, node: Server, names: list[str]) -> int:
        """
        Log many users in, while a row's crowds take no more than ``CROWD`` seconds.

        Return how many are in: where each login tells everybody of everybody, the time
        for all of them grows with the square of their number.
        """
        step = 50
        for start in range(0, len(names), step):
            if self._crowded > CROWD:
                return start
            told = load.ask("enter", url=node.url, names=names[start : start + step])
            self._crowded += told["seconds"]
        return len(names)

    def child(self, module: str, which: str = "") -> Child:
        """Return another process that answers questions."""
        kind = f"{module} {which}"
        if kind not in self._children:
            self._children[kind] = Child(module, self.folder())
        return self._children[kind]

    def _start(
        self,
        name: str,
        options: tuple[str, ...],
        signer: str,
        secure: bool,
        keyfile: Path | None,
    ) -> Server:
        folder = self.folder()
        port = self._ports.take()
        keyfile = keyfile or write_key_file(folder, name)
        told = [f"--server-id={name}", f"--port={port}", f"--keyfile={keyfile}"]
        told += ["--retry-delay=0.5", *RAISED, *options]
        if secure:
            told += certified(folder)
        server = Server(name, port, folder, secure=secure)
        server.ask("serve", signer=signer, options=told)
        return server


def write_key_file(folder: Path, name: str) -> Path:
    """Write the key file of a node that has a test key."""
    [pem] = [path for one in FOLDERS if (path := one / f"{name}.pem").exists()]
    public = PINS.get(name) or key_of(name).public.text
    path = folder / "key.json"
    path.write_text(
        json.dumps({"private_pem": pem.read_text("ascii"), "pub_spki_b64u": public})
    )
    path.chmod(0o600)
    return path


def certified(folder: Path) -> list[str]:
    """Return the options of a node that serves wss://, with a new certificate."""
    chain, key = Authority("benchmarks").issue().write(folder)
    return [f"--tls-cert={chain}", f"--tls-key={key}"]
