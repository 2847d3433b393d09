"""The proof and a linker about the same files: where they differ, and in what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from jaild.model.layers.compatibility import check
from jaild.model.layers.libraries import ElfFile, Libraries, Scope, Start
from jaild.model.problems import Problem, errors
from tests.truth.linker import Answer

MOUNT_POINT = "/usr/local"
_KERNELS = frozenset({"linux-vdso.so.1", "linux-gate.so.1"})  # in every process, and no file
_SYMBOL = re.compile(r"^\S+ needs ([^\s@]+)(?:@(\S+) of \S+)?$")
_VERSION = re.compile(r"^\S+ needs (?:[^\s@]+@)?(\S+) of (\S+)$")
_MORE = re.compile(r"^and (\d+) more$")


@dataclass(frozen=True)
class Difference:
    """`what`: passed (and the linker refuses it), refused (and it loads), or in what they differ besides."""

    what: str
    file: str
    detail: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.what}: {self.file}: {self.detail}"


class Judgement:
    """What the proof says of the files of a release over a base."""

    def __init__(
        self, release: Libraries, base: Libraries, *, start: Start | None = None, levels: tuple[str, ...] = ()
    ) -> None:
        self.files = {file.path: file for file in release.files if file.dynamic}
        self.problems = check(release, base, mount_point=MOUNT_POINT, start=start)
        self._scope = Scope(release, base, MOUNT_POINT, start or Start(), levels)
        self._told: dict[str, list[Problem]] = {}
        for problem in self.problems:
            if problem.code != "EXECUTABLE_STACK":  # of dlopen(3), and here everything is started
                self._told.setdefault(problem.subject, []).append(problem)

    def differences(self, answers: Mapping[str, Answer]) -> list[Difference]:
        """Compare it with the linker's answers, by the files' paths."""
        brought = self._brought(answers)
        return [
            difference
            for path, answer in answers.items()
            for difference in self._of(self.files[path], answer, brought.get(path, frozenset()))
        ]

    def _brought(self, answers: Mapping[str, Answer]) -> dict[str, frozenset[str]]:
        """Return by library which names the programs that load it bring, as the linker says."""
        brought: dict[str, frozenset[str]] = {}
        for path, answer in answers.items():
            if self.files[path].interpreter:
                names = frozenset(answer.found)
                for place in answer.found.values():
                    real = self._scope.resolve(place)
                    brought[real] = brought.get(real, frozenset()) | names
        return brought

    def _of(self, file: ElfFile, answer: Answer, brought: frozenset[str]) -> list[Difference]:
        told = self._told.get(file.path, [])
        if answer.other:  # not linked at all: another machine's
            return [] if errors(tuple(told)) else [Difference("passed", file.path, "; ".join(answer.other))]
        found: list[Difference] = []
        program = bool(file.interpreter)
        if answer.loads(program=program) and errors(tuple(told)):
            found.append(Difference("refused", file.path, "; ".join(f"{one.code}: {one.evidence}" for one in told)))
        excused = answer.missing and answer.missing <= brought and not answer.versions
        # What a library lacks is told of the library.
        with_it = [*told, *(f for path in answer.found.values() for f in self._told.get(self._scope.resolve(path), ()))]
        if not answer.loads(program=program) and not with_it and not excused:
            found.append(Difference("passed", file.path, _said(answer)))
        return found + self._libraries(file, answer) + self._symbols(file, answer, told)

    def _libraries(self, file: ElfFile, answer: Answer) -> list[Difference]:
        loaded, lost = self._scope.loaded(file)
        places = {name: self._scope.resolve(path) for name, path in answer.found.items() if name not in _KERNELS}
        mine = {name: library.path for name, library in loaded.items()}
        other = [f"{n}: {mine.get(n, 'not found')}, not {p}" for n, p in places.items() if mine.get(n, p) != p]
        other += [f"{n}: not found, not {p}" for n, p in places.items() if n not in mine and not n.startswith("/")]
        found = [Difference("another library", file.path, "; ".join(other))] if other else []
        names = {name for name, _ in lost}
        if names != answer.missing:
            detail = f"proof {sorted(names - answer.missing)}, linker {sorted(answer.missing - names)}"
            found.append(Difference("another missing library", file.path, detail))
        return found

    def _symbols(self, file: ElfFile, answer: Answer, told: list[Problem]) -> list[Difference]:
        """Compare what the file lacks, and of a program what its libraries lack; versions are told of the library."""
        versions = {version for by, _, version in answer.versions if by == file.path}
        # Of a version or library that is missing the proof does not tell each symbol; plain ones may be in any library.
        untold = {
            symbol
            for library, needs in file.needs.items()
            for version, wanted in needs.items()
            if library in answer.missing or version in versions
            for symbol in wanted
        }
        plain = file.interpreter and not answer.missing
        symbols = {(s, v) for by, s, v in answer.symbols if by == file.path and s not in untold and (v or plain)}
        if plain:
            symbols |= {(s, v) for by, s, v in answer.symbols if not v and self._scope.resolve(by) in self.files}
        said_versions, more_versions = _evidence(told, "MISSING_SYMBOL_VERSION", _VERSION)
        said_symbols, more_symbols = _evidence(told, "MISSING_SYMBOL", _SYMBOL)
        mine = {version for version, _ in said_versions}
        found = []
        if not (mine <= versions if more_versions else mine == versions):
            found.append(Difference("other versions", file.path, f"proof {sorted(mine)}, linker {sorted(versions)}"))
        if not (said_symbols <= symbols if more_symbols else said_symbols == symbols):
            ours, theirs = sorted(said_symbols - symbols), sorted(symbols - said_symbols)
            found.append(Difference("other symbols", file.path, f"proof only {ours}, linker only {theirs}"))
        return found


def _evidence(told: list[Problem], code: str, pattern: re.Pattern[str]) -> tuple[set[tuple[str, str]], int]:
    """Return what a problem names, and how many more there are."""
    said: set[tuple[str, str]] = set()
    more = 0
    for line in (line for problem in told if problem.code == code for line in problem.evidence):
        if rest := _MORE.match(line):
            more += int(rest[1])
        elif match := pattern.match(line):
            said.add((match[1], match[2] or ""))
    return said, more


def _said(answer: Answer) -> str:
    lines = [f"{name} not found" for name in sorted(answer.missing)]
    lines += [f"{version} of {library} for {by}" for by, library, version in sorted(answer.versions)]
    lines += [f"{symbol} {version} for {by}" for by, symbol, version in sorted(answer.symbols)]
    return "; ".join(lines[:10])
