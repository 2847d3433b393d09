"""The proof that a release runs on a base: every library, symbol version and symbol that its files need is there.

Nothing is executed. A file that passes can still fail at run time (dlopen, syscalls); one that does not, cannot start.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from jaild.model.layers.libraries import ElfFile, Libraries, Scope, Start, levels
from jaild.model.layers.records import BaseRecord, Built, Family, ReleaseRecord
from jaild.model.problems import Problem, Severity

__all__ = ["ElfFile", "Libraries", "check", "check_abi", "check_kernel"]

_EVIDENCE = 25  # lines; what is beyond is counted
_PROGRAM_FOLDERS = frozenset({"bin", "sbin", "libexec"})
_STRICT_ABOUT_STACKS = (2, 41)
_Loaded = Mapping[str, tuple[dict[str, ElfFile], list[tuple[str, ElfFile]]]]  # by path, as `Scope.loaded` tells it
_OLDER_BASE = "choose a base that has it, or build the release against this one"


def check(release: Libraries, base: Libraries, *, mount_point: str, start: Start | None = None) -> tuple[Problem, ...]:
    """Return what keeps the files of `release`, mounted at `mount_point`, from running on `base` when started so.

    MISSING_LIBRARY, MISSING_SYMBOL_VERSION, MISSING_SYMBOL, MISSING_INTERPRETER, WRONG_MACHINE, EXECUTABLE_STACK; none
    means that all of them will load, on every CPU: the jail moves between hosts. Each names its file in `subject` and
    the symbols in `evidence`.
    """
    kinds = {file.kind for file in base.files}
    problems = list(release.problems)
    right = [file for file in release.files if file.kind in kinds or not kinds]
    problems.extend(_wrong_machine(file, kinds) for file in release.files if kinds and file.kind not in kinds)
    for level in levels(release, base):
        scope = Scope(release, base, mount_point, start or Start(), level)
        loaded = {file.path: scope.loaded(file) for file in right if file.dynamic}
        found = [*_missing(scope, right, release, loaded), *_executable_stacks(right, base, loaded)]
        found = [problem for problem in found if problem not in problems]
        problems += [_on_level(problem, level[0]) for problem in found] if level else found
    return tuple(problems)


def _on_level(problem: Problem, level: str) -> Problem:
    evidence = (*problem.evidence, f"on a host whose CPU is {level}, with the libraries in glibc-hwcaps/{level}")
    return msgspec.structs.replace(problem, evidence=evidence)


def _missing(scope: Scope, right: list[ElfFile], release: Libraries, loaded: _Loaded) -> list[Problem]:
    problems: list[Problem] = []
    excused = _found_by_programs(right, {path: found for path, (found, _) in loaded.items()})
    by_name: dict[str, list[str]] = {}
    for path in [f.path for f in release.files] + list(release.links):
        by_name.setdefault(path.rpartition("/")[2], []).append(path)
    for file in right:
        if file.interpreter and scope.file(file.interpreter) is None:
            problems.append(_missing_interpreter(file))
        if file.path in loaded:
            found, missing = loaded[file.path]
            lost = [(name, by) for name, by in missing if (file.path, name) not in excused]
            problems.extend(_missing_libraries(file, lost, by_name))
            problems.extend(_missing_symbols(scope, file, found, whole=not missing))
    return problems


def check_records(
    base: BaseRecord, release: ReleaseRecord | None, host_osreldate: int, host_family: Family
) -> tuple[Problem, ...]:
    """Return what the records alone tell: whether the host runs the base, and the base the release, if there is one."""
    found = check_kernel(base, host_osreldate, host_family)
    if release is None:
        return found
    return (*found, *check_abi(release.manifest.abi, base), *check_osversion(release.built, base))


def check_kernel(base: BaseRecord, host_osreldate: int, host_family: Family) -> tuple[Problem, ...]:
    """Return whether the host's kernel can run the base: WRONG_FAMILY, KERNEL_TOO_OLD, KERNEL_UNKNOWN.

    FreeBSD's kernel runs older userlands, never newer ones, and does not compare by itself (jail(8), osreldate).
    """
    if base.family is not host_family:
        return (
            Problem(
                severity=Severity.ERROR,
                code="WRONG_FAMILY",
                message=f"base {base.name} is {base.family}, and this host runs {host_family}",
                subject=f"bases/{base.name}",
                hint="choose a base of the host's own family",
            ),
        )
    if base.family is not Family.FREEBSD:
        return ()
    if not base.osreldate or not host_osreldate:
        return (
            Problem(
                severity=Severity.WARNING,
                code="KERNEL_UNKNOWN",
                message=f"whether the host's kernel is new enough for base {base.name} cannot be told: no osreldate",
                subject=f"bases/{base.name}",
                hint="import the base again from an archive with usr/include/sys/param.h or bin/sh",
            ),
        )
    if base.osreldate <= host_osreldate:
        return ()
    return (
        Problem(
            severity=Severity.ERROR,
            code="KERNEL_TOO_OLD",
            message=f"base {base.name} is newer than the host's kernel",
            subject=f"bases/{base.name}",
            hint="upgrade the host first, or choose an older base",
            evidence=(f"base osreldate {base.osreldate}, kern.osreldate {host_osreldate}",),
        ),
    )


def check_abi(release_abi: str, base: BaseRecord) -> tuple[Problem, ...]:
    """Return how a release's `OS:version:machine` fits the base's: ABI_MISMATCH, or nothing if the release says none.

    FreeBSD keeps its ABI within a major version and pkg(8) insists on the same one, so another is an error. Elsewhere
    another system or version is a note: there the libraries themselves are the proof. `*` fits anything.
    """
    wanted, have = release_abi.split(":"), base.abi.split(":")
    if not release_abi or not base.abi:
        return ()
    wanted, have = ([*parts, "*", "*"][:3] for parts in (wanted, have))
    differs = [w.lower() != h.lower() and "*" not in {w, h} for w, h in zip(wanted, have, strict=True)]
    if not any(differs):
        return ()
    grave = differs[2] or "freebsd" in {wanted[0].lower(), have[0].lower()}
    return (
        Problem(
            severity=Severity.ERROR if grave else Severity.NOTE,
            code="ABI_MISMATCH",
            message=f"the release was made for {release_abi}, and base {base.name} is {base.abi}",
            subject=f"bases/{base.name}",
            hint="choose a base of that ABI, or build the release for this one" if grave else "",
        ),
    )


def check_osversion(built: Built | None, base: BaseRecord) -> tuple[Problem, ...]:
    """Return whether a base is older than the one that a release was built on: BASE_TOO_OLD.

    FreeBSD's userland is compatible forwards only: what was built on 14.2 may use what 14.1 has not.
    """
    if built is None or base.family is not Family.FREEBSD or built.osversion <= base.osreldate:
        return ()
    return (
        Problem(
            severity=Severity.ERROR,
            code="BASE_TOO_OLD",
            message=f"the release was built on {built.base}, which is newer than base {base.name}",
            subject=f"bases/{base.name}",
            hint="choose a base that is not older, or build the release on this one",
            evidence=(f"built on osversion {built.osversion}, osreldate of the base {base.osreldate}",),
        ),
    )


def check_downgrade(before: BaseRecord, base: BaseRecord) -> tuple[Problem, ...]:
    """Return whether a base is an older version of the same system than the one before it: BASE_OLDER."""
    of_same_system = before.abi.partition(":")[0] == base.abi.partition(":")[0]
    if not of_same_system or not _numbers(base.version) < _numbers(before.version):
        return ()
    return (
        Problem(
            severity=Severity.NOTE,
            code="BASE_OLDER",
            message=f"base {base.name} ({base.version}) is older than the jail's, {before.name} ({before.version})",
            subject=f"bases/{base.name}",
            hint="what newer programs wrote may be too new for it: look at the jail's data and logs after the change",
        ),
    )


def _numbers(version: str) -> tuple[int, ...]:
    """Return what versions are compared by: 14.3-RELEASE-p5 is 14, 3, 5."""
    return tuple(map(int, re.findall(r"[0-9]{1,9}", version)))


def _name(file: ElfFile) -> str:
    return file.path.rpartition("/")[2]


def _shown(lines: Iterable[str]) -> tuple[str, ...]:
    """Return distinct lines in order, at most as many as anybody reads."""
    unique = list(dict.fromkeys(lines))
    more = len(unique) - _EVIDENCE
    return (*unique[:_EVIDENCE], f"and {more} more") if more > 0 else tuple(unique)


def _wrong_machine(file: ElfFile, kinds: set[tuple[str, int]]) -> Problem:
    # Emulators and boot loaders carry images of other machines as data: only what would be run or linked is an error.
    runs = file.dynamic or bool(_PROGRAM_FOLDERS & set(file.path.split("/")))
    have = ", ".join(f"{machine} ({bits} bits)" for machine, bits in sorted(kinds))
    return Problem(
        severity=Severity.ERROR if runs else Severity.NOTE,
        code="WRONG_MACHINE",
        message=f"{file.path} is for {file.machine} ({file.bits} bits), the base for {have}",
        subject=file.path,
        hint="build the release for the base's machine",
    )


def _missing_interpreter(file: ElfFile) -> Problem:
    return Problem(
        severity=Severity.ERROR,
        code="MISSING_INTERPRETER",
        message=f"{file.path} is run by {file.interpreter}, which neither the base nor the release has",
        subject=file.path,
        hint="build the release for the base's system",
        evidence=(f"{_name(file)} needs {file.interpreter}",),
    )


def _found_by_programs(files: list[ElfFile], loaded: Mapping[str, Mapping[str, ElfFile]]) -> set[tuple[str, str]]:
    """Return (library, name) where a library lacks a name by itself, but a program that loads both brings it."""
    excused: set[tuple[str, str]] = set()
    for program in files:
        if program.interpreter:
            found = loaded[program.path]
            excused.update((file.path, name) for file in found.values() for name in file.needed if name in found)
    return excused


def _missing_libraries(
    file: ElfFile, missing: list[tuple[str, ElfFile]], by_name: Mapping[str, list[str]]
) -> Iterator[Problem]:
    for name in dict.fromkeys(name for name, _ in missing):
        # A plug-in's libraries may have been loaded by its host already: not found by path is then no proof.
        elsewhere = name in by_name and not file.interpreter
        where, hint = "neither the base nor the release has", f"ship {name} in the release, or {_OLDER_BASE}"
        if name in by_name:
            where = "is in none of the folders where it looks"
            hint = "set a runpath, such as $ORIGIN/../lib, or LD_LIBRARY_PATH in the manifest's environment"
            if all("/glibc-hwcaps/" in path for path in by_name[name]):
                where = "is there for some CPUs only"
                hint = f"ship {name} beside the folder glibc-hwcaps too, for the hosts whose CPUs look there in vain"
        yield Problem(
            severity=Severity.WARNING if elsewhere else Severity.ERROR,
            code="MISSING_LIBRARY",
            message=f"{file.path} needs {name}, which {where}",
            subject=file.path,
            hint=hint,
            evidence=_shown(f"{_name(by)} needs {name}" for lost, by in missing if lost == name),
        )


def _missing_symbols(scope: Scope, file: ElfFile, found: Mapping[str, ElfFile], *, whole: bool) -> Iterator[Problem]:
    """Yield the versions and symbols that nothing loaded defines. `whole`: every library was found."""
    versions: list[str] = []
    symbols: list[str] = []
    if any(library.opaque for library in found.values()):
        return
    for name, version, wanted in _references(file):
        library = found.get(name)
        if name and library is None:
            continue  # told as a missing library
        if library is not None and library.versions and version not in library.versions:
            if f"{name} {version}" not in file.weak_versions:
                versions.extend(f"{_name(file)} needs {s}@{version} of {name}" for s in wanted)
                versions.extend([f"{_name(file)} needs {version} of {name}"] if not wanted else [])
        elif name:
            lost = [s for s in wanted if not scope.defined(s, version, found.values())]
            symbols.extend(f"{_name(file)} needs {s}@{version} of {name}" for s in lost)
    if whole and file.interpreter:  # a plug-in's plain symbols may come from its host, and here all is there
        symbols.extend(f"{_name(by)} needs {s}" for by, s in scope.undefined(found.values()))
    if versions:
        yield _symbol_problem(file, "MISSING_SYMBOL_VERSION", "symbol versions", versions)
    if symbols:
        yield _symbol_problem(file, "MISSING_SYMBOL", "symbols", symbols)


def _references(file: ElfFile) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for name, by_version in file.needs.items():
        for version, wanted in by_version.items():
            yield name, version, wanted


def _executable_stacks(right: list[ElfFile], base: Libraries, loaded: _Loaded) -> Iterator[Problem]:
    """Yield libraries that want an executable stack and that no program of the release loads when it starts.

    glibc 2.41 makes the stack executable at a program's start only; up to 2.40 also at dlopen(3) (measured on Debian's
    2.36 and 2.41). A plug-in that nobody opens harms nobody: so a warning.
    """
    versions = [version for file in base.files if file.soname == "libc.so.6" for version in file.versions]
    if not any(_number(version) >= _STRICT_ABOUT_STACKS for version in versions):
        return
    at_start = {library.path for file in right if file.interpreter for library in loaded[file.path][0].values()}
    for file in right:
        if file.executable_stack and file.dynamic and not file.interpreter and file.path not in at_start:
            yield Problem(
                severity=Severity.WARNING,
                code="EXECUTABLE_STACK",
                message=f"{file.path} wants an executable stack: the base's linker does not load it by dlopen",
                subject=file.path,
                hint="link it with -z noexecstack (sources in assembler need a .note.GNU-stack section)",
                evidence=(f"{_name(file)}: PT_GNU_STACK says RWE, or is not there",),
            )


def _number(version: str) -> tuple[int, ...]:
    """Return the numbers of GLIBC_2.41; none of another version's name."""
    digits = version.removeprefix("GLIBC_").split(".") if version.startswith("GLIBC_") else []
    return tuple(map(int, digits)) if all(map(str.isdecimal, digits)) else ()


def _symbol_problem(file: ElfFile, code: str, what: str, lines: list[str]) -> Problem:
    return Problem(
        severity=Severity.ERROR,
        code=code,
        message=f"{file.path} needs {what} that its libraries do not define",
        subject=file.path,
        hint=_OLDER_BASE,
        evidence=_shown(lines),
    )
