"""Do nodes find each other over TLS, and keep their certificates up to date?"""

import ssl
from pathlib import Path
from socket import create_connection
from typing import Any

from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client import events as told
from socp_twisted.net.mesh import MeshService
from socp_twisted.overlay.effects import Heard
from socp_twisted.tap import Options, makeService
from socp_twisted.wire.limits import Limits
from tests.certificates import GOOD, OURS, Certificate
from tests.keyfiles import write_key_file
from tests.processes import NodeProcess, ProcessTestCase
from tests.secure_nodes import SecureCase


class MeshTests(SecureCase):
    """A mesh over TLS is a mesh, also with servers that were only heard of."""

    async def test_mesh(self) -> None:
        """Two pin the first, and hear of each other; a message goes across."""
        with capturedLogs() as events:
            a = await self.node("srv-a")
            b = await self.node("srv-b", (a.url, "srv-a"))
            await self.until(lambda: b.linked() == ["srv-a"])
            c = await self.node("srv-c", (a.url, "srv-a"))
            await self.until(lambda: c.linked() == ["srv-a", "srv-b"])
        dialled = {
            text.rpartition(" ")[2]
            for text in map(formatEvent, events)
            if text and text.startswith("[bootstrap] successfully connected to ")
        }
        self.assertIn(a.url, dialled)
        # That one runs on this machine, so it is dialled where it was seen.
        learnt = {one.url.replace("localhost", "127.0.0.1") for one in (b, c)}
        self.assertEqual(len(dialled & learnt), 1)
        for node in (a, b, c):
            parties = node.service.node.mesh.parties.values()
            self.assertEqual([one.secure for one in parties], [True, True])
        alice, bob = await self.user("alice", b), await self.user("bob", c)
        self.assertIn(
            True,
            [one.secure for one in b.service.node.mesh.parties.values() if one.key],
        )
        async for event in alice.events():
            if isinstance(event, told.UserJoined):
                break
        await alice.tell("bob", "over the hills")
        async for event in bob.events():
            if isinstance(event, told.TextReceived):
                self.assertEqual(event.text, "over the hills")
                break


class HeardTests(SynchronousTestCase):
    """A server that is heard of is dialled as it says, and never less safely."""

    def setUp(self) -> None:
        """A mesh that has linked to nobody."""
        self.reactor = MemoryReactorClock()
        owner: Any = self
        self.mesh = MeshService(
            self.reactor,  # type: ignore[arg-type]
            owner,
            lambda link: None,
            attempts=10,
            delay=5.0,
            is_wanted=lambda key: True,
        )
        self.limits = Limits()

    def dialled(self, *, pinned: str = "", secure: bool) -> list[str]:
        """Return what is dialled after a sign of life of a server of example."""
        if pinned:
            self.mesh.add(pinned, "key")
        self.mesh.running = True
        self.mesh.heard(Heard("srv-b", "192.0.2.1", 8766, "key", secure=secure))
        return [
            *(f"ws://{host}:{port}" for host, port, *_ in self.reactor.tcpClients),
            *(f"wss://{host}:{port}" for host, port, *_ in self.reactor.sslClients),
        ]

    def test_as_told(self) -> None:
        """Over wss:// if it says so, else in clear."""
        self.assertEqual(self.dialled(secure=True), ["wss://192.0.2.1:8766"])
        self.assertIsNotNone(self.reactor.sslClients[0][3])

    def test_in_clear(self) -> None:
        """Else in clear, with a warning, once."""
        with capturedLogs() as events:
            self.assertEqual(self.dialled(secure=False), ["ws://192.0.2.1:8766"])
        lines = [formatEvent(event) for event in events]
        warned = [line for line in lines if "ws://192.0.2.1:8766 is not encr" in line]
        self.assertEqual(len(warned), 1)

    def test_nonsense(self) -> None:
        """Who lists what is no host is not dialled, and loses no link over it."""
        for host in ("[::1]", ":::", "a#b", "a/b", "a b", "\x1b[31m", "é.example"):
            self.mesh.running = True
            for secure in (False, True):
                self.mesh.heard(Heard("srv-b", host, 1, "key", secure=secure))
        self.assertEqual((self.reactor.tcpClients, self.reactor.sslClients), ([], []))

    def test_pinned_to_wss(self) -> None:
        """Whom the operator pins to wss:// nobody's word has us dial in clear."""
        for pinned in ("wss://192.0.2.1:8766", "wss://chat.example:1"):
            self.setUp()
            self.assertEqual(self.dialled(pinned=pinned, secure=False), [pinned])

    def test_pinned_in_clear(self) -> None:
        """A pinned server that has learnt TLS is followed there."""
        found = self.dialled(pinned="ws://192.0.2.1:8766", secure=True)
        self.assertEqual(found, ["wss://192.0.2.1:8766"])


