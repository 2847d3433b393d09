"""Programs and shared libraries of a tree, and how the dynamic linker would find one library from another.

Facts: ld.so(8), rtld(1), and the symbol versioning chapter of the LSB (`.gnu.version_r`, `.gnu.version_d`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from jaild.model.findings import Finding

_HOPS = 40  # as many links as Linux follows; FreeBSD 32


class ElfFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one ELF file offers and needs. Paths are inside the jail, `$ORIGIN` is expanded.

    `defines`: version -> symbols, `""` for those without a version. `needs`: library -> version -> symbols that are not
    weak; unversioned ones stand under `""` and `""`, since any library may bring them. `opaque`: its tables could not
    be read, so nothing is known of its symbols.
    """

    path: str
    machine: str  # as ELF names it: EM_X86_64
    bits: int  # 32 or 64
    soname: str = ""
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()  # libraries that answer for this one, if they are there (DT_FILTER, DT_AUXILIARY)
    rpath: tuple[str, ...] = ()  # used for what its libraries need too, unless there is a runpath
    runpath: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()  # all it defines, also those without symbols
    defines: dict[str, tuple[str, ...]] = {}
    needs: dict[str, dict[str, tuple[str, ...]]] = {}
    weak_versions: tuple[str, ...] = ()  # `library version`: wanted, but not required
    opaque: bool = False

    @property
    def kind(self) -> tuple[str, int]:
        """Machine and word size: only files of one kind can be linked together."""
        return self.machine, self.bits

    @property
    def dynamic(self) -> bool:
        """Whether the dynamic linker has anything to do with it."""
        return bool(self.interpreter or self.needed or self.soname)


class Libraries(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The ELF files of a tree, with the symlinks that lead to them or to folders.

    `links`: path -> where it leads, absolute, both inside the jail. `search_path`: folders where the linker looks for
    what no path names. `findings`: files that could not be read.
    """

    files: tuple[ElfFile, ...] = ()
    links: dict[str, str] = {}
    search_path: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


class Scope:
    """A release over a base, as one tree: what of the base lies below the release's mount point cannot be seen."""

    def __init__(self, release: Libraries, base: Libraries, mount_point: str) -> None:
        def seen(path: str) -> bool:
            return path != mount_point and not path.startswith(f"{mount_point}/")

        self._links: Mapping[str, str] = {k: v for k, v in base.links.items() if seen(k)} | release.links
        self._files: Mapping[str, ElfFile] = {f.path: f for f in base.files if seen(f.path)} | {
            f.path: f for f in release.files
        }
        self._defines: dict[str, dict[str, frozenset[str]]] = {}  # by path; filled when first asked
        self._search_path = tuple(dict.fromkeys(release.search_path + base.search_path))

    def resolve(self, path: str) -> str:
        """Return where `path` really is, links followed; the last one seen where they go in circles."""
        done, rest, hops = "", [part for part in posixpath.normpath(path).split("/") if part], 0
        while rest:
            done = f"{done}/{rest.pop(0)}"
            target = self._links.get(done)
            if target is not None and hops < _HOPS:
                hops += 1
                done, rest = "", [part for part in posixpath.normpath(target).split("/") if part] + rest
        return done or "/"

    def file(self, path: str) -> ElfFile | None:
        """Return the ELF file that `path` leads to."""
        return self._files.get(self.resolve(path))

    def find(self, name: str, wanted_by: ElfFile, program: ElfFile) -> ElfFile | None:
        """Return the library `name` as the linker finds it for `wanted_by` in a process of `program`."""
        if "/" in name:
            return self.file(name)
        for folder in self._folders(wanted_by, program):
            found = self.file(f"{folder}/{name}")
            if found is not None and found.kind == program.kind:  # the linker skips those of another kind
                return found
        return None

    def defined(self, symbol: str, version: str, libraries: Iterable[ElfFile]) -> bool:
        """Tell whether any of `libraries` defines it, as the linkers match them.

        A reference without version fits any definition, and a definition without version any reference. Any library:
        symbols move (libpthread's into glibc's libc), the old one keeping only the version.
        """
        for library in libraries:
            defines = self._defines.get(library.path)
            if defines is None:
                defines = {key: frozenset(names) for key, names in library.defines.items()}
                self._defines[library.path] = defines
            if any(symbol in names for key, names in defines.items() if not version or key in {version, ""}):
                return True
        return False

    def _folders(self, wanted_by: ElfFile, program: ElfFile) -> Iterator[str]:
        if not wanted_by.runpath:
            yield from wanted_by.rpath
            if not program.runpath:
                yield from program.rpath
        yield from wanted_by.runpath
        yield from self._search_path

    def loaded(self, program: ElfFile) -> tuple[dict[str, ElfFile], list[tuple[str, ElfFile]]]:
        """Return what the linker loads for `program`, by name and in its order, and what it does not find.

        The latter as name and the file that wants it.
        """
        found: dict[str, ElfFile] = {program.soname or program.path: program}
        missing: list[tuple[str, ElfFile]] = []
        queue = [program]
        if program.interpreter and (interpreter := self.file(program.interpreter)):
            queue.append(interpreter)  # it is in every process, and defines symbols such as __tls_get_addr
            found[interpreter.soname or interpreter.path] = interpreter
        for file in queue:
            for name in file.needed + file.filters:
                if name in found:
                    continue
                library = self.find(name, file, program)
                if library is not None:
                    found[name] = library
                    queue.append(library)
                elif name in file.needed and (name, file) not in missing:
                    missing.append((name, file))
        return found, missing
