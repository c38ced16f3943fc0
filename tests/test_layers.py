"""Who may import whom?  The table of the rooms, kept by reading their source."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import socp_twisted

HOME = Path(socp_twisted.__file__).parent

PURE = ("errors", "wire")
NETWORK = {"OpenSSL", "autobahn", "service_identity", "twisted", "txaio", "zope"}
CLIENT = (*PURE, "trust", "client")
NODE = (*PURE, "trust", "overlay", "store", "net")
STORE = {"twisted.enterprise", "twisted.internet.defer", "twisted.internet.interfaces"}

# room, or one module of it -> what of ours, and what of others, it may import
ROOMS: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "errors": ((), set()),
    "wire": (PURE, set()),
    "trust": ((*PURE, "trust"), {"cryptography"}),
    "trust.signer": ((*PURE, "trust"), {"cryptography", "twisted"}),
    "overlay": ((*PURE, "overlay"), {"sortedcontainers"}),
    "store": ((*PURE, "store"), set()),
    "store.transactions": (
        ("store.transactions",),
        {*STORE, "twisted.internet.task", "twisted.python.failure"},
    ),
    "store.sqlite": ((*PURE, "store"), {*STORE, "twisted.logger"}),
    "net": (
        (*PURE, "trust", "overlay.effects", "overlay.admission", "net"),
        {*NETWORK, "cryptography"},
    ),
    "net.reasons": ((), NETWORK),
    "net.tls": (("errors", "wire.encoding"), {*NETWORK, "cryptography"}),
    "reader": ((*PURE, "trust", "overlay", "reader"), set()),
    "accounts": ((*NODE, "locks", "accounts"), {"twisted", "zope"}),
    "background": (("background",), {"twisted"}),
    "counting": ((*PURE, "overlay", "counting"), {"twisted"}),
    "pacing": ((*NODE, "pacing"), set()),
    "sender": ((*NODE, "sender"), set()),
    "pins": ((*NODE, "pins"), {"twisted", "zope"}),
    "portions": ((*NODE, "portions"), {"twisted"}),
    "locks": ((), {"twisted"}),
    "post": ((*NODE, "locks", "post"), {"twisted", "zope"}),
    "post.flow": (("locks",), set()),
    "turns": ((*NODE, "turns"), {"twisted", "zope"}),
    "performer": (
        (*NODE, "background", "pins", "portions", "post", "sender", "performer"),
        {"twisted"},
    ),
    "node": (
        (
            *NODE,
            "reader",
            "accounts",
            "background",
            "counting",
            "pacing",
            "performer",
            "pins",
            "portions",
            "post",
            "sender",
            "turns",
            "node",
        ),
        {"twisted", "zope"},
    ),
    "jsonlog": ((*PURE, "jsonlog"), {"twisted", "zope"}),
    "configuration": ((*PURE, "trust", "configuration"), {"yaml"}),
    "service": (("",), {*NETWORK, "cryptography"}),
    "tap": (("",), {"twisted", "zope"}),
    "command": (("",), {*NETWORK, "cryptography"}),
    "client": (CLIENT, {"cryptography"}),
    "client.worker": (CLIENT, {"cryptography", "twisted"}),
    "client.stream": (CLIENT, {"twisted"}),
    "client.online": (CLIENT, {"cryptography", "twisted"}),
    "client.dialing": ((*CLIENT, "net.reasons", "net.tls"), NETWORK),
    "client.connection": ((*CLIENT, "net.tls"), {*NETWORK, "cryptography"}),
    "client.terminal": (CLIENT, {*NETWORK, "prompt_toolkit"}),
}

# What has no clock, no chance and no outside, so that a test is one call.
IMPURE = {"asyncio", "datetime", "random", "secrets", "time", "uuid"}  # chance, time
IMPURE |= {"os", "socket", "subprocess", "threading"}  # and the system
CLOCKED = ("service", "tap", "command", "client.terminal", "client.connection")
REEXPORTING = ("client", "command", "post", "wire.payloads")


def is_in(name: str, rooms: tuple[str, ...]) -> bool:
    """Say whether a module is one of these rooms, or within one."""
    return any(room in ("", name) or name.startswith(f"{room}.") for room in rooms)


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Return each module of the package, its name without ``socp_twisted``."""
    for path in sorted(HOME.rglob("*.py")):
        parts = path.relative_to(HOME).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        yield name, ast.parse(path.read_text("utf-8"), str(path))


