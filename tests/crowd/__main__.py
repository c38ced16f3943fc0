"""``python -m tests.crowd``: one run, a table, and an exit code to be believed."""

import argparse
import sys
from pathlib import Path

from tests.chaos.accounting import quantile
from tests.crowd.run import CACHES, EACH, Findings, run
from tests.running import conclude

MEBI = 1024 * 1024


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m tests.crowd", description=__doc__)
    parser.add_argument("--silent", type=int, default=1000)
    parser.add_argument("--flooding", type=int, default=100)
    parser.add_argument("--unreading", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--dir", type=Path, help="keep the logs here")
    return parser.parse_args(arguments)


def report(found: Findings) -> str:
    """Return everything that a run found out, as text."""
    memory, honest = found.memory, found.honest
    head = f"{'crowd':26}{'wanted':>8}{'opened':>8}{'at the end':>12}{'MB sent':>9}"
    lines = [head + "  what it was told"]
    for kind in found.kinds:
        tally = kind.tally
        told = ", ".join(f"{what} {n}" for what, n in tally.answers.most_common(4) if n)
        lines.append(
            f"  {kind.name:24}{kind.count:>8}{tally.opened:>8}"
            f"{found.open_at_end[kind.name]:>12}{tally.written / 1e6:>9.1f}  {told}"
        )
    lines.append("refused by the node, by counter:")
    lines += [f"  {name:40}{count:>10}" for name, count in found.counters.items()]
    lines.append(
        f"memory of the node: {memory.before / MEBI:.1f} MiB before, "
        f"{memory.peak / MEBI:.1f} MiB at most, {memory.after / MEBI:.1f} MiB after"
    )
    count = sum(kind.count for kind in found.kinds)
    lines.append(
        f"  it may grow by {found.bound / MEBI:.0f} MiB: {CACHES / MEBI:.0f} for "
        f"caches, {EACH // 1024} KiB for each of {count} connections, and max-queued "
        "for each that reads nothing"
    )
    lines.append(f"descriptors: {found.files[0]} before, {found.files[1]} after")
    for what, took in (("before", found.calm), ("meanwhile", found.crowded)):
        shares = [quantile(took, share) * 1000 for share in (0.5, 0.99, 1.0)]
        lines.append(
            f"honest latency {what}: p50 {shares[0]:.0f} ms, p99 {shares[1]:.0f} ms, "
            f"max {shares[2]:.0f} ms, of {len(took)} messages"
        )
    lines.append(
        f"honest messages: {honest['sent']} sent, {honest['arrived']} arrived, "
        f"{honest['doubled']} twice, {honest['failed']} refused; "
        f"{honest['connections lost']} connections lost"
    )
    lines += [f"  {line[:300]}" for _, line in found.log_faults[:30]]
    lines += [f"VIOLATION: {what}" for what in found.violations]
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Run, and end with 0 if there was no violation."""
    options = parse(arguments)

    async def check(folder: Path) -> tuple[str, bool]:
        found = await run(
            folder,
            options.silent,
            options.flooding,
            options.unreading,
            options.seconds,
        )
        return report(found), not found.violations

    conclude("crowd", check, options.dir)


if __name__ == "__main__":
    main(sys.argv[1:])
