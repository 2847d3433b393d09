"""Blocks of pages: which there are, and how their output is put in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"(?:^(?P<margin> *)<!-- transcript: (?P<name>[\w-]+) -->\n)?^(?P<indent> *)```(?P<kind>\w*)\n(?P<body>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_PROMPT = re.compile(r"([a-z]*\$ )(.*)")

# Which phases are seen depends on how quick the machine is.
_PROGRESS = re.compile(r"(?!error)(wave \d+|[a-z-]+)(: .*)?")
_NUMBER = re.compile(r"\b[0-9a-f]{8,64}\b|\d+(\.\d+)?( (ms|s)\b|[KMGTBsmh]\b)*")


@dataclass(frozen=True)
class Command:
    """A line that is typed at a host's prompt: alpha's, if the prompt names none."""

    prompt: str  # `$ `, `beta$ `
    text: str
    output: str = ""

    @property
    def host(self) -> str:
        """Where it is typed."""
        return self.prompt.removesuffix("$ ") or "alpha"


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    kind: str  # console, sh ...
    name: str  # of its story; '' if it is of none
    body: str  # without the indentation
    indent: str
    span: tuple[int, int]  # of the body, in the page

    @property
    def commands(self) -> tuple[Command, ...]:
        """What is typed in it at a prompt, each with what it printed when that was written."""
        found: list[Command] = []
        for line in self.body.splitlines(keepends=True):
            if prompt := _PROMPT.fullmatch(line.rstrip("\n")):
                found.append(Command(*prompt.groups()))
            elif found:
                found[-1] = replace(found[-1], output=found[-1].output + line)
        return tuple(found)

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def said(body: str) -> list[str]:
    """Return what does not differ between two runs: no numbers, ids, widths of columns, lines of progress."""
    lines = (line for line in body.splitlines() if not _PROGRESS.fullmatch(line))
    return [re.sub(r"[\s-]+", " ", _NUMBER.sub("0", line)) for line in lines]


def pages() -> list[Path]:
    """README and docs, but for decisions, which tell what was."""
    found = sorted((ROOT / "docs").glob("*.md"))
    return [ROOT / "README.md", *found]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    text = page.read_text()
    for match in _BLOCK.finditer(text):
        body = "".join(line.removeprefix(match["indent"]) for line in match["body"].splitlines(keepends=True))
        line = text.count("\n", 0, match.start("kind")) + 1
        yield Block(page, line, match["kind"], match["name"] or "", body, match["indent"], match.span("body"))


def written(page: Path, bodies: Mapping[tuple[int, int], str]) -> str:
    """Return the page's text with new bodies at these spans."""
    text = page.read_text()
    there = {block.span: block for block in blocks(page)}
    for span in sorted(bodies, reverse=True):
        indent = there[span].indent
        new = "".join(f"{indent}{line}\n" if line else "\n" for line in bodies[span].splitlines())
        text = text[: span[0]] + new + text[span[1] :]
    return text
