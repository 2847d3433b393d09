"""YAML from people, read with suspicion: values together with the line each stands on.

What YAML allows and a specification never needs is refused, with the line: aliases (a few hundred bytes of them
make gigabytes), keys said twice (the last one would win in silence), keys that are not text, and depth, size or
number beyond reason. Half a second of work at most, with a few megabytes: call it in a thread.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from jaild.model import bounds, quantity

LIMIT = bounds.YAML_BYTES
_DEPTH = 32
_PLAIN_KEY = re.compile(r"[\w-]+")
_TEXT = "tag:yaml.org,2002:str"
_OPENING = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSING = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def step(key: str) -> str:
    """Return how a path goes on to `key`: `.key`, or `["a.b"]` where the key itself has punctuation."""
    return f".{key}" if _PLAIN_KEY.fullmatch(key) else f"[{json.dumps(key, ensure_ascii=False)}]"


class UnreadableError(Exception):
    """The text is not the YAML we take. `line` counts from 1; 0 where no line is to blame."""

    def __init__(self, message: str, line: int = 0, path: str = "$") -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.path = path


class Text:
    """A document's value, and where each part of it stands. Paths are written as `$.network.addresses[0]`."""

    def __init__(self, value: Any, lines: dict[str, int], written: dict[str, str]) -> None:
        self.value = value
        self._lines = lines
        self._written = written

    def line(self, path: str) -> int:
        """Return the line of `path`, or of the nearest part around it that exists."""
        while path not in self._lines and path != "$":
            path = path[: max(path.rfind("."), path.rfind("["), 1)]
        return self._lines.get(path, 1)

    def written(self, path: str) -> str:
        """Return what YAML took for a number, a date, a yes or no at `path`, letter by letter; '' for anything else."""
        return self._written.get(path, "")


def read(text: str) -> Text:
    """Read one YAML document; raise `UnreadableError` naming the line."""
    if len(text.encode("utf-8", "surrogatepass")) > LIMIT:
        raise UnreadableError(f"it is larger than {quantity.size(LIMIT)}")
    loader = yaml.SafeLoader("")
    try:
        _check_events(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            raise UnreadableError("it is empty", 1)
        lines, written = _looked_up(node)
        return Text(loader.construct_document(node), lines, written)
    except yaml.MarkedYAMLError as error:
        line = _line(error.problem_mark or error.context_mark)
        raise UnreadableError(f"it is not YAML: {error.problem or error.context}", line) from error
    except yaml.YAMLError as error:  # a character that YAML forbids
        raise UnreadableError(f"it is not YAML: {str(error).splitlines()[0]}") from error
    except ValueError as error:  # such as the date 2026-13-45
        raise UnreadableError(f"it holds a value that cannot be: {error}") from error
    finally:
        loader.dispose()


def _line(mark: Any) -> int:
    return 0 if mark is None else mark.line + 1


def _check_events(text: str) -> None:
    depth = documents = parts = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = _line(event.start_mark)
        depth += isinstance(event, _OPENING) - isinstance(event, _CLOSING)
        documents += isinstance(event, yaml.DocumentStartEvent)
        parts += isinstance(event, yaml.NodeEvent)
        if parts > bounds.YAML_PARTS:
            raise UnreadableError(f"it has more than {bounds.YAML_PARTS} keys and values", line)
        if depth > _DEPTH:
            raise UnreadableError(f"it is nested deeper than {_DEPTH}", line)
        if documents > 1:
            raise UnreadableError("it holds more than one document", line)
        if isinstance(event, yaml.AliasEvent):
            raise UnreadableError(f"aliases (*{event.anchor}) are not allowed: write the value out", line)


def _looked_up(root: yaml.Node) -> tuple[dict[str, int], dict[str, str]]:
    """Return the line of each part, and how each scalar that is no text is written, by its path.

    A long key stands in the path of all below it: those are counted.
    """
    lines: dict[str, int] = {}
    written: dict[str, str] = {}
    room = bounds.YAML_PATHS
    for path, line, node in _walk("$", root):
        room -= len(path)
        if room < 0:
            raise UnreadableError("its keys are too long for what stands below them", line)
        lines[path] = line
        if isinstance(node, yaml.ScalarNode) and node.tag != _TEXT:
            written[path] = node.value
    return lines, written


def _walk(path: str, node: yaml.Node) -> Iterator[tuple[str, int, yaml.Node]]:
    """Yield each part's path, line and node; refuse keys that are no text, or said twice."""
    yield path, _line(node.start_mark), node
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _walk(f"{path}[{index}]", item)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, item in node.value:
            line = _line(key.start_mark)
            if key.tag != _TEXT or not isinstance(key, yaml.ScalarNode):
                shown = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                raise UnreadableError(f"the key {shown!r} is not text: put it in quotes", line, path)
            below = path + step(key.value)
            if key.value in seen:
                raise UnreadableError(
                    f"the key {key.value!r} is there twice, first on line {seen[key.value]}", line, below
                )
            seen[key.value] = line
            yield from _walk(below, item)
            yield below, line, key  # a mapping's line is its key's
