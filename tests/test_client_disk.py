"""What may the name of a stranger's file do to us, and what becomes of the file?"""

import os
import stat
import time
from pathlib import Path

from hypothesis import given, settings
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client.disk import MAX_NAME, Draft, replace, safe_name
from socp_twisted.client.display import invisible
from tests.strategies import nasty


class NameTests(SynchronousTestCase):
    """A received name is one plain file in the folder."""

    def test_names(self) -> None:
        """Paths, hidden files, escapes and devices."""
        for told, kept in (
            ("../../etc/passwd", "passwd"),
            ("C:\\Windows\\evil.exe", "evil.exe"),
            ("/", "file"),
            ("..", "file"),
            ("", "file"),
            (".bashrc", "bashrc"),
            ("\x1b[2Jname\n.txt", "[2Jname.txt"),
            ("photo\u202egpj.exe", "photogpj.exe"),
            ("CON.txt", "_CON.txt"),
            ("a:b*c?.txt", "a_b_c_.txt"),
            ("x. ", "x"),
            ("Übung 日本.pdf", "Übung 日本.pdf"),
        ):
            self.assertEqual(safe_name(told), kept)

    def test_long(self) -> None:
        """A long name is cut at a character, and keeps its ending."""
        name = safe_name("ü" * 300 + ".tar")
        self.assertLessEqual(len(name.encode()), MAX_NAME)
        self.assertTrue(name.endswith("ü.tar"))

    @settings(max_examples=300, deadline=None)
    @given(nasty)
    def test_any(self, told: str) -> None:
        """Whatever is asked for: one visible name of bounded length, and stable."""
        name = safe_name(told)
        self.assertEqual(Path("/folder", name).parent, Path("/folder"))
        self.assertNotIn(name[0], ". ")
        self.assertLessEqual(len(name.encode()), MAX_NAME)
        self.assertFalse(any(invisible(char) for char in name))
        self.assertEqual(safe_name(name), name)


class DraftTests(SynchronousTestCase):
    """A file has its name only when it is whole."""

    def test_keep(self) -> None:
        """Nothing is ever overwritten: the next free number is taken."""
        folder = Path(self.mktemp())
        names = []
        for content in (b"one", b"two", b"three"):
            draft = Draft(folder)
            draft.write(content)
            names.append(draft.keep("a.tar.gz").name)
        self.assertEqual(names, ["a.tar.gz", "a.tar (1).gz", "a.tar (2).gz"])
        self.assertEqual((folder / names[0]).read_bytes(), b"one")
        self.assertEqual(len(list(folder.iterdir())), 3)

    def test_no_links(self) -> None:
        """On a file system without hard links nothing is overwritten either."""

        def link(*_: object) -> None:
            raise PermissionError

        self.patch(os, "link", link)
        self.test_keep()

    def test_abandoned(self) -> None:
        """What a killed client left is removed by the next; what grows is not."""
        folder = Path(self.mktemp())
        dead, alive, other = Draft(folder), Draft(folder), folder / ".socp-notes"
        other.write_text("mine")
        two_hours_ago = time.time() - 7200
        left = {path.name for path in folder.iterdir()}
        os.utime(dead._path, (two_hours_ago, two_hours_ago))
        os.utime(other, (two_hours_ago, two_hours_ago))
        next_one = Draft(folder)
        self.assertEqual(
            {path.name for path in folder.iterdir()},
            (left - {dead._path.name}) | {next_one._path.name},
        )
        for draft in (dead, alive, next_one):
            draft.discard()

    def test_discard(self) -> None:
        """Nothing stays, however often it is said."""
        folder = Path(self.mktemp())
        draft = Draft(folder)
        draft.write(b"part")
        draft.discard()
        draft.discard()
        self.assertEqual(list(folder.iterdir()), [])


class ReplaceTests(SynchronousTestCase):
    """What is private is so from its first byte on, and in its folder."""

    def test_s22_private(self) -> None:
        """File and folder are their owner's alone, also in place of an older file."""
        path = Path(self.mktemp()) / "known_users.json"
        for text in ("one", "two"):
            replace(path, text)
            modes = [stat.S_IMODE(one.stat().st_mode) for one in (path.parent, path)]
            self.assertEqual(modes, [0o700, 0o600])
            self.assertEqual(path.read_text(), text)
            path.chmod(0o644)
        self.assertEqual(list(path.parent.iterdir()), [path])
