"""How does a long check end?  With a report, and an exit code to be believed."""

import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.python.failure import Failure

Check = Callable[[Path], Awaitable[tuple[str, bool]]]
"""Given an empty folder, it returns a report, and whether all went well."""


def conclude(name: str, check: Check, kept: Path | None, run: str = "run") -> None:
    """
    Run a check in a folder of its own; end with 0 if all went well.

    The folder is ``run`` within ``kept``, or else a temporary one, which stays only if
    something went wrong.
    """
    home = kept or Path(tempfile.mkdtemp(prefix=f"socp-{name}-"))
    folder = (home / run).absolute()
    shutil.rmtree(folder, ignore_errors=True)

    async def go() -> None:
        report, is_well = await check(folder)
        print(report, flush=True)
        if not is_well:
            print(f"FAILED; kept in {folder}", flush=True)
            sys.exit(1)
        if kept is None:
            shutil.rmtree(home)

    def tell(failure: Failure) -> Failure:
        if not failure.check(SystemExit):
            print(failure.getTraceback(), file=sys.stderr)
        return failure

    react(lambda _: Deferred.fromCoroutine(go()).addErrback(tell))
