"""Where is what was named?  Addresses of servers, and paths of files."""

import os
from pathlib import Path

from socp_twisted.client.terminal.commands import NotUnderstood
from socp_twisted.errors import ConfigurationError
from socp_twisted.trust.keys import split_pinned_url
from socp_twisted.wire.addresses import is_loopback, split_url


def check_url(url: str) -> None:
    """Raise ``ConfigurationError`` for what no client can dial."""
    if "#" in url:
        split_pinned_url(url)
        return
    split_url(url)


def find_path(typed: str) -> Path:
    """
    Return the file that was meant: as typed, or as a terminal pastes it.

    That is in quotes, or with a backslash before each space.
    """
    choices = [typed]
    if len(typed) > 2 and typed[0] == typed[-1] and typed[0] in "'\"":
        choices.append(typed[1:-1])
    choices.append(typed.replace("\\ ", " "))
    try:
        os.fsencode(typed)
        paths = [Path(os.path.expanduser(choice)) for choice in choices]
        return next((path for path in paths if path.exists()), paths[0])
    except (OSError, ValueError) as why:
        raise NotUnderstood("no file can have this name") from why


def is_open_to_listeners(url: str) -> bool:
    """Say whether a URL leads over a network, and without TLS."""
    try:
        scheme, host, _ = split_url(url)
    except ConfigurationError:
        return False  # whoever dials it says what is wrong with it
    return scheme == "ws" and not is_loopback(host)
