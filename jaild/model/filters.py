"""Filters of lists: the part of AIP-160 (https://google.aip.dev/160) that tells things apart by what they say.

    state = running AND labels.team = cdn
    base = "debian-12" OR base = "debian-13"       OR binds tighter than AND, as AIP-160 has it
    NOT health = healthy                           so does `-health = healthy`
    name = "edge-*"                                `*` at one end, or both, stands for anything
    labels.canary : *                              that it has one

Values that are no word of letters, digits and `._/:+-` stand in quotes. Comparisons are of text, and exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from jaild.model.errors import InvalidArgumentError

LONGEST = 4096  # characters of a filter
_DEEPEST = 20  # parentheses within each other
_TOKEN = re.compile(r"""\s*(?:(?P<sign>!=|[=():-])|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[\w*][\w.*/:+-]*))""")

Facts = Callable[[str], Iterable[str]]
"""What a thing says of a field: its values, none if it has none."""

Fields = Mapping[str, Collection[str]]
"""The fields that may be asked for, each with the values that it may have: none for any text.

Such as `labels.KEY` stands for all that begin with `labels.`.
"""

Filter = Callable[[Facts], bool]


def parse(text: str, fields: Fields | None) -> Filter:
    """Return what tells whether a thing passes; an empty filter lets all pass. None for `fields`: they may be any.

    `InvalidArgumentError` (INVALID_FILTER), also for a field that there is not, and a value that it never has.
    """
    if len(text) > LONGEST:
        raise _invalid(f"it has {len(text)} characters, {LONGEST} are allowed", fields)
    return _Parser(text, fields).whole()


@dataclass(frozen=True)
class _Token:
    kind: str  # sign, quoted, word, end
    text: str
    at: int


class _Parser:
    def __init__(self, text: str, fields: Fields | None) -> None:
        self._fields = fields
        self._tokens = list(_tokens(text, fields))
        self._next = 0
        self._depth = 0

    def whole(self) -> Filter:
        if self._peek().kind == "end":
            return lambda _: True
        found = self._conjunction()
        if self._peek().kind != "end":
            self._refuse("AND, OR or the end")
        return found

    def _conjunction(self) -> Filter:
        parts = [self._disjunction()]
        while self._takes("AND"):
            parts.append(self._disjunction())
        return parts[0] if len(parts) == 1 else lambda facts: all(part(facts) for part in parts)

    def _disjunction(self) -> Filter:
        parts = [self._term()]
        while self._takes("OR"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else lambda facts: any(part(facts) for part in parts)

    def _term(self) -> Filter:
        if self._takes("NOT") or self._takes("-"):
            inner = self._simple()
            return lambda facts: not inner(facts)
        return self._simple()

    def _simple(self) -> Filter:
        if not self._takes("("):
            return self._comparison()
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse("less parentheses within each other")
        inner = self._conjunction()
        if not self._takes(")"):
            self._refuse(")")
        self._depth -= 1
        return inner

    def _comparison(self) -> Filter:
        field = self._take()
        if field.kind != "word" or field.text in {"AND", "OR", "NOT"}:
            self._refuse("a field", field)
        name, colon, joined = field.text.partition(":")
        if colon:  # written without blanks: labels.team:cdn
            operator, value = ":", joined or self._value()
        else:
            sign = self._take()
            if sign.text not in {"=", "!=", ":"} or sign.kind != "sign":
                self._refuse("=, != or :", sign)
            operator, value = sign.text, self._value()
        matches = _matcher(value)
        values = self._values(name)
        if values and not any(map(matches, values)):
            raise _invalid(f"{name} is never {value!r}, but one of {', '.join(values)}", self._fields)
        return lambda facts: any(map(matches, facts(name))) is not (operator == "!=")

    def _values(self, name: str) -> Collection[str]:
        """Return the values that a field may have; none for any text."""
        if self._fields is None:
            return ()
        top, dot, _ = name.partition(".")
        known = f"{top}.KEY" if dot else name
        if known not in self._fields:
            raise _invalid(f"there is no field {name}", self._fields)
        return self._fields[known]

    def _value(self) -> str:
        value = self._take()
        if value.kind not in {"word", "quoted"}:
            self._refuse("a value", value)
        return value.text

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek()
        self._next += token.kind != "end"
        return token

    def _takes(self, text: str) -> bool:
        token = self._peek()
        if token.kind == "quoted" or token.text != text:
            return False
        self._next += 1
        return True

    def _refuse(self, wanted: str, found: _Token | None = None) -> NoReturn:
        found = found or self._peek()
        said = f"there is {found.text!r} at character {found.at + 1}" if found.kind != "end" else "it ends"
        raise _invalid(f"{said} where {wanted} is wanted", self._fields)


def _tokens(text: str, fields: Fields | None) -> Iterable[_Token]:
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise _invalid(f"character {at + 1} begins nothing that is known", fields)
        found = match[match.lastgroup]
        if match.lastgroup == "quoted":
            found = re.sub(r"\\(.)", r"\1", found)
        yield _Token(match.lastgroup, found, match.start(match.lastgroup))
        at = match.end()
    yield _Token("end", "", end)


def _matcher(value: str) -> Callable[[str], bool]:
    begins, ends = value.endswith("*"), value.startswith("*")
    text = value.strip("*") if begins or ends else value
    if begins and ends:
        return lambda found: text in found
    if begins:
        return lambda found: found.startswith(text)
    if ends:
        return lambda found: found.endswith(text)
    return lambda found: found == value


def _invalid(why: str, fields: Fields | None) -> InvalidArgumentError:
    known = f"; fields are {', '.join(fields)}" if fields is not None else ""
    return InvalidArgumentError(
        "INVALID_FILTER",
        f"the filter cannot be read: {why}",
        hint=f'write it as in: state = running AND labels.team = "cdn"{known}',
    )
