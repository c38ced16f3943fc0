"""
How does ``twistd socp`` become a node?  Options in, a service out.

Options win over the environment (``SOCP_DB``, ``SOCP_SERVER_KEYFILE``); no file of the
current folder is read unless an option names it, except the node's own key.
"""

import gc
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

from twisted.application.service import IService
from twisted.internet import reactor
from twisted.logger import Logger, globalLogPublisher
from twisted.python import usage

from socp_twisted import __version__
from socp_twisted.configuration import (
    DB_VARIABLE,
    DEFAULT_HOST,
    DEFAULT_PORT,
    KEYFILE_VARIABLE,
    Configuration,
    Introducer,
    check_server_id,
    collapse,
    default_id,
    default_keyfile,
    is_port,
    read_bootstrap_file,
    read_duration,
)
from socp_twisted.errors import ConfigurationError
from socp_twisted.jsonlog import JsonLog
from socp_twisted.service import NodeService
from socp_twisted.trust.keyfile import load_or_make_key_file
from socp_twisted.trust.keys import SigningKey
from socp_twisted.wire.addresses import is_host
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import JOINS, MAX_ATTEMPTS, RETRY_DELAY

_MAX_DELAY: Final = 3600.0
_NUMBER: Final = re.compile(r"[0-9]{1,12}\Z")
_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104

_LIMITS: Final = {f"max-{one.name.replace('_', '-')}": one for one in fields(Limits)}
"""The option of each limit, without its dashes, and the field of ``Limits``."""


