"""jailctl without its start: a process that has it loaded, and forks for each question.

A power cut is followed by some twenty questions, and most of a jailctl's second is imports. `python -m tests.lab.asker`
takes command lines on stdin (JSON lists, a line each) and answers on stdout (JSON: status, output, complaint).
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

from jaild.cli import main as jailctl
from tests.demo.fleet import Answer


class Asker:
    """The other end of such a process. One question at a time."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def ask(self, *words: str) -> Answer:
        """Run one jailctl to its end."""
        stdin, stdout = self._pipes()
        began = time.monotonic()
        print(json.dumps(words), file=stdin, flush=True)
        line = stdout.readline()
        if not line:
            raise EOFError(f"the asker ended with status {self._process.wait()}")
        return Answer(command=f"jailctl {' '.join(words)}", seconds=time.monotonic() - began, **json.loads(line))

    def close(self) -> None:
        """End the process."""
        stdin, stdout = self._pipes()
        stdin.close()
        self._process.wait(timeout=20)
        stdout.close()

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        if self._process.stdin is None or self._process.stdout is None:
            raise TypeError
        return self._process.stdin, self._process.stdout


def serve(questions: IO[str], answers: IO[str]) -> None:
    """Answer until the questions end."""
    for noun in jailctl.NOUNS:
        importlib.import_module(f"jaild.cli.commands.{noun.replace('-', '_')}")
    for line in questions:
        print(json.dumps(_run(json.loads(line))), file=answers, flush=True)


def _run(words: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaint:
        child = os.fork()  # before gRPC has a thread: this process never makes a call
        if child == 0:
            _become(words, output.fileno(), complaint.fileno())
        _, status = os.waitpid(child, 0)
        told = [_content(file) for file in (output, complaint)]
    return {"status": os.waitstatus_to_exitcode(status), "output": told[0], "complaint": told[1]}


def _become(words: list[str], output: int, complaint: int) -> None:
    """Be that jailctl; ends the process."""
    os.dup2(output, 1)
    os.dup2(complaint, 2)
    status: int | str | None = 1
    try:
        sys.argv = ["jailctl", *words]
        jailctl.main()
    except SystemExit as end:
        status = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 0 if status is None else 1)


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
