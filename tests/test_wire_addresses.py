"""What is a host, to a URL and to us?"""

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.wire.addresses import (
    is_host,
    is_loopback,
    join_url,
    split_url,
    subscriber,
)


class HostTests(SynchronousTestCase):
    """A host is told from what a URL would misread."""

    def test_hosts(self) -> None:
        """A host is a name or an address, with nothing that a URL would misread."""
        for host in (
            "localhost",
            "127.0.0.1",
            "::1",
            "fe80::1%eth0",
            "a-b.c_d",
            "h" * 255,
        ):
            self.assertTrue(is_host(host), host)
        for other in (
            "a@b",
            "a#b",
            "a?b",
            "[::1]",
            "\uff11",
            "a\x00",
            None,
            1,
            True,
            b"a",
        ):
            self.assertFalse(is_host(other), repr(other))


class UrlTests(SynchronousTestCase):
    """A URL is written as it is read."""

    def test_ipv6(self) -> None:
        """An IPv6 address stands in brackets."""
        self.assertEqual(join_url("ws", "::1", 8765), "ws://[::1]:8765")
        for url in ("ws://[::1]:8765", "wss://srv-a.example:443"):
            self.assertEqual(join_url(*split_url(url)), url)


class LoopbackTests(SynchronousTestCase):
    """Only what stays on this machine needs no TLS."""

    def test_hosts(self) -> None:
        """Names and addresses."""
        for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
            self.assertTrue(is_loopback(host), host)
        for host in ("0.0.0.0", "::", "192.0.2.1", "chat.example", "localhost.example"):
            self.assertFalse(is_loopback(host), host)


class SubscriberTests(SynchronousTestCase):
    """Who can call from many addresses is counted as one."""

    def test_hosts(self) -> None:
        """An IPv4 address is somebody; an IPv6 network is, too."""
        for host, counted in {
            "192.0.2.7": "192.0.2.7",
            "::ffff:192.0.2.7": "192.0.2.7",
            "2001:db8:1:2::7": "2001:db8:1:2::/64",
            "2001:db8:1:2:ffff::1": "2001:db8:1:2::/64",
            "2001:db8:1:3::7": "2001:db8:1:3::/64",
            "fe80::7%eth0": "fe80::/64",
            "::1": "::1",
            "somewhere": "somewhere",
        }.items():
            self.assertEqual(subscriber(host), counted)
