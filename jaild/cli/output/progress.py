"""What is shown on stderr while one waits: a live line on a terminal that can redraw, plain lines anywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from jaild.cli.output.human import printable
from jaild.model.quantity import size


class View(Protocol):
    """Shows how far something is."""

    def step(self, phase: str, message: str = "", done: int = 0, total: int = 0) -> None:
        """Show phase, message and bytes; `total` 0 means unknown or not counted. May be called from any thread."""

    def note(self, text: str) -> None:
        """Say something that stays."""


class Lines:
    """For logs and pipes: a line for each phase and message, none for bytes."""

    def __init__(self) -> None:
        self._last = ""

    def step(self, phase: str, message: str = "", done: int = 0, total: int = 0) -> None:  # noqa: ARG002
        """Print phase and message if they changed."""
        line = printable(f"{phase}: {message}" if message else phase)
        if line and line != self._last:
            click.echo(line, err=True)
        self._last = line

    def note(self, text: str) -> None:
        """Print a line."""
        click.echo(printable(text), err=True)


class _Bar(BarColumn):
    """A bar where a total is known."""

    def render(self, task: Task) -> Any:
        """Return it, or nothing."""
        return super().render(task) if task.total else Text("")


class _Bytes(ProgressColumn):
    """How many bytes were counted, of how many, and how many come in a second."""

    def render(self, task: Task) -> Text:
        """Return that, or nothing where none are counted."""
        if not task.completed:
            return Text("")
        of = f" of {size(int(task.total))}" if task.total else ""
        speed = f", {size(int(task.speed))}/s" if task.speed else ""
        return Text(f"{size(int(task.completed))}{of}{speed}", style="progress.download")


class Live:
    """For terminals: one line that changes, gone at the end."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._phase = ""
        self._task = progress.add_task("", total=None, message="")

    def step(self, phase: str, message: str = "", done: int = 0, total: int = 0) -> None:
        """Show the phase; with each new one the bar and its speed begin anew."""
        if phase != self._phase:
            self._progress.remove_task(self._task)
            self._task = self._progress.add_task("", total=None, message="")
            self._phase = phase
        self._progress.update(
            self._task,
            description=printable(phase),
            message=printable(message),
            completed=done,
            total=total or None,
        )

    def note(self, text: str) -> None:
        """Print a line above."""
        self._progress.console.print(Text(printable(text)))


def redraws(stream: TextIO) -> bool:
    """Return whether what was written can be written over: by a terminal that says what it is.

    The console of a host that boots or shuts down does not, nor does one that rc.d/jaild_jails calls dumb.
    """
    return stream.isatty() and os.environ.get("TERM", "") not in {"", "dumb", "unknown"}


@contextmanager
def shown() -> Iterator[View]:
    """Yield the view that suits stderr."""
    if not redraws(sys.stderr):
        yield Lines()
        return
    with line(Console(stderr=True)) as progress:
        yield Live(progress)


def line(console: Console) -> Progress:
    """Return the line that `Live` changes: phase, a bar where a total is known, bytes and speed, message, time."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", style="bold", markup=False),
        _Bar(bar_width=30),
        _Bytes(),
        TextColumn("{task.fields[message]}", markup=False),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True)
