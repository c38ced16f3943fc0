"""
What does each message carry?  One frozen class per type, strict both ways.  (SOCP 8, 9)

A class names the fields that our rules read; ``fields`` says what may stand in them,
and ``payload`` how they are read and written.  Frames that are forwarded travel as they
came, not through here.
"""

from socp_twisted.wire.payloads.answers import DeliveryAnswers, ErrorReport
from socp_twisted.wire.payloads.channel import (
    MAX_RECEIPTS,
    MAX_RECEIVED,
    MAX_SHARES,
    ChannelAdd,
    ChannelAnswer,
    ChannelMessage,
    ChannelReceipts,
    ChannelShare,
)
from socp_twisted.wire.payloads.fields import harmless, is_plain_id, unprintable
from socp_twisted.wire.payloads.files import MAX_FILE, FileChunk, FileEnd, FileStart
from socp_twisted.wire.payloads.payload import Payload
from socp_twisted.wire.payloads.servers import (
    Binding,
    Heartbeat,
    Routed,
    ServerEntry,
    ServerHello,
    ServerWelcome,
    UserAdvertise,
    UserRemove,
)
from socp_twisted.wire.payloads.users import (
    MsgDirect,
    UserHello,
    UserLogin,
    UserRegister,
)

__all__ = [
    "MAX_FILE",
    "MAX_RECEIPTS",
    "MAX_RECEIVED",
    "MAX_SHARES",
    "Binding",
    "ChannelAdd",
    "ChannelAnswer",
    "ChannelMessage",
    "ChannelReceipts",
    "ChannelShare",
    "DeliveryAnswers",
    "ErrorReport",
    "FileChunk",
    "FileEnd",
    "FileStart",
    "Heartbeat",
    "MsgDirect",
    "Payload",
    "Routed",
    "ServerEntry",
    "ServerHello",
    "ServerWelcome",
    "UserAdvertise",
    "UserHello",
    "UserLogin",
    "UserRegister",
    "UserRemove",
    "harmless",
    "is_plain_id",
    "unprintable",
]
