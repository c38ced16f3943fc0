"""Who is at the other end of a link, as far as they have shown?"""

from dataclasses import dataclass, field
from enum import Enum, auto

from socp_twisted.overlay.effects import LinkId
from socp_twisted.wire.vocabulary import TO_ONE, USER_HELLO_ACK


class Stage(Enum):
    """
    How far the other end has come.

    ::

        accepted:  FRESH -> CLAIMED -> SERVER    SERVER_HELLO_JOIN, then proof
                   FRESH -> GREETED -> USER      USER_HELLO, then proof
        dialled:   DIALLED -> SERVER             our JOIN, then their WELCOME
        always:    -> CLOSING                    we hung up
    """

    FRESH = auto()
    DIALLED = auto()
    CLAIMED = auto()
    SERVER = auto()
    GREETED = auto()
    USER = auto()
    CLOSING = auto()


@dataclass(slots=True)
class Party:
    """The other end of one link."""

    link: LinkId
    stage: Stage
    opened: float  # monotonic seconds
    heard: float
    host: str = ""  # of the TCP connection
    secure: bool = False
    url: str = ""  # what we dialled
    pinned: bool = False  # dialled because the operator's bootstrap list says so
    name: str = ""  # a server id or a user id, once claimed
    key: str = ""  # pinned, or claimed and then proved
    nonce: str = ""  # ours, for them to sign
    asked_id: str = ""  # our own id when we joined
    caps: frozenset[str] = frozenset()
    proof: str = ""
    """What logged a user in who signed our nonce; other servers may ask to see it."""
    tls_exporter: str = ""
    """The link's channel binding as we see it; empty where all is to be signed."""
    tls_bound: bool = False
    """Whether both ends see the same one, and a key has signed so."""
    closing_since: float = 0.0
    must_log_in: bool = False
    """Whether a signed message is not enough: the id is registered, or online."""
    at_home: bool = False
    """Whether the id is registered here: no other server's word keeps its owner out."""
    transfers: set[tuple[str, str]] = field(default_factory=set)
    """Files that this user has begun to send: recipient and file id."""
    hello: object = None  # the greeting that made the claim

    @property
    def is_server(self) -> bool:
        """Whether only a server can be there: we dialled it, or it claims to be one."""
        return self.stage in (Stage.DIALLED, Stage.CLAIMED, Stage.SERVER)

    @property
    def may_be_user(self) -> bool:
        """Whether a user is there, or nobody has said yet who is."""
        return self.stage in (Stage.FRESH, Stage.GREETED, Stage.USER)

    @property
    def is_closing(self) -> bool:
        """Whether we have hung up, or they have."""
        return self.stage is Stage.CLOSING

    def needs_no_signature(self, kind: str, to: str) -> bool:
        """
        Say whether a frame of ours may go to them unsigned (SOCP 12).

        To users all may but the greeting that binds the link; to a server what ends
        there: whoever it passes a frame on to has nothing but the signature.
        """
        if self.stage is Stage.SERVER:
            return self.tls_bound and kind in TO_ONE and to == self.name
        return self.tls_bound and kind != USER_HELLO_ACK

    @property
    def dialled(self) -> bool:
        """Whether we opened this link."""
        return bool(self.url)
