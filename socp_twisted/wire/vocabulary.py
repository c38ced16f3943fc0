"""Which words does the protocol have?  Types, close codes, times.  (SOCP 5 to 9)"""

from typing import Final

# -- message types, server to server (SOCP 8) ------------------------------------------

SERVER_HELLO_JOIN: Final = "SERVER_HELLO_JOIN"
SERVER_HELLO_LINK: Final = "SERVER_HELLO_LINK"
SERVER_WELCOME: Final = "SERVER_WELCOME"
SERVER_ANNOUNCE: Final = "SERVER_ANNOUNCE"
SERVER_DELIVER: Final = "SERVER_DELIVER"
USER_ADVERTISE: Final = "USER_ADVERTISE"
USER_REMOVE: Final = "USER_REMOVE"
HEARTBEAT: Final = "HEARTBEAT"

# -- user to server and back (SOCP 9, and the original's dialect) ----------------------

USER_HELLO: Final = "USER_HELLO"
USER_HELLO_ACK: Final = "USER_HELLO_ACK"
USER_REGISTER: Final = "USER_REGISTER"
USER_REGISTERED: Final = "USER_REGISTERED"
USER_LOGIN: Final = "USER_LOGIN"
USER_LOGGED_IN: Final = "USER_LOGGED_IN"
USER_ADDED: Final = "USER_ADDED"
USER_REMOVED: Final = "USER_REMOVED"
LIST_REQUEST: Final = "LIST_REQUEST"
LIST_RESPONSE: Final = "LIST_RESPONSE"
MSG_DIRECT: Final = "MSG_DIRECT"
USER_DELIVER: Final = "USER_DELIVER"
MSG_PUBLIC_CHANNEL: Final = "MSG_PUBLIC_CHANNEL"
PUBLIC_CHANNEL_ADD: Final = "PUBLIC_CHANNEL_ADD"
PUBLIC_CHANNEL_UPDATED: Final = "PUBLIC_CHANNEL_UPDATED"
PUBLIC_CHANNEL_KEY_SHARE: Final = "PUBLIC_CHANNEL_KEY_SHARE"
PUBLIC_CHANNEL_SNAPSHOT: Final = "PUBLIC_CHANNEL_SNAPSHOT"
FILE_START: Final = "FILE_START"
FILE_CHUNK: Final = "FILE_CHUNK"
FILE_END: Final = "FILE_END"
FILE_START_DELIVER: Final = "FILE_START_DELIVER"
FILE_CHUNK_DELIVER: Final = "FILE_CHUNK_DELIVER"
FILE_END_DELIVER: Final = "FILE_END_DELIVER"
FILE_ANSWER: Final = "FILE_ANSWER"  # ours: the receiver accepts, declines or gives up
FILE_ANSWER_DELIVER: Final = "FILE_ANSWER_DELIVER"

# -- everywhere (SOCP 9.5) -------------------------------------------------------------

ERROR: Final = "ERROR"
ACK: Final = "ACK"
CTRL_CLOSE: Final = "CTRL_CLOSE"

FIRST_OF_SERVER: Final = frozenset({SERVER_HELLO_JOIN, SERVER_HELLO_LINK})
"""What a server may say first on a connection that it opened."""

GOSSIP: Final = frozenset({SERVER_ANNOUNCE, USER_ADVERTISE, USER_REMOVE, HEARTBEAT})
"""What travels beyond the link it arrived on, unchanged and under its own signature."""

STATES: Final = frozenset({SERVER_ANNOUNCE, USER_ADVERTISE})
"""What holds until it is taken back: said again, it is as good as new."""

TO_ONE: Final = frozenset(
    {
        SERVER_DELIVER,
        MSG_PUBLIC_CHANNEL,
        FILE_START,
        FILE_CHUNK,
        FILE_END,
        FILE_ANSWER,
        ACK,
        ERROR,
    }
)
"""What one server says to another alone: over a TLS-bound link it needs none."""

# -- addresses (SOCP 6) ----------------------------------------------------------------

EVERYBODY: Final = "*"
PUBLIC: Final = "public"
RESERVED_IDS: Final = frozenset({"*", "public", "local", "system"})

# -- close codes -----------------------------------------------------------------------
# Autobahn sends 1000 and 3000 to 4999 only; the original's client says
# "[disconnected]" for anything but 1000 and 1001.

CLOSE_NORMAL: Final = 1000
CLOSE_BUG: Final = 4000  # our own mistake; the log has the traceback
CLOSE_REFUSED: Final = 4001  # the first frame, or who sent it, was not accepted
CLOSE_TIMEOUT: Final = 4002  # no first frame, no login, or nothing for 45 s
CLOSE_SLOW: Final = 4003  # does not read what it is sent
CLOSE_LIMIT: Final = 4005  # more than a limit allows; the reason names the limit

# -- times, in seconds (SOCP 8.4, and the retry fix) -----------------------------------

HEARTBEAT_INTERVAL: Final = 15.0
DEAD_AFTER: Final = 45.0
HANDSHAKE_TIMEOUT: Final = 10.0
ANSWER_TIMEOUT: Final = 10.0
RETRY_DELAY: Final = 5.0
MAX_ATTEMPTS: Final = 10
HOLD: Final = 7 * 24 * 3600.0
FRESH_FOR: Final = 60_000  # ms by which the clock of who proves themselves may be off
STALE_AFTER: Final = 600.0  # a content signature older than this is a replay

# -- who may join the mesh (ours) ------------------------------------------------------

JOINS_OPEN: Final = "open"  # anyone
JOINS_KNOWN: Final = "known"  # servers that were seen before, and introducers
JOINS_PINNED: Final = "pinned"  # introducers alone
JOINS: Final = (JOINS_OPEN, JOINS_KNOWN, JOINS_PINNED)

# -- what a node or client of this project says that it can ----------------------------

AGENT: Final = "socp_twisted"
CAP_POSSESSION: Final = "possession"  # signs the other end's nonce in WELCOME and LINK
CAP_BOUND: Final = "bound"  # puts type, recipient and time under the signature
CAP_LINKS: Final = "links"  # tells its neighbours in HEARTBEAT
CAP_ACKS: Final = "acks"  # answers a delivery with ACK or ERROR
CAP_ACK_LISTS: Final = "ack-lists"  # reads an ACK for several deliveries
CAP_CHANNEL: Final = "channel"  # hands one public ciphertext to everybody who can
CAP_TLS_EXPORTER: Final = "tls-exporter"  # believes unsigned frames of a TLS-bound link
EXTRA_BLOCKS: Final = "blocks"  # decrypts text of several OAEP blocks
EXTRA_RECEIPTS: Final = "receipts"  # acknowledges each message that it was given
EXTRA_CHANNEL: Final = "channel-key"  # opens a public message sealed once for all
EXTRA_LARGE: Final = "files-256k"  # takes AES chunks of 256 KiB, not 48
EXTRA_ASKED: Final = "files-asked"  # says that a file's offer came, and waits
EXTRA_FILES: Final = "files-aes"  # AES-256-GCM file chunks, manifest, FILE_ANSWER

# -- cryptography (SOCP 4) -------------------------------------------------------------

RSA_BITS: Final = 4096
RSA_BYTES: Final = RSA_BITS // 8
OAEP_MAX: Final = RSA_BYTES - 2 * 32 - 2  # 446 bytes in one block
