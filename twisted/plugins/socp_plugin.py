"""Tell twistd that there is a ``socp``: what it is called, and where it is built."""

from twisted.application.service import ServiceMaker

socp = ServiceMaker(
    "SOCP server",
    "socp_twisted.tap",
    "A server of a Secure Overlay Chat Protocol v1.3 mesh",
    "socp",
)
