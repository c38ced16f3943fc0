"""Which machine does a host, or a ws:// URL, name?  (SOCP 5.1)"""

from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from socp_twisted.errors import ConfigurationError


def split_url(url: str) -> tuple[str, str, int]:
    """
    Split ``ws://host:port`` or ``wss://host:port`` into scheme, host and port.

    Raise ``ConfigurationError`` with one sentence for what cannot be dialled.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as why:
        raise ConfigurationError(f"{url!r} is no URL: {why}") from why
    if parts.scheme not in ("ws", "wss") or not parts.hostname or not port:
        raise ConfigurationError(f"{url or 'an empty text'} is not ws://host:port")
    return parts.scheme, parts.hostname, port


def join_url(scheme: str, host: str, port: int) -> str:
    """Return the URL; an IPv6 address goes into brackets."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_host(value: Any) -> bool:
    """Say whether this may be the host part of a server's address."""
    return (
        type(value) is str
        and 0 < len(value) <= 255
        and all(char.isalnum() or char in ".-:_%" for char in value)
        and value.isascii()
    )


def is_loopback(host: str) -> bool:
    """Say whether a name or an address leads to this machine and nowhere else."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    # A port that listens on :: sees 127.0.0.1 as ::ffff:127.0.0.1.
    mapped = address.ipv4_mapped if address.version == 6 else None
    return (mapped or address).is_loopback


def subscriber(host: str) -> str:
    """
    Return who an address stands for where callers are counted.

    Whoever has one IPv6 address has all 2^64 of its network: it counts as one.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 4 or is_loopback(host):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ip_network((address, 64), strict=False))
