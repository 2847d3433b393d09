"""jail.conf(5), as tools write it: one block, with quotes, lists and `+=`. Nothing is expanded or included."""

from __future__ import annotations

import re

from jaild.model.errors import InvalidArgumentError

# Comments of its three kinds, strings in two kinds of quotes, operators, bare words.
_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*|//[^\n]*|/\*.*?\*/)
      | '(?P<single>(?:[^'\\]|\\.)*)' | "(?P<double>(?:[^"\\]|\\.)*)"
      | (?P<mark>\+=|[{}=;,]) | (?P<word>[^\s{}=;,'"\#+]+|\+)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def parse(text: str, name: str) -> dict[str, tuple[str, ...]]:
    """Return the parameters of the block `name` by their names; one without a value has none.

    `InvalidArgumentError` (FOREIGN_CONFIG_UNREADABLE).
    """
    tokens = _tokens(text)
    try:
        begin = next(i for i, each in enumerate(tokens) if each == ("text", name) and tokens[i + 1] == ("mark", "{"))
    except (StopIteration, IndexError):
        raise _unreadable(f"it has no block {name!r}") from None
    found: dict[str, tuple[str, ...]] = {}
    statement: list[tuple[str, str]] = []
    for kind, value in tokens[begin + 2 :]:
        if (kind, value) == ("mark", "}"):
            return found
        if (kind, value) == ("mark", ";"):
            _take(found, statement)
            statement = []
        else:
            statement.append((kind, value))
    raise _unreadable(f"the block {name!r} does not end")


def _take(found: dict[str, tuple[str, ...]], statement: list[tuple[str, str]]) -> None:
    if not statement:
        return
    (_, key), *rest = statement
    marks = [value for kind, value in rest if kind == "mark"]
    values = tuple(value for kind, value in rest if kind == "text")
    before = found.get(key, ()) if marks[:1] == ["+="] else ()
    found[key] = (*before, *values)


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unreadable(f"it cannot be read from {text[at : at + 20]!r} on")
        at = match.end()
        if match["mark"] is not None:
            tokens.append(("mark", match["mark"]))
        elif match["space"] is None:
            quoted = match["single"] if match["single"] is not None else match["double"]
            value = match["word"] if quoted is None else _ESCAPE.sub(r"\1", quoted)
            tokens.append(("text", value))
    return tokens


def _unreadable(what: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "FOREIGN_CONFIG_UNREADABLE", f"the jail.conf cannot be read: {what}", hint="see whether its own tool reads it"
    )
