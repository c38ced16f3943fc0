"""``python -m tests.chaos``: one run, a table, and an exit code to be believed."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred

from tests.chaos.accounting import FAILURES, ROWS, quantile
from tests.chaos.plan import RATE, Plan, make_plan
from tests.chaos.run import Result, Run
from tests.chaos.talker import hurry
from tests.running import conclude

reactor: Any = global_reactor


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m tests.chaos", description=__doc__)
    parser.add_argument("--nodes", type=int, default=5, choices=range(1, 9))
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--users", type=int, default=0, help="default: 2 a node")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=RATE, help="messages a second")
    parser.add_argument("--seconds-limit", type=float, default=900.0)
    parser.add_argument("--dir", type=Path, help="keep keys, logs and journals here")
    return parser.parse_args(arguments)


def table(title: str, rows: Iterable[tuple[object, str]]) -> str:
    """Return a table of values and what they are."""
    lines = [f"{value!s:>10}  {what}" for value, what in rows]
    return "\n".join([title, *lines])


def report(plan: Plan, result: Result) -> str:
    """Return everything that a run found out, as text."""
    books, counts = result.account, result.account.counts
    late = [quantile(books.latencies, share) for share in (0.5, 0.99, 1.0)]
    parts = [
        f"{len(plan.servers)} nodes, {len(plan.people)} users, "
        f"{result.seconds:.0f} s in all; all answered {result.healed_after:.1f} s "
        "after the last fault",
        table("messages", [(counts[name], f"{name}: {ROWS[name]}") for name in ROWS]),
        table("failures told, by code", [(n, c) for c, n in books.codes.most_common()]),
        table("faults", [(n, what) for what, n in sorted(result.faults.items())]),
        table("network", [(n, what) for what, n in sorted(result.network.items())]),
        "latency until seen: p50 {:.3f} s, p99 {:.3f} s, max {:.3f} s".format(*late),
        table("lines that no log should hold", [(len(result.log_faults), "")]),
    ]
    parts += [f"  {name}: {line[:300]}" for name, line in result.log_faults[:20]]
    for name in FAILURES:
        if books.failures[name]:
            parts.append(f"{name}: {' '.join(books.failures[name][:40])}")
    parts += [f"note: {note}" for note in result.notes]
    return "\n".join(parts)


def main(arguments: list[str]) -> None:
    """Run, and end with 0 if every message is accounted for."""
    options = parse(arguments)
    plan = make_plan(
        options.seed,
        options.nodes,
        options.messages,
        users=options.users,
        rate=options.rate,
    )

    async def check(folder: Path) -> tuple[str, bool]:
        hurry()
        run = Run(reactor, plan, folder, lambda line: print(line, flush=True))
        going = Deferred.fromCoroutine(run.go())
        # Cancelled, the run still ends everything that it started.
        going.addTimeout(options.seconds_limit, reactor)
        result = await going
        return report(plan, result), result.ok

    conclude("chaos", check, options.dir, f"run-{options.seed}")


if __name__ == "__main__":
    main(sys.argv[1:])
