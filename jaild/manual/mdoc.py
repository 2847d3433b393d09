"""Text as mdoc(7) takes it: each sentence on a line of its own, no line long, nothing read as a macro."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

_WIDTH = 78  # of a line of input; mandoc -Tlint asks for no more than 80
_SENTENCE = re.compile(r"(?<=[.!?])(?=\s)\s+|(?<=[.!?][)\"'])\s+")
_TICKED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Page:
    """One page: `name` in `section`, what it is in one line, and the lines of its body."""

    name: str
    section: int
    summary: str
    body: tuple[str, ...]

    @property
    def path(self) -> str:
        """Where it belongs below a `man` folder: man8/jaild.8."""
        return f"man{self.section}/{self.name}.{self.section}"

    def text(self, day: date) -> str:
        """Return its source, dated."""
        head = [
            f".Dd {day:%B} {day.day}, {day.year}",
            f".Dt {self.name.upper()} {self.section}",
            ".Os",
            ".Sh NAME",
            f".Nm {self.name}",
            f".Nd {escaped(self.summary)}",
        ]
        return "\n".join([*head, *self.body, ""])


def escaped(words: str) -> str:
    """Return words that mean themselves, within a line."""
    plain = words.replace("\\", "\\e").replace('"', "\\(dq").replace("--", "\\-\\-").replace("FreeBSD", "Free\\&BSD")
    return _TICKED.sub(r"\\(lq\1\\(rq", plain)


def word(text: str) -> str:
    """Return one argument of a macro that means itself."""
    return "\\&" + escaped(text).replace(" ", "\\ ")


def prose(words: str) -> Iterator[str]:
    """Yield the lines of a paragraph."""
    for sentence in _SENTENCE.split(" ".join(words.split())):
        for line in textwrap.wrap(escaped(sentence), _WIDTH, break_long_words=False, break_on_hyphens=False):
            yield ("\\&" if line[0] in ".'" else "") + line


def paragraphs(words: str) -> Iterator[str]:
    """Yield the lines of text whose paragraphs have an empty line between them."""
    for number, paragraph in enumerate(filter(None, (part.strip() for part in words.split("\n\n")))):
        if number:
            yield ".Pp"
        yield from prose(paragraph)


def tagged(rows: Iterable[tuple[str, Iterable[str]]], *, width: str = "Ds") -> Iterator[str]:
    """Yield a list of terms (the words of `.It`) with what is said of each."""
    yield f".Bl -tag -width {width}"
    for term, lines in rows:
        yield f".It {term}"
        yield from lines
    yield ".El"


def literal(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines as they stand, indented."""
    yield ".Bd -literal -offset indent"
    yield from (("\\&" if line[:1] in {".", "'"} else "") + escaped(line) for line in lines)
    yield ".Ed"


def references(*pages: str) -> Iterator[str]:
    """Yield SEE ALSO: pages as `zfs(8)`, sorted by section and name."""
    yield ".Sh SEE ALSO"
    found = sorted(
        (re.fullmatch(r"(.+)\((\d)\)", page) for page in pages), key=lambda m: (m[2], m[1]) if m else ("", "")
    )
    for number, match in enumerate(found, 1):
        if match is not None:
            yield f".Xr {match[1]} {match[2]}" + (" ," if number < len(found) else "")
