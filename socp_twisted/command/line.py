"""Which module does ``socp <word>`` run?  One table; a fault ends in one sentence."""

import argparse
import sys
from collections.abc import Sequence
from typing import Final, Protocol

from socp_twisted import __version__
from socp_twisted.command import chat, key, mesh, servers
from socp_twisted.errors import ConfigurationError


class Subcommand(Protocol):
    """What a module needs to be a subcommand; importing it installs no reactor."""

    @property
    def SUMMARY(self) -> str:
        """Say in half a line what it does."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare its options."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it, and return the exit code, or raise ``ConfigurationError``."""


COMMANDS: Final[dict[str, Subcommand]] = {
    "chat": chat,
    "key": key,
    "mesh": mesh,
    "servers": servers,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the console command ``socp``; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="socp",
        description="A SOCP v1.3 chat mesh. A single server is 'twistd -n socp'.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"socp {__version__}")
    words = parser.add_subparsers(dest="word", metavar="COMMAND")
    for word, command in COMMANDS.items():
        command.add_arguments(
            words.add_parser(
                word,
                help=command.SUMMARY,
                description=command.SUMMARY,
                allow_abbrev=False,
            )
        )
    arguments = parser.parse_args(argv)
    if arguments.word is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        return COMMANDS[arguments.word].run(arguments)
    except ConfigurationError as fault:
        print(f"socp {arguments.word}: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # as a shell counts it: 128 + SIGINT