def imports(tree: ast.Module) -> Iterator[str]:
    """Return the full name of everything that is imported, anywhere in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def named(tree: ast.Module) -> set[str]:
    """Return what is imported, and each ``module.attribute`` that is used."""
    return set(imports(tree)) | {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


class LayerTests(SynchronousTestCase):
    """Each room uses only those before it, and the core has no clock and no I/O."""

    def test_table(self) -> None:
        """No module imports what its row of the table does not name."""
        forbidden = []
        for name, tree in modules():
            if name == "":
                continue
            row = name if name in ROOMS else name.partition(".")[0]
            row = "client.terminal" if name.startswith("client.terminal") else row
            self.assertIn(row, ROOMS, f"{name}: give the room a row in the table")
            ours, theirs = ROOMS[row]
            for full in imports(tree):
                top, _, rest = full.partition(".")
                if top == "socp_twisted":
                    allowed = rest == "__version__" or is_in(rest, ours)
                else:
                    allowed = top in sys.stdlib_module_names
                    allowed = allowed or is_in(full, tuple(theirs))
                if not allowed:
                    forbidden.append(f"{name} may not import {full}")
        self.assertEqual(forbidden, [])

    def test_pure(self) -> None:
        """The wire and the overlay ask no clock, no chance and no system."""
        for name, tree in modules():
            if is_in(name, ("wire", "overlay")):
                used = {full.partition(".")[0] for full in imports(tree)}
                self.assertEqual(used & IMPURE, set(), name)
                kinds = {type(node) for node in ast.walk(tree)}
                self.assertNotIn(ast.AsyncFunctionDef, kinds, name)

    def test_time_comes_in(self) -> None:
        """The global reactor and the wall clock are named at the outer edge alone."""
        for name, tree in modules():
            if not is_in(name, CLOCKED) and not name.startswith("client.terminal"):
                clocks = {"time.time", "twisted.internet.reactor", "datetime.now"}
                self.assertEqual(named(tree) & clocks, set(), name)

    def test_belief(self) -> None:
        """``Verified`` is made where signatures are checked, and nowhere else."""
        makers = {
            name
            for name, tree in modules()
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Verified"
        }
        self.assertEqual(makers, {"trust.signatures"})

    def test_inits(self) -> None:
        """An ``__init__`` is a docstring; some hand on names, one has the version."""
        for path in sorted(HOME.rglob("__init__.py")):
            tree = ast.parse(path.read_text("utf-8"))
            self.assertTrue(ast.get_docstring(tree), f"{path} has no docstring")
            room = ".".join(path.parent.relative_to(HOME).parts)
            rest = [ast.unparse(node) for node in tree.body[1:]]
            if room == "":
                rest = [line for line in rest if not line.startswith("__version__ = ")]
            elif room in REEXPORTING:
                handed_on = ("from socp_twisted.", "__all__ = ")
                rest = [line for line in rest if not line.startswith(handed_on)]
            self.assertEqual(rest, [], str(path))

    def test_maps(self) -> None:
        """The package, the client and the post in it, tell a newcomer of each room."""
        for room in (HOME, HOME / "client", HOME / "post"):
            tree = ast.parse((room / "__init__.py").read_text("utf-8"))
            told = ast.get_docstring(tree) or ""
            for path in sorted(room.iterdir()):
                if path.suffix == ".py" or (path / "__init__.py").exists():
                    if path.stem != "__init__":
                        self.assertIn(f"``{path.stem}``", told, f"the map of {room}")
