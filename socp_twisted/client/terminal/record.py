"""
How does a program read what happens?  One JSON object on one line, pure ASCII.

``event`` names what happened, and the other fields are those of the value in
``client.events`` or ``happenings``.  Names and fields are kept from version to version;
further ones may come.  Escapes of JSON keep texts exact and still harmless to a
terminal: no byte of a line is a control character.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

from socp_twisted.client import events as told
from socp_twisted.client.terminal import happenings as ours
from socp_twisted.client.terminal.happenings import Happening

EVENTS: Final[Mapping[type, str]] = {
    told.Connecting: "connecting",
    told.ConnectFailed: "connect_failed",
    told.Connected: "connected",
    told.ConnectionLost: "connection_lost",
    told.GaveUp: "gave_up",
    told.EventsDropped: "events_dropped",
    told.PinsNotSaved: "pins_not_saved",
    told.LoggedIn: "logged_in",
    told.LoginRefused: "login_refused",
    told.Registered: "registered",
    told.RegistrationRefused: "registration_refused",
    told.ServerPinned: "server_pinned",
    told.ServerKeyChanged: "server_key_changed",
    told.ServerUnproven: "server_unproven",
    told.UserPinned: "user_pinned",
    told.UserKeyChanged: "user_key_changed",
    told.UserJoined: "user_joined",
    told.UserLeft: "user_left",
    told.UserList: "user_list",
    told.ListFailed: "list_failed",
    told.ChannelMembers: "channel_members",
    told.TextReceived: "text",
    told.Delivered: "delivered",
    told.Queued: "queued",
    told.NotDelivered: "not_delivered",
    told.FrameRefused: "frame_refused",
    told.ServerError: "server_error",
    told.FileOffered: "file_offered",
    told.FileProgress: "file_progress",
    told.FileReceived: "file_received",
    told.FileSent: "file_sent",
    told.FileFailed: "file_failed",
    ours.Notice: "notice",
    ours.Warned: "warning",
    ours.Done: "done",
    ours.Failed: "failed",
    ours.Known: "known",
    ours.Compared: "compared",
    ours.ServerCompared: "server_compared",
}
"""Each thing that can happen, and its name for programs."""

NAMES: Final = frozenset(EVENTS.values())


def record(event: Happening) -> dict[str, Any]:
    """Return the JSON object of an event."""
    return {"event": EVENTS[type(event)], **_fields(event)}


def to_json(event: Happening) -> str:
    """Return the line of an event, without its end."""
    return json.dumps(record(event), ensure_ascii=True)


def matches(event: Happening, name: str, wanted: tuple[tuple[str, str], ...]) -> bool:
    """
    Say whether an event has a name, and fields that read as these texts.

    ``contact.user_id`` names a field within a field; true and false are written so.
    """
    if EVENTS[type(event)] != name:
        return False
    return all(_text(_fields(event), path) == value for path, value in wanted)


def _text(value: Any, path: str) -> str | None:
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value if isinstance(value, str) else json.dumps(value)


def _fields(value: Any) -> dict[str, Any]:
    return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return _fields(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
