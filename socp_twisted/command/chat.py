"""``socp chat``: how does a user talk to the others?  (SOCP 9.6)"""

import argparse
import sys
from pathlib import Path
from typing import Final

from socp_twisted.configuration import DEFAULT_HOST, DEFAULT_PORT
from socp_twisted.errors import ConfigurationError
from socp_twisted.wire.addresses import join_url
from socp_twisted.wire.envelope import is_identifier

SUMMARY: Final = "chat: at a terminal, or in a script with commands on standard input"

_EPILOG: Final = """\
At a terminal, /help lists the commands.  With standard input from elsewhere, or with
--json, each line is a command, and is waited for before the next one is read.

Exit codes: 0 all went well, 1 a command failed or an option cannot be used, 2 usage,
3 the first login failed, 128 + n ended by signal n.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; secrets come from a file or the environment only."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "url",
        nargs="?",
        metavar="ws://HOST:PORT",
        default=join_url("ws", DEFAULT_HOST, DEFAULT_PORT),
        help="the server; with #KEY behind it, its key is checked from the start "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--user", metavar="NAME", default="", help="who you are; else asked"
    )
    parser.add_argument(
        "--home",
        type=Path,
        metavar="DIR",
        help="where keys and known users are kept "
        "(default: $SOCP_HOME, or ~/.config/socp)",
    )
    parser.add_argument(
        "--downloads",
        type=Path,
        metavar="DIR",
        help="where received files go (default: ~/Downloads)",
    )
    parser.add_argument(
        "--accept-files",
        choices=("ask", "always", "never"),
        default="ask",
        help="what happens with offered files (default: %(default)s)",
    )
    parser.add_argument(
        "--display-name",
        metavar="NAME",
        default="",
        help="what others see beside your user name",
    )
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help="its first line is the passphrase (default: $SOCP_PASSPHRASE, else asked)",
    )
    parser.add_argument(
        "--tls-ca",
        type=Path,
        metavar="FILE",
        help="PEM authorities to trust for wss:// beside the system's",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON object for each event, also at a terminal",
    )


def run(arguments: argparse.Namespace) -> int:
    """Chat; return the exit code."""
    if arguments.user and not is_identifier(arguments.user):
        raise ConfigurationError(
            f"--user {arguments.user!r} is not 1 to 64 letters, digits or ._-@"
        )
    # Half a second of imports, which ``socp key`` does not need.
    from socp_twisted.client.files import Policy  # noqa: PLC0415
    from socp_twisted.client.keystore import config_home  # noqa: PLC0415
    from socp_twisted.client.terminal import keyring  # noqa: PLC0415
    from socp_twisted.client.terminal import run as terminal  # noqa: PLC0415
    from socp_twisted.client.terminal.entrance import Settings  # noqa: PLC0415
    from socp_twisted.client.terminal.places import check_url  # noqa: PLC0415

    check_url(arguments.url)
    settings = Settings(
        url=arguments.url,
        home=(arguments.home or config_home()).expanduser(),
        user_id=arguments.user,
        passphrase=keyring.told_passphrase(arguments.passphrase_file),
        downloads=arguments.downloads,
        policy=Policy(arguments.accept_files),
        display_name=arguments.display_name,
        tls_ca=arguments.tls_ca,
    )
    if arguments.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return terminal.run_script(settings, arguments.json)
    return terminal.run_terminal(settings)
