"""``python -m tests.benchmarks``: a table, JSON, pictures; one row by its name."""

import argparse
import json
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks import against, plot, report
from tests.benchmarks.lab import NOTE_RAISED, Lab
from tests.benchmarks.measuring import Missing, Outcome, Quantity, Sizes
from tests.benchmarks.table import BY_NAME, ROWS, Row

SMOKE = Sizes(slices=1, seconds=0.1, raw=0.05, smoke=True)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="row", help="default: all rows")
    parser.add_argument("--list", action="store_true", help="list the rows")
    parser.add_argument("--slices", type=int, default=10, help="of each ratio")
    parser.add_argument("--seconds", type=float, default=1.0, help="of load in a slice")
    parser.add_argument("--smoke", action="store_true", help="the smallest of all runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw how cost grows")
    parser.add_argument("--against", metavar="URL", help="load another server, too")
    parser.add_argument("--against2", metavar="URL", help="a second one, linked to it")
    options = parser.parse_args(arguments)
    for name in options.rows:
        if name not in BY_NAME:
            parser.error(f"{name!r} is no row; --list shows them")
    if options.slices < 1 or options.seconds <= 0:
        parser.error("--slices and --seconds must be more than 0")
    if options.against2 and not options.against:
        parser.error("--against2 is linked to the server of --against: name that, too")
    return options


def run(row: Row, lab: Lab) -> Outcome | str:
    """Measure a row, or say in a sentence why there is nothing to be measured."""
    try:
        return row.run(lab)
    except Missing as why:
        return str(why)
    finally:
        lab.row_over()


def listed() -> str:
    """Return the rows and what each is to reach."""
    told = []
    for row in ROWS:
        goals = ", ".join(f"{goal} {goal.what}" for goal in row.goals)
        told.append(f"{row.name:21} {row.what}; beside {row.against}; {goals}")
    return "\n".join(told)


def measure(rows: list[Row], lab: Lab, pictures: Path | None) -> tuple[Any, int]:
    """Measure some rows and show each; return the figures, and how many failed."""
    print(report.heading(), flush=True)
    figures, failed = {}, 0
    for row in rows:
        try:
            outcome = run(row, lab)
        except Exception:
            failed += 1
            lab.end()
            print(f"{row.name:21} FAILED\n{traceback.format_exc()}", flush=True)
            continue
        print(report.lines(row, outcome), flush=True)
        figures[row.name] = report.as_json(row, outcome)
        if pictures is not None and isinstance(outcome, Outcome) and outcome.curves:
            pictures.mkdir(parents=True, exist_ok=True)
            picture = plot.draw(row.what, outcome.curves, outcome.axes)
            (pictures / f"{row.name}.svg").write_text(picture, "utf-8")
    print(f"note: {NOTE_RAISED}")
    return figures, failed


def compare(lab: Lab, urls: list[str]) -> tuple[Any, int]:
    """Load other servers, and our own; show both."""
    found = against.side_by_side(lab, urls)
    print(against.comparison(found), flush=True)
    figures = {
        who: {
            what: asdict(value) if isinstance(value, Quantity) else value
            for what, value in one.items()
        }
        for who, one in found.items()
    }
    return figures, sum("failed" in one for one in found.values())


def main(arguments: list[str]) -> int:
    """Measure; the exit code is 1 if something failed, not if a target is missed."""
    options = parse(arguments)
    if options.list:
        print(listed())
        return 0
    sizes = SMOKE if options.smoke else Sizes(options.slices, options.seconds)
    rows = [BY_NAME[name] for name in options.rows] or list(ROWS)
    urls = [url for url in (options.against, options.against2) if url]
    with Lab(sizes) as lab:
        if urls:
            figures, failed = compare(lab, urls)
        else:
            figures, failed = measure(rows, lab, options.plot)
    if options.json is not None:
        told = {"machine": report.machine(), "rows": figures}
        options.json.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
