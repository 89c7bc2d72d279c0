"""Commands that are killed: a script of its own, which imports everything once and forks for each of them.

    python -m tests.testing.killed_commands

Each line of standard input is an order in JSON: the `arguments` of `macsgr`, the `folder` in which it runs, the `log`
for what it prints, further variables of the `environment`, and the moment to `kill` it with SIGKILL: null for none;
seconds after its start; ["change", n], before its n-th change of a file or a folder; or [event, pattern], the first
audit event of that name with a path that has the pattern in it, such as a rename that would make a file whole. Each
answer is a line of JSON: the exit code, or the negative number of the signal, the seconds it took, and the number of
changes of files and folders, which is known of commands that end by themselves.
"""

import json
import os
import re
import signal
import sys
import time
from typing import Any

from macsgr_jax.cli.main import main

# What changes files and folders; `open` does so in some modes only.
CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.copyfile", "shutil.rmtree")
WRITING = os.O_WRONLY | os.O_RDWR


def is_change(name: str, arguments: tuple[Any, ...]) -> bool:
    if name != "open":
        return name in CHANGES
    return bool(arguments[2] & WRITING) and not str(arguments[0]).startswith(("/dev/", "/proc/"))


class Watch:
    """Counts the changes of this process, and kills it at the moment that is asked for."""

    def __init__(self, kill: Any) -> None:
        self.changes = 0
        self._event, self._which = kill if isinstance(kill, list) else ("", "")
        sys.addaudithook(self._note)

    def _note(self, name: str, arguments: tuple[Any, ...]) -> None:
        if is_change(name, arguments):
            self.changes += 1
            if self._event == "change" and self.changes == self._which:
                os.kill(os.getpid(), signal.SIGKILL)
        if name == self._event and any(re.search(self._which, str(argument)) for argument in arguments):
            os.kill(os.getpid(), signal.SIGKILL)


def run(arguments: list[str], folder: str, log: str, environment: dict[str, str], kill: Any, answer: int) -> int:
    """The command, in this process; writes the number of changes to the descriptor `answer`."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ |= environment
    os.chdir(folder)
    sys.argv = ["macsgr", *arguments]
    watch = Watch(kill)
    code = main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(answer, str(watch.changes).encode())
    return code


def follow(order: dict[str, Any]) -> tuple[int, float, int | None]:
    """Fork, run, kill where that is asked for, and wait."""
    start = time.monotonic()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = run(**order, answer=writer)
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as answer:
        code = wait(child, start, order["kill"])
        changes = answer.read()
    return code, time.monotonic() - start, int(changes) if changes else None


def wait(child: int, start: float, kill: Any) -> int:
    """The exit code of a child, which is killed after so many seconds where that is asked for."""
    if isinstance(kill, (int, float)):
        while time.monotonic() < start + kill:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(follow(json.loads(line))), flush=True)