class Options(usage.Options):
    """The command line of ``twistd socp``; ``configuration`` is what it said."""

    synopsis = "[options] [--bootstrap URL [URL ...]]"
    longdesc = (
        "Run one server of a SOCP v1.3 mesh. Without options it serves alone on "
        f"{DEFAULT_HOST}:{DEFAULT_PORT}; 'socp key --url' prints the URL under which "
        "other servers find it."
    )
    optParameters: Sequence[Sequence[Any]] = [
        ["server-id", None, None, "This server's name [default: srv- and 8 digits]"],
        ["host", None, DEFAULT_HOST, "The address to listen on"],
        ["port", None, str(DEFAULT_PORT), "The port to listen on"],
        ["advertise", None, None, "host:port that others reach [default: as bound]"],
        ["db", None, None, "The database [default: $SOCP_DB or socp-<id>.db]"],
        [
            "keyfile",
            None,
            None,
            "The private key, made if missing "
            "[default: $SOCP_SERVER_KEYFILE or server_key_<id>.json]",
        ],
        ["bootstrap-file", None, None, "A YAML file that lists introducers"],
        ["joins", None, JOINS[0], f"Who may join: {', '.join(JOINS)}"],
        ["hold", None, "7d", "How long messages wait for who is away; 0 for never"],
        ["tls-cert", None, None, "PEM certificate and chain: serve wss://, not ws://"],
        ["tls-key", None, None, "The PEM private key of --tls-cert"],
        ["tls-ca", None, None, "PEM authorities to trust beside the system's"],
        ["log-json", None, None, "Write the log to this file, too, as JSON lines"],
        ["max-attempts", None, str(MAX_ATTEMPTS), "Dials of one introducer, in all"],
        ["retry-delay", None, f"{RETRY_DELAY:g}", "Seconds between two of them"],
        *(
            [option, None, str(one.default), f"Limit: {one.metadata['what']}"]
            for option, one in _LIMITS.items()
        ),
    ]

    optFlags: Sequence[Sequence[Any]] = [
        ["sign-always", None, "Sign every frame, also where TLS vouches for it"],
    ]

    configuration: Configuration

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self._environ = environ
        self._urls: list[str] = []

    def opt_bootstrap(self, url: str) -> None:
        """Introducers: one ws://host:port#<pub> or several; may be repeated."""
        self._urls.append(url)

    def opt_version(self) -> None:
        """Display the version of socp-twisted and exit."""
        print(f"socp-twisted {__version__}")
        sys.exit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Read the command line, or raise ``UsageError`` with one sentence.

        Under twistd the sentence ends the process instead: twistd itself would print
        it below sixty lines on its own options.
        """
        try:
            spread = _spread(sys.argv[1:] if options is None else options)
            super().parseOptions(spread)  # type: ignore[no-untyped-call]  # Twisted's
        except usage.UsageError as fault:
            if self.parent is None:
                raise
            sys.exit(f"socp: {fault}")

    def parseArgs(self, *rest: str) -> None:
        """Refuse what belongs to no option."""
        if rest:
            raise usage.UsageError(
                f"{rest[0]!r} belongs to no option; the URLs of introducers follow "
                "--bootstrap"
            )

    def postOptions(self) -> None:
        """Check everything, and give each node of a folder a pid file of its own."""
        try:
            self.configuration = self._read()
        except ConfigurationError as fault:
            raise usage.UsageError(str(fault)) from fault
        twistd = self.parent
        # Two nodes in one folder would both want twistd.pid, also with -n.
        if twistd is not None and twistd["pidfile"] == twistd.defaults["pidfile"]:
            twistd["pidfile"] = f"socp-{self.configuration.server_id}.pid"

    @cached_property
    def private_key(self) -> SigningKey:
        """The node's key, read once, or made; raises ``ConfigurationError``."""
        path = self._keyfile()
        key, is_new = load_or_make_key_file(path)
        if is_new:
            Logger().info("made the key file {path}", path=str(path))
        return key

    def _read(self) -> Configuration:
        server_id, host, port = self["server-id"], self["host"], self._port()
        if server_id is not None:
            check_server_id(server_id)
        if not is_host(host):
            raise ConfigurationError(f"--host {host!r} is no host name or address")
        advertise_host, advertise_port = self._advertised(host, port)
        introducers = self._introducers()
        tls_cert, tls_key = self._file("tls-cert"), self._file("tls-key")
        if (tls_cert is None) != (tls_key is None):
            raise ConfigurationError("--tls-cert and --tls-key need each other")
        if self["joins"] not in JOINS:
            raise ConfigurationError(f"--joins must be one of {', '.join(JOINS)}")
        try:
            hold = read_duration(self["hold"])
        except ConfigurationError as fault:
            raise ConfigurationError(f"--hold: {fault}") from fault
        attempts = self._count("max-attempts")
        delay = self._delay()
        limits = Limits(
            **{one.name: self._count(option) for option, one in _LIMITS.items()}
        )
        # Last, since a key may be made here, and only for options that are in order.
        if server_id is None:
            server_id = default_id(self.private_key)
        return Configuration(
            server_id=server_id,
            host=host,
            port=port,
            advertise_host=advertise_host,
            advertise_port=advertise_port,
            db=self._path("db", DB_VARIABLE, f"socp-{server_id}.db"),
            keyfile=self._keyfile(),
            introducers=introducers,
            max_attempts=attempts,
            retry_delay=delay,
            limits=limits,
            joins=self["joins"],
            hold=hold,
            tls_cert=tls_cert,
            tls_key=tls_key,
            tls_ca=self._file("tls-ca"),
            sign_always=bool(self["sign-always"]),
        )

    def _port(self) -> int:
        port = _number(self["port"])
        if not is_port(port):
            raise ConfigurationError(
                f"--port {self['port']!r} is not a number from 1 to 65535"
            )
        return port

    def _advertised(self, host: str, port: int) -> tuple[str, int]:
        """Return the address that others are told: one that they can connect to."""
        told = self["advertise"]
        if told is None:
            if host in _ANY_ADDRESS:
                raise ConfigurationError(
                    f"--host {host} is every address of this machine, so say which "
                    "one the other servers reach: --advertise host:port"
                )
            return host, port
        name, _, digits = told.rpartition(":")
        if name.startswith("[") and name.endswith("]"):
            name = name[1:-1]
        number = _number(digits)
        if not is_host(name) or not is_port(number) or name in _ANY_ADDRESS:
            raise ConfigurationError(
                f"--advertise {told!r} is not host:port with a port from 1 to 65535"
            )
        return name, number

    def _introducers(self) -> tuple[Introducer, ...]:
        try:
            listed = [Introducer.parse(url) for url in self._urls]
        except ConfigurationError as fault:
            raise ConfigurationError(f"--bootstrap: {fault}") from fault
        if self["bootstrap-file"] is not None:
            path = self.folder() / self["bootstrap-file"]
            listed.extend(read_bootstrap_file(path))
        return collapse(listed)

    def _delay(self) -> float:
        try:
            delay = float(self["retry-delay"])
        except ValueError:
            delay = math.nan
        if not 0 < delay <= _MAX_DELAY:
            raise ConfigurationError(
                f"--retry-delay {self['retry-delay']!r} is not a number of seconds, "
                f"more than 0 and at most {_MAX_DELAY:g}"
            )
        return delay

    def _count(self, option: str) -> int:
        count = _number(self[option])
        if count < 1:
            raise ConfigurationError(
                f"--{option} {self[option]!r} is not a whole number from 1 upwards"
            )
        return count

    def _keyfile(self) -> Path:
        default = default_keyfile(self["server-id"], self._port())
        return self._path("keyfile", KEYFILE_VARIABLE, default)

    def _file(self, option: str) -> Path | None:
        """Return the file of an option, which has no default."""
        return None if self[option] is None else self._path(option, "", "")

    def _path(self, option: str, variable: str, default: str) -> Path:
        told = self[option]
        if told == "":
            raise ConfigurationError(f"--{option} names no file")
        path = self.folder() / (told or self._environ.get(variable) or default)
        if path.is_dir():
            raise ConfigurationError(f"--{option} {path} is a folder, not a file")
        return path

    def folder(self) -> Path:
        """Return where file names start, before and after twistd goes to --rundir."""
        return Path.cwd() / (self.parent["rundir"] if self.parent is not None else "")


def makeService(options: Options) -> IService:
    """Build a node; end the process with one sentence if a file of it is unusable."""
    try:
        key = options.private_key
        if options["log-json"] is not None:
            path = options.folder() / options["log-json"]
            globalLogPublisher.addObserver(JsonLog.open(path))
        gc.freeze()  # what is loaded stays: looking through it again costs 40 ms a time
        return NodeService(cast(Any, reactor), options.configuration, key)
    except ConfigurationError as fault:
        sys.exit(f"socp: {fault}")


def _spread(arguments: Sequence[str]) -> list[str]:
    """Repeat ``--bootstrap`` before each of its URLs: an option has one value."""
    spread: list[str] = []
    left = iter(arguments)
    follows = False
    for argument in left:
        if follows and not argument.startswith("-"):
            spread.append(f"--bootstrap={argument}")
            continue
        spread.append(argument)
        if argument == "--bootstrap":
            spread.extend(islice(left, 1))  # its value, whatever that looks like
        follows = argument.partition("=")[0] == "--bootstrap"
    return spread


def _number(digits: str) -> int:
    """Return decimal digits as a number, and anything else as -1."""
    return int(digits) if _NUMBER.match(digits) else -1
