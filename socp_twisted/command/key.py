"""``socp key``: under which URL and key do others find this server?  (SOCP 8.1)"""

import argparse
import os
import re
from pathlib import Path
from typing import Final

from socp_twisted.configuration import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    KEYFILE_VARIABLE,
    check_server_id,
    default_id,
    default_keyfile,
)
from socp_twisted.errors import ConfigurationError
from socp_twisted.trust.keyfile import load_or_make_key_file
from socp_twisted.trust.keys import split_pinned_url
from socp_twisted.trust.multiprime import MAX_PRIMES
from socp_twisted.wire.addresses import join_url

SUMMARY: Final = "show a server's key and its --bootstrap URL; make the key if missing"

_ADDRESS: Final = re.compile(r"wss?://[^/#?@\s]+:([0-9]{1,5})/?\Z")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the key file is found as the server itself finds it."""
    parser.add_argument("--server-id", metavar="ID", help="as told to the server")
    parser.add_argument(
        "--keyfile",
        metavar="FILE",
        help=f"default: ${KEYFILE_VARIABLE}, or server_key_<id>.json, or without an "
        "id server_key_<port>.json",
    )
    parser.add_argument(
        "--url",
        metavar="ws://HOST:PORT",
        default=join_url("ws", DEFAULT_HOST, DEFAULT_PORT),
        help="where others reach the server (default: %(default)s)",
    )
    parser.add_argument(
        "--primes",
        metavar="N",
        help="2, 3 or 4 primes in a key that is made; with 4 a server signs faster and "
        "needs OpenSSL's libcrypto (default: 2)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print what others need to know; the last line is the pinned URL alone."""
    address = _ADDRESS.match(arguments.url)
    if address is None:
        raise ConfigurationError(f"--url {arguments.url!r} is not ws://host:port")
    if arguments.server_id is not None:
        check_server_id(arguments.server_id)
    primes = _primes(arguments.primes) if arguments.primes is not None else None
    path = Path(
        arguments.keyfile
        or os.environ.get(KEYFILE_VARIABLE)
        or default_keyfile(arguments.server_id, int(address[1]))
    )
    key, is_new = load_or_make_key_file(path, primes)
    url, pin = split_pinned_url(f"{arguments.url}#{key.public.text}")
    print(f"server id    {arguments.server_id or default_id(key)}")
    print(f"key file     {path}{' (made just now)' if is_new else ''}")
    if key.primes > 2:
        print(f"primes       {key.primes}")
    print(f"fingerprint  {key.public.fingerprint}")
    print(f"public key   {pin}")
    print("other servers start with --bootstrap and this URL:")
    print(f"{url}#{pin}")
    return 0


def _primes(told: str) -> int:
    if told not in map(str, range(2, MAX_PRIMES + 1)):
        raise ConfigurationError(
            f"--primes {told!r} is not a number from 2 to {MAX_PRIMES}"
        )
    return int(told)
