"""``python -m tests.fuzz``: one run, a table, and an exit code to be believed."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from tests.fuzz.run import Findings, run
from tests.running import conclude


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, default=0.03, help="between two frames")
    parser.add_argument("--dir", type=Path, help="keep the log and the stalls here")
    return parser.parse_args(arguments)


def table(title: str, counters: dict[str, Counter[str]]) -> str:
    """Return counts by door and name."""
    doors = list(counters)
    rows = sorted({name for counter in counters.values() for name in counter})
    head = f"{title:32}" + "".join(f"{door:>14}" for door in doors)
    total = {door: sum(counters[door].values()) for door in doors}
    lines = [
        f"  {name[:29]:30}" + "".join(f"{counters[door][name]:>14}" for door in doors)
        for name in rows
    ]
    all_of_them = "  all".ljust(32) + "".join(f"{total[door]:>14}" for door in doors)
    return "\n".join([head, *lines, all_of_them])


def report(found: Findings) -> str:
    """Return everything that a run found out, as text."""
    honest, after = found.honest, found.after
    mebi = 1024 * 1024
    milli = {
        name.replace("_", " "): f"{after[name] * 1000:.1f} ms"
        for name in (
            "longest_call",
            "longest_turn",
            "longest_collection",
            "longest_wall",
        )
    }
    parts = [
        table("frames sent, by mutation", found.count("sent")),
        table("ERROR codes answered", found.count("codes")),
        table("connections, by close code", found.count("closes")),
        "let in: "
        + ", ".join(
            f"{one.door.name} {one.connections} (refused {one.refused})"
            for one in found.attackers
        ),
        f"reactor, CPU time (wall last): {milli}; stalls over 100 ms: "
        f"{len(after['stalls'])}",
        f"memory: {found.before['rss'] / mebi:.1f} MiB after the beginning, "
        f"{after['rss'] / mebi:.1f} MiB after the end; {after['servers']} servers and "
        f"{after['users']} users known, {after['parties']} connections, "
        f"{after['descriptors']} descriptors",
        f"honest users: {honest}",
        f"unexpected lines in the log: {len(found.log_faults)}",
    ]
    parts += [f"  {line[:300]}" for _, line in found.log_faults[:30]]
    parts += [f"  stall: {stall}" for stall in after["stalls"][:20]]
    parts += [f"  long call: {call}" for call in after["heaviest"][:5]]
    parts += [f"VIOLATION: {what}" for what in found.violations]
    return "\n".join(parts)


def main(arguments: list[str]) -> None:
    """Run, and end with 0 if there was no violation."""
    options = parse(arguments)

    async def check(folder: Path) -> tuple[str, bool]:
        found = await run(folder, options.seed, options.seconds, options.pause)
        return report(found), not found.violations

    conclude("fuzz", check, options.dir, f"run-{options.seed}")


if __name__ == "__main__":
    main(sys.argv[1:])
