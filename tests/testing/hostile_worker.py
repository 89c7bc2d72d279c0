"""Runs commands in a process of their own with little memory, small files and closed surroundings, one after the other.

Each order is one line of JSON on standard input: the arguments of `macsgr`, and the folder to run in. The answer is one
line: the exit code, what was printed, and the traceback where one escaped.
"""

import contextlib
import io
import json
import os
import resource
import sys
import traceback
from typing import Any

MEMORY, FILE = 6 * 2**30, 2**29  # Bytes.


def run(order: dict[str, Any]) -> dict[str, Any]:
    """Runs one command."""
    from macsgr_jax.cli.main import main

    os.chdir(order["folder"])
    outputs = io.StringIO(), io.StringIO()
    escaped = ""
    with contextlib.redirect_stdout(outputs[0]), contextlib.redirect_stderr(outputs[1]):
        try:
            code = main(order["arguments"])
        except BaseException:
            code, escaped = 1, traceback.format_exc()
    os.chdir("/")
    return {"code": code, "out": outputs[0].getvalue(), "error": outputs[1].getvalue(), "escaped": escaped}


def work() -> None:
    """Answers orders until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # What a native library prints is no answer.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    work()
