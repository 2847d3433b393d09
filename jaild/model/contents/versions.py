"""Which of two versions is the later one, by the rules of the packages' own system.

dpkg: deb-version(7). rpm: rpm-version(7) and rpmvercmp. pkg: the comment on get_component in libpkg/pkg_version.c, and
`pkg version -t`. Numbers are compared as texts without leading zeros: they may have any length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from itertools import zip_longest
from typing import Any

_Number = tuple[int, str]  # length and digits, without leading zeros
_DPKG_PART = re.compile(r"([^0-9]*)([0-9]*)")
_RPM_PART = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")
_PKG_NUMBER = re.compile(r"[0-9]+")
_PKG_LETTERS = re.compile(r"[A-Za-z]+")
_PKG_SEPARATORS = re.compile(r"[^0-9A-Za-z+*]*")
_PKG_STAGES = {"pl": 0, "alpha": 1, "beta": 2, "pre": 16, "rc": 18}  # as a letter: a is 1
_DIGITS = frozenset("0123456789")


class Ecosystem(StrEnum):
    """Whose package it is, and so by whose rules its versions are compared."""

    DPKG = "dpkg"
    PKG = "pkg"
    RPM = "rpm"
    NONE = ""  # no package's: the version in a library's file name, by dpkg's rules of one without epoch and revision


def compare(ecosystem: Ecosystem, one: str, other: str) -> int:
    """Return less than 0 if `one` is the earlier version, 0 if neither is, more than 0 if it is the later one."""
    return _RULES[ecosystem](one, other)


def _sign(one: Any, other: Any) -> int:  # of one kind
    return int(one > other) - int(one < other)


def _number(digits: str) -> _Number:
    bare = digits.lstrip("0")
    return len(bare), bare


# -- dpkg


def _dpkg(one: str, other: str) -> int:
    (epoch, upstream, revision), (epoch2, upstream2, revision2) = _dpkg_parts(one), _dpkg_parts(other)
    return _sign(epoch, epoch2) or _plain(upstream, upstream2) or _plain(revision, revision2)


def _dpkg_parts(version: str) -> tuple[_Number, str, str]:
    epoch, colon, rest = version.partition(":")
    upstream, _, revision = (rest if colon else version).rpartition("-")
    if not upstream:
        upstream, revision = revision, ""
    return _number(epoch if colon else ""), upstream, revision


def _plain(one: str, other: str) -> int:
    """Compare what is no digit, then what is one, in turn; what is missing is an empty text and the number 0."""
    nothing = ("", "")
    for (text, digits), (text2, digits2) in zip_longest(_dpkg_pairs(one), _dpkg_pairs(other), fillvalue=nothing):
        found = _sign(_dpkg_order(text), _dpkg_order(text2)) or _sign(_number(digits), _number(digits2))
        if found:
            return found
    return 0


def _dpkg_pairs(version: str) -> Iterator[tuple[str, str]]:
    return (found.groups() for found in _DPKG_PART.finditer(version))  # type: ignore[misc]  # both groups match


def _dpkg_order(text: str) -> tuple[int, ...]:
    """`~` before the end, the end before letters, letters before all else."""
    orders = [
        -1 if each == "~" else ord(each) if each.isascii() and each.isalpha() else ord(each) + 256 for each in text
    ]
    return (*orders, 0)


# -- rpm


def _rpm(one: str, other: str) -> int:
    (epoch, version, release), (epoch2, version2, release2) = _rpm_parts(one), _rpm_parts(other)
    found = _sign(epoch, epoch2) or _rpmvercmp(version, version2)
    return found or (_rpmvercmp(release, release2) if release and release2 else 0)


def _rpm_parts(version: str) -> tuple[_Number, str, str]:
    epoch, colon, rest = version.partition(":")
    name, _, release = (rest if colon else version).partition("-")
    return _number(epoch if colon else ""), name, release


def _rpmvercmp(one: str, other: str) -> int:
    pairs = zip_longest(_RPM_PART.findall(one), _RPM_PART.findall(other), fillvalue="")
    return next((found for a, b in pairs if (found := _rpm_part(a, b))), 0)


def _rpm_part(one: str, other: str) -> int:
    """Compare by kind first: `~`, the end, `^`, letters, numbers."""
    found = _sign(_rpm_kind(one), _rpm_kind(other))
    return found or (_sign(_number(one), _number(other)) if one[:1] in _DIGITS else _sign(one, other))


def _rpm_kind(part: str) -> int:
    marks = ("~", "", "^")
    return marks.index(part) if part in marks else len(marks) + (part[0] in _DIGITS)


# -- pkg

_Component = tuple[int, _Number, int, int, _Number]  # number (its sort and value), letter, patch level (likewise)
_PKG_MISSING: _Component = (0, (0, ""), 0, 0, (0, ""))


def _pkg(one: str, other: str) -> int:
    (epoch, version, revision), (epoch2, version2, revision2) = _pkg_parts(one), _pkg_parts(other)
    found = _sign(epoch, epoch2)
    if not found and version.lower() != version2.lower():
        found = _pkg_components(version.lower(), version2.lower())
    return found or _sign(revision, revision2)


def _pkg_parts(version: str) -> tuple[_Number, str, _Number]:
    bare = version.rpartition("-")[2]
    before, underscore, after = bare.rpartition("_")
    rest, comma, epoch = (after if underscore else bare).rpartition(",")
    revision = (rest if comma else after) if underscore else ""
    name = before if underscore else rest if comma else bare
    return _leading(epoch if comma else ""), name, _leading(revision)


def _leading(text: str) -> _Number:
    found = _PKG_NUMBER.match(text)
    return _number(found[0] if found else "")


def _pkg_components(one: str, other: str) -> int:
    """Compare components in turn, those of one block (between two `+`) with each other."""
    at, at2 = 0, 0
    while at < len(one) or at2 < len(other):
        ends, ends2 = one[at : at + 1] in {"", "+"}, other[at2 : at2 + 1] in {"", "+"}
        if ends and ends2:
            at, at2 = at + 1, at2 + 1
            continue
        found, at = (_PKG_MISSING, at) if ends else _pkg_component(one, at)
        found2, at2 = (_PKG_MISSING, at2) if ends2 else _pkg_component(other, at2)
        if found != found2:
            return _sign(found, found2)
    return 0


def _pkg_component(text: str, at: int) -> tuple[_Component, int]:
    """Return a number with a letter and a patch level, as far as they are there, and where the next one begins."""
    kind, number, begins = -1, (0, ""), True  # what begins with a letter comes before 0
    if digits := _PKG_NUMBER.match(text, at):
        kind, number, begins, at = 0, _number(digits[0]), False, digits.end()
    elif text[at : at + 1] == "*":
        plus = text.find("+", at)
        kind, begins, at = -2, False, len(text) if plus < 0 else plus
    letter, level_kind, level = 0, 0, (0, "")
    if letters := _PKG_LETTERS.match(text, at):
        stage = _PKG_STAGES.get(letters[0]) if len(letters[0]) > 1 else None
        if stage is None or begins:
            letter = ord(letters[0][0]) - ord("a") + 1 if stage is None else stage
            at, level_kind = letters.end(), -1
            if digits := _PKG_NUMBER.match(text, at):
                level_kind, level, at = 0, _number(digits[0]), digits.end()
    separators = _PKG_SEPARATORS.match(text, at)
    return (kind, number, letter, level_kind, level), separators.end() if separators else at


_RULES: Mapping[Ecosystem, Callable[[str, str], int]] = {
    Ecosystem.DPKG: _dpkg,
    Ecosystem.PKG: _pkg,
    Ecosystem.RPM: _rpm,
    Ecosystem.NONE: _plain,
}
