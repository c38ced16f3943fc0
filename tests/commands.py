"""How is a command run in a test?  In this process, or as a module in its own."""

import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.internet.utils import getProcessOutputAndValue

from socp_twisted.command import main


def socp(*arguments: str) -> tuple[str, str, object]:
    """Run the console command in this process: its output, its errors, its code."""
    code: object
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        try:
            code = main(arguments)
        except SystemExit as leaving:  # argparse leaves so
            code = leaving.code
    return out.getvalue(), err.getvalue(), code


async def run_module(name: str, *arguments: str) -> tuple[str, int]:
    """Run a module in a process of its own; return what it said and its exit code."""
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    run: Callable[..., Any] = getProcessOutputAndValue
    out, errors, code = await run(
        sys.executable, ["-m", name, *arguments], {**os.environ, "PYTHONPATH": path}
    )
    return (out + errors).decode("utf-8", "replace"), code
