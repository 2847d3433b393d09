"""Questions over what layers hold: a name with versions (`libssl.so.3<3.0.15`), a file by its path or its sha256."""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Mapping
from enum import StrEnum

import msgspec

from jaild.model.contents.index import Contents, FileSums, resolved
from jaild.model.contents.versions import Ecosystem, compare
from jaild.model.errors import InvalidArgumentError

_QUESTION = re.compile(r"([^<>=,\s]+)\s*((?:(?:<=|>=|==?|<|>)\s*[^<>=,\s]+\s*(?:,\s*|$))*)")
_BOUND = re.compile(r"(<=|>=|==?|<|>)\s*([^<>=,\s]+)")
_SHA256 = re.compile(r"(?:sha256:)?([0-9A-Fa-f]{64})")
_HOLDS: Mapping[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "==": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
}
_LONGEST = 1024  # characters, as FreeBSD's PATH_MAX: a pattern is compiled, which takes the longer the longer it is
MOST = 1000  # things that are found in one layer


class Kind(StrEnum):
    """What a question is about."""

    LIBRARY = "library"
    PACKAGE = "package"
    FILE = "file"
    BASE = "base"
    RELEASE = "release"


class Bound(msgspec.Struct, frozen=True):
    """What a version must be compared with another one."""

    relation: str
    version: str


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A question. `name`: of a library its soname, of a file its path or `sha256:`; `*` stands for anything."""

    kind: Kind
    name: str
    bounds: tuple[Bound, ...] = ()


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a question asks for, in a layer."""

    name: str
    version: str = ""  # '' : not known
    path: str = ""
    package: str = ""
    ecosystem: Ecosystem = Ecosystem.NONE
    unsure: bool = False  # versions were asked for, and its is not known


def question(kind: Kind, text: str) -> Question:
    """Read a question. `InvalidArgumentError` (INVALID_QUESTION)."""
    text = text.strip()
    if len(text) > _LONGEST:
        raise _invalid(f"{text[:20]}...", f"it has more than {_LONGEST} characters")
    if kind is Kind.FILE:
        if found := _SHA256.fullmatch(text):
            return Question(kind=kind, name=f"sha256:{found[1].lower()}")
        if not text.startswith("/"):
            raise _invalid(text, "a file is asked for by its whole path in the jail, or by its sha256")
        return Question(kind=kind, name=text)
    if kind in {Kind.BASE, Kind.RELEASE}:
        if not text:
            raise _invalid(text, "it is empty")
        return Question(kind=kind, name=text)
    asked = _QUESTION.fullmatch(text)
    if asked is None:
        raise _invalid(text, "it is not a name with versions behind it")
    return Question(kind=kind, name=asked[1], bounds=tuple(Bound(*each) for each in _BOUND.findall(asked[2])))


def _invalid(text: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "INVALID_QUESTION",
        f"{text!r}: {why}",
        hint="libssl.so.3<3.0.15 for a library, openssl>=3,<3.0.15 for a package, /bin/sh or sha256:... for a file",
    )


def in_contents(asked: Question, contents: Contents) -> list[Match]:
    """Return the packages or libraries that a question asks for; of a package also by the name of its source."""
    if asked.kind is Kind.LIBRARY:
        found = [
            Match(
                name=each.soname,
                version=each.version,
                path=each.path,
                package=each.package,
                ecosystem=each.ecosystem,
                unsure=bool(asked.bounds) and not each.version,
            )
            for each in contents.libraries
            if _named(asked, each.soname) and (not each.version or _upstream_holds(asked, each.ecosystem, each.version))
        ]
    else:
        found = [
            Match(name=each.name, version=each.version, package=each.source, ecosystem=each.ecosystem)
            for each in contents.packages
            if (_named(asked, each.name) and _holds(asked, each.ecosystem, each.version))
            or (_named(asked, each.source) and _holds(asked, each.ecosystem, each.source_version or each.version))
        ]
    return found[:MOST]


def in_files(asked: Question, sums: FileSums) -> list[Match]:
    """Return the files that a question asks for, by path (links are followed) or by sha256."""
    wanted = asked.name.removeprefix("sha256:")
    if wanted != asked.name:
        return [Match(name=f"sha256:{wanted}", path=path) for path, has in sums.files.items() if has == wanted][:MOST]
    if "*" in wanted:
        paths = [path for path in sums.files if fnmatch.fnmatchcase(path, wanted)]
    else:
        path = resolved(wanted, sums.links)
        paths = [path] if path in sums.files else []
    return [Match(name=f"sha256:{sums.files[path]}" if sums.files[path] else "", path=path) for path in paths[:MOST]]


def _named(asked: Question, name: str) -> bool:
    return fnmatch.fnmatchcase(name, asked.name) if "*" in asked.name else name == asked.name


def _holds(asked: Question, ecosystem: Ecosystem, version: str) -> bool:
    return all(_HOLDS[each.relation](compare(ecosystem, version, each.version), 0) for each in asked.bounds)


def _upstream_holds(asked: Question, ecosystem: Ecosystem, version: str) -> bool:
    """Of a library the version of its makers is asked for: an epoch of its package counts only if it is named."""
    if ecosystem in {Ecosystem.DPKG, Ecosystem.RPM} and not any(":" in each.version for each in asked.bounds):
        version = version.partition(":")[2] or version
    if ecosystem is Ecosystem.PKG and not any("," in each.version for each in asked.bounds):
        version = version.partition(",")[0]
    return _holds(asked, ecosystem, version)
