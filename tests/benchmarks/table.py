"""Which rows are there?  What each measures, beside what, and what it is to reach."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks import (
    files,
    latency,
    memory,
    messages,
    presence,
    public,
    stalls,
)
from tests.benchmarks.lab import Lab
from tests.benchmarks.measuring import Goal, Outcome


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement."""

    name: str
    what: str
    against: str
    goals: tuple[Goal, ...]
    run: Callable[[Lab], Outcome]


def _most(value: float, what: str) -> Goal:
    return Goal(value, what, at_least=False)


RAW = "raw signatures/s of all cores, same key"

ROWS = (
    Row(
        "direct-ws",
        "direct messages/s, one node, ws, 2-prime key",
        RAW,
        (Goal(0.90, "of the raw rate"),),
        messages.direct_ws,
    ),
    Row(
        "direct-ws-4-primes",
        "the same, 4-prime key",
        RAW,
        (Goal(0.75, "of the raw rate"), Goal(2.5, "times direct-ws")),
        messages.direct_ws_4_primes,
    ),
    Row(
        "direct-two-nodes",
        "direct messages/s across two nodes on this machine",
        "half the raw rate",
        (Goal(0.85, "of half the raw rate"),),
        messages.direct_two_nodes,
    ),
    Row(
        "direct-wss-unsigned",
        "direct messages/s, one node, wss without link signatures",
        "the same node and load with a signer that does nothing",
        (Goal(0.90, "of that node's"), Goal(15, "times direct-ws")),
        messages.direct_wss_unsigned,
    ),
    Row(
        "public-500",
        "public message to 500 members, deliveries/s",
        "Autobahn alone broadcasting the same bytes",
        (Goal(0.80, "of Autobahn's"),),
        public.public_500,
    ),
    Row(
        "latency-lone",
        "latency of a lone message, p50",
        "time of one signature",
        (_most(1.3, "signatures' time"),),
        latency.latency_lone,
    ),
    Row(
        "latency-busy",
        "its p99, while another user saturates the node with files",
        "its p99 on an idle node",
        (_most(5, "times the idle p99"),),
        latency.latency_busy,
    ),
    Row(
        "signatures-per-login",
        "signatures per login, 3 nodes, 10, 100, 500 users online",
        "-",
        (_most(6, "signatures"), _most(1, "times as many as with the fewest")),
        presence.signatures_per_login,
    ),
    Row(
        "frames-per-arrival",
        "frames per arrival in a full mesh of 3, 10, 30",
        "n - 1",
        (_most(1.5, "times n - 1"),),
        presence.frames_per_arrival,
    ),
    Row(
        "memory-idle-user",
        "memory per idle user, 1,000 to 5,000",
        "a bare Autobahn connection",
        (_most(1.5, "bare connections"),),
        memory.memory_idle_user,
    ),
    Row(
        "memory-directory",
        "memory per remote user in the directory, 10^5 and 10^6",
        "-",
        (_most(1024, "bytes"),),
        memory.memory_directory,
    ),
    Row(
        "stall",
        "the longest reactor stall in a wave of 500 logins and 200 password checks",
        "-",
        (_most(50, "ms"),),
        stalls.stall,
    ),
    Row(
        "idle-cpu",
        "CPU of an idle node with 1,000 users and 10 peers",
        "-",
        (_most(2, "% of a core"),),
        stalls.idle_cpu,
    ),
    Row(
        "file-aes",
        "file of 20 MB between two clients, AES-256-GCM",
        "AES-GCM of the same bytes by hand",
        (Goal(0.5, "of the speed by hand"),),
        files.file_aes,
    ),
    Row(
        "file-rsa",
        "file between two clients, RSA-OAEP",
        "RSA-OAEP decryption of the same bytes by hand",
        (Goal(0.8, "of the speed by hand"),),
        files.file_rsa,
    ),
)

BY_NAME = {row.name: row for row in ROWS}
