"""What the demo says while it runs: a heading for each step, the commands as one types them, what came out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.demo.fleet import Answer, Result

STYLE = {
    Result.OK: "bold green",
    Result.ROLLED_BACK: "bold yellow",
    Result.REFUSED: "bold yellow",
    Result.FAILED: "bold red",
}


class Screen:
    """Prints on stdout; a spinner only where that is a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)

    def heading(self, number: int, name: str, why: str) -> None:
        """Begin a step."""
        self.console.print()
        self.console.print(Text.assemble((f"{number:>2}  {name}", "bold"), "  ", (why, "dim")))

    @contextmanager
    def waiting(self, command: str) -> Iterator[None]:
        """Show a command while it runs."""
        self.console.print(Text(f"    $ {command}", style="cyan"))
        with self.console.status("    ", spinner="line"):
            yield

    def outcome(self, answer: Answer) -> None:
        """Say how a command ended."""
        self.console.print(
            Text.assemble("      ", (answer.result, STYLE[answer.result]), f" in {answer.seconds:.1f} s")
        )

    def fact(self, text: str) -> None:
        """Say what came out."""
        self.console.print(Text(f"      {text}"))

    def quote(self, text: str) -> None:
        """Repeat what the daemon said."""
        for line in text.strip().splitlines():
            self.console.print(Text(f"      | {line}", style="dim"))

    def table(self, table: Table | None) -> None:
        """Show a table, if there is one."""
        if table is None:
            return
        self.console.print()
        self.console.print(table)

    def say(self, text: str) -> None:
        """Say something outside of the steps."""
        self.console.print(Text(text, style="dim"))

    def failure(self, text: str) -> None:
        """Say what went wrong."""
        self.console.print(Text(f"demo: {text}", style="bold red"))
