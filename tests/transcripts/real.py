"""The shell blocks of a page after `<!-- run -->`, as they stand, on this machine; what they print is put below them.

A block after `<!-- output -->` is what the shell block before it prints. After `<!-- output of this machine -->` it is,
too, and differs between machines.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.patience import patient

_BLOCK = re.compile(r"(?:^<!-- (?P<mark>[\w ]+) -->\n)?^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = patient(150.0)  # for a page


@dataclass(frozen=True)
class Step:
    """A shell block, and what the page says that it prints."""

    script: str
    shown: str | None = None  # None: nothing is said
    everywhere: bool = True  # that is the same on each machine, but for numbers
    span: tuple[int, int] = (0, 0)  # of what is shown, in the page


class ShellError(Exception):
    """A block did not end well."""


def steps(text: str) -> list[Step]:
    """Return the shell blocks of a page with what they print."""
    found: list[Step] = []
    for block in _BLOCK.finditer(text):
        mark = block["mark"] or ""
        if mark.startswith("output"):
            found[-1] = Step(found[-1].script, block["body"], mark == "output", block.span("body"))
        elif mark == "run":
            found.append(Step(block["body"]))
    return found


def run(wanted: list[Step], folder: Path, names: Mapping[str, str], env: Mapping[str, str]) -> list[str]:
    """Run the blocks in one shell; return what each prints. `names`: which other ones stand for the page's meanwhile.

    `ShellError` with the end of what was printed. What was started and still runs is killed.
    """
    files = [folder / f"{number}.out" for number, _ in enumerate(wanted)]
    scripts = (_replaced(step.script, names) for step in wanted)
    script = folder / "script"
    script.write_text("".join(f"exec >{file} 2>&1\n{text}" for file, text in zip(files, scripts, strict=True)))
    argv = ["bash", "-e", str(script)]
    shell = subprocess.Popen(argv, env=dict(env), stdin=subprocess.DEVNULL, start_new_session=True, cwd=folder)
    status: int | str = "none: it does not end"
    try:
        with suppress(subprocess.TimeoutExpired):
            status = shell.wait(SECONDS)
    finally:
        with suppress(ProcessLookupError):  # nothing of it is left: what is wanted
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
    told = [file.read_text() for file in files if file.exists()]
    if status != 0:
        raise ShellError(f"block {len(told)}, status {status}:\n{wanted[len(told) - 1].script}\n{told[-1]}")
    back = {new: old for old, new in names.items()}
    return [_replaced(text, back) for text in told]


def written(text: str, wanted: list[Step], told: list[str]) -> str:
    """Return the page with what was printed."""
    for step, new in sorted(zip(wanted, told, strict=True), key=lambda each: -each[0].span[0]):
        if step.shown is not None:
            text = text[: step.span[0]] + new + text[step.span[1] :]
    return text


def _replaced(text: str, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text
