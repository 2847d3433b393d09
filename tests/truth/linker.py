"""What a base's own dynamic linker says of a file, asked as ldd(1) with -r asks it: in a chroot, nothing is run."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.demo.programs import environment

ASKED = {"LD_TRACE_LOADED_OBJECTS": "1", "LD_WARN": "yes", "LD_BIND_NOW": "yes"}  # what ldd(1) sets
_FOUND = re.compile(r"^\t(\S+)(?: => (\S+))? \(0x[0-9a-f]+\)$")
_NOT_FOUND = re.compile(r"^\t(\S+) => not found$")
_VERSION = re.compile(r"^\S+: (\S+): version `([^']+)' not found \(required by (\S+)\)$")
_SYMBOL = re.compile(r"^undefined symbol: ([^,\s]+)(?:, version (\S*))?\t\((\S+)\)$")
_LEVEL = re.compile(r"^  (\S+) \(supported, searched\)$", re.MULTILINE)


@dataclass(frozen=True)
class Answer:
    """What it said of a file. `by` is the file that needs it: the asked one, or a library that it loads."""

    found: Mapping[str, str] = field(default_factory=dict)  # name of a library -> path
    missing: frozenset[str] = frozenset()  # names of libraries
    versions: frozenset[tuple[str, str, str]] = frozenset()  # by, path of the library, version
    symbols: frozenset[tuple[str, str, str]] = frozenset()  # by, symbol, version or "" (also if its library is missing)
    other: tuple[str, ...] = ()  # lines of any other kind, such as "wrong ELF class"; an exit status

    def loads(self, *, program: bool) -> bool:
        """Tell whether it would start; plain symbols that a library lacks may come from the program that opens it."""
        lacks = any(program or version for _, _, version in self.symbols)
        return not (self.missing or self.versions or self.other or lacks)


def parse(text: str, status: int = 0) -> Answer:
    """Read what the linker printed."""
    found: dict[str, str] = {}
    missing, versions, symbols, other = set(), set(), set(), []
    for line in text.splitlines():
        if said := _FOUND.match(line):
            found[said[1]] = said[2] or said[1]
        elif said := _NOT_FOUND.match(line):
            missing.add(said[1])
        elif said := _VERSION.match(line):
            versions.add((said[3], said[1], said[2]))
        elif said := _SYMBOL.match(line):
            symbols.add((said[3], said[1], said[2] or ""))
        elif line.strip() not in {"", "statically linked"}:
            other.append(line.strip())
    other += [f"status {status}"] if status else []
    return Answer(found, frozenset(missing), frozenset(versions), frozenset(symbols), tuple(other))


@dataclass(frozen=True)
class ChrootLinker:
    """The dynamic linker of a base that is unpacked at `tree`, at `path` in it."""

    tree: Path
    path: str

    def ask(self, file: str, variables: Mapping[str, str] | None = None) -> Answer:
        """Ask it about `file`, a path inside the tree, in a process with these variables: LD_LIBRARY_PATH."""
        given = [f"{name}={value}" for name, value in {**ASKED, **(variables or {})}.items()]
        told = self._run("/usr/bin/env", *given, self.path, file)
        return parse(told.stdout + told.stderr, told.returncode)

    def levels(self) -> tuple[str, ...]:
        """Return the folders of glibc-hwcaps where it looks on this machine's CPU, the preferred first."""
        return tuple(_LEVEL.findall(self._run(self.path, "--help").stdout))

    def _run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["chroot", str(self.tree), *argv],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            errors="replace",
        )
