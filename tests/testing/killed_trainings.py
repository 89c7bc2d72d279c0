"""Trainings that are killed: a script of its own, which imports everything once and forks for each of them.

    python -m tests.testing.killed_trainings

Each line of standard input is an order in JSON: the `arguments` of `macsgr train`, the `log` for what it prints, and
either null or the moment to `kill` it with SIGKILL, as seconds after its start, or as [event, pattern]: the first audit
event of that name with a path that has the pattern in it, such as a rename that would make a file whole. Each answer is
a line of JSON: the exit code, or the negative number of the signal, and the seconds it took.
"""

import json
import os
import re
import signal
import sys
import time
from typing import Any

from macsgr_jax.cli.main import main


def kill_at(event: str, pattern: str) -> None:
    """Kill this process when it comes to an event."""

    def watch(name: str, arguments: tuple[Any, ...]) -> None:
        if name == event and any(re.search(pattern, str(argument)) for argument in arguments):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def train(arguments: list[str], log: str, kill: Any) -> int:
    """The training script, in this process."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if isinstance(kill, list):
        kill_at(*kill)
    sys.argv = ["macsgr", "train", *arguments]
    code = main(["train", *arguments])
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def follow(order: dict[str, Any]) -> tuple[int, float]:
    """Fork, train, kill where that is asked for, and wait."""
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = train(**order)
        finally:
            os._exit(code)
    if isinstance(order["kill"], (int, float)):
        end = start + order["kill"]
        while time.monotonic() < end:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status), time.monotonic() - start
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), time.monotonic() - start


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(follow(json.loads(line))), flush=True)