class SecureProcess(NodeProcess):
    """A node that serves wss:// only."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"wss://127.0.0.1:{self.port}"


class ReloadTests(ProcessTestCase):
    """SIGHUP reads the certificate again; no connection notices."""

    def connect(self, node: NodeProcess) -> tuple[ssl.SSLSocket, int]:
        """Connect, and return the serial number that the server shows."""
        context = ssl.create_default_context(cadata=OURS.pem.decode())
        plain = create_connection(("127.0.0.1", node.port), 5)
        secure = context.wrap_socket(plain, server_hostname="127.0.0.1")
        self.addCleanup(secure.close)
        shown = secure.getpeercert(binary_form=True)
        assert shown is not None
        return secure, load_der_x509_certificate(shown).serial_number

    async def test_reload(self) -> None:
        """New connections see the new certificate; a broken file changes nothing."""
        node = SecureProcess(
            "srv-a", self.ports.take(), self._home / "srv-a", self.watch
        )
        self.addCleanup(self._end, node)
        folder = self._home / "tls"
        first, second = GOOD, OURS.issue()
        cert, key = (path.absolute() for path in first.write(folder))
        node.configure([], "--tls-cert", str(cert), "--tls-key", str(key))
        await self.start(node)
        old, serial = self.connect(node)
        self.assertEqual(serial, serial_of(first))

        second.write(folder)
        node.signal("HUP")
        again = f"read the certificate {cert} again"
        await self.until(lambda: again in node.lines, 5, node)
        self.assertEqual(self.connect(node)[1], serial_of(second))

        key.write_text("broken")
        node.signal("HUP")
        kept = (
            f"kept the certificate that we had: --tls-key: {key} has no PEM private key"
        )
        await self.until(lambda: kept in node.lines, 5, node)
        self.assertEqual(self.connect(node)[1], serial_of(second))

        old.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertTrue(old.recv(100).startswith(b"HTTP/1.1 426 "))
        self.assertTrue(node.running)
        self.assertFalse([line for line in node.lines if "Traceback" in line])


def serial_of(certificate: Certificate) -> int:
    """Return the serial number of a certificate that a test has made."""
    return load_pem_x509_certificate(certificate.chain).serial_number


class OptionTests(SynchronousTestCase):
    """Files that cannot be used end twistd before anything listens."""

    def setUp(self) -> None:
        """Write a certificate, and the key of a server."""
        self.folder = Path(self.mktemp()).absolute()
        self.cert, self.key = GOOD.write(self.folder)
        self.keyfile = self.folder / "server.json"
        write_key_file(self.keyfile, "srv-a")

    def parse(self, *arguments: str) -> Options:
        """Read a command line."""
        options = Options({})
        keyfile, db = str(self.keyfile), str(self.folder / "node.db")
        options.parseOptions(["--keyfile", keyfile, "--db", db, *arguments])
        return options

    def ends_with(self, *arguments: str) -> str:
        """Return the sentence that ends the process."""
        with self.assertRaises(SystemExit) as caught:
            makeService(self.parse(*arguments))
        sentence = str(caught.exception.code)
        self.assertNotIn("\n", sentence)
        return sentence

    def test_both(self) -> None:
        """They become part of the configuration."""
        found = self.parse("--tls-cert", str(self.cert), "--tls-key", str(self.key))
        self.assertEqual(found.configuration.tls_cert, self.cert)
        self.assertEqual(found.configuration.tls_key, self.key)
        service: Any = makeService(found)
        self.assertTrue(service.node.mesh.hello()["secure"])

    def test_neither(self) -> None:
        """Without them nothing says that anything is secure."""
        service: Any = makeService(self.parse())
        self.assertNotIn("secure", service.node.mesh.hello())

    def test_sign_always(self) -> None:
        """Frames are signed over TLS, too, if that is asked for."""
        self.assertFalse(self.parse().configuration.sign_always)
        found = self.parse("--sign-always")
        self.assertTrue(found.configuration.sign_always)
        service: Any = makeService(found)
        self.assertTrue(service.node._sign_always)

    def test_one(self) -> None:
        """A certificate without a key is no certificate, nor the other way round."""
        for option in ("--tls-cert", "--tls-key"):
            with self.assertRaisesRegex(UsageError, "need each other"):
                self.parse(option, str(self.cert))

    def test_unusable(self) -> None:
        """One sentence for each."""
        self.assertEqual(
            self.ends_with("--tls-cert", "none.pem", "--tls-key", str(self.key)),
            f"socp: --tls-cert: cannot read {Path.cwd() / 'none.pem'}: "
            "No such file or directory",
        )
        self.assertEqual(
            self.ends_with("--tls-cert", str(self.cert), "--tls-key", str(self.cert)),
            f"socp: --tls-key: {self.cert} has no PEM private key",
        )
        self.assertEqual(
            self.ends_with("--tls-ca", str(self.key)),
            f"socp: --tls-ca: {self.key} has no PEM certificate",
        )

    def test_warns(self) -> None:
        """A server that others reach in clear says what that means."""
        beyond = ["--host", "192.0.2.1"]
        for arguments, warned in (
            ([], []),
            (beyond, ["listening beyond this machine"]),
        ):
            service: Any = makeService(self.parse(*arguments))
            with capturedLogs() as events:
                service._watch_encryption()
            lines = [formatEvent(event) for event in events]
            self.assertEqual([line[: len(warned[0])] for line in lines], warned)
