"""Programs and shared libraries of a tree, and how the dynamic linker would find one library from another.

Facts: ld.so(8), ldconfig(8) and elf/{dl-load,dl-cache,ldconfig}.c of glibc; rtld(1) and ldconfig(8) of FreeBSD;
ldso/dynlink.c of musl; the symbol versioning chapter of the LSB (`.gnu.version_r`, `.gnu.version_d`).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from jaild.model.problems import Problem

_HOPS = 40  # as many links as Linux follows; FreeBSD 32
MUSL_PATH = ("/lib", "/usr/local/lib", "/usr/lib")  # where musl looks without a path file
_HWCAPS = "glibc-hwcaps"
_LEVELS: Mapping[str, tuple[str, ...]] = {  # of a machine's CPUs, the lowest first; none is what every CPU can do
    "EM_X86_64": ("x86-64-v2", "x86-64-v3", "x86-64-v4"),
    "EM_PPC64": ("power9", "power10"),
    "EM_S390": ("z13", "z14", "z15", "z16"),
}
_TOKEN = re.compile(r"\$(\{)?(ORIGIN|LIB|PLATFORM|OSNAME)(?(1)\})")
_MULTIARCH = ("-linux-gnu", "-linux-gnueabihf", "-linux-musl")
_LINUX_ONLY = ("/lib64", *_MULTIARCH)


class Linker(StrEnum):
    """Whose dynamic linker it is."""

    GLIBC = "glibc"
    MUSL = "musl"
    FREEBSD = "freebsd"


# What $PLATFORM stands for: Linux's AT_PLATFORM; FreeBSD's `uname -m`.
_PLATFORMS: Mapping[Linker, Mapping[str, str]] = {
    Linker.GLIBC: {"EM_X86_64": "x86_64", "EM_386": "i686", "EM_AARCH64": "aarch64"},
    Linker.FREEBSD: {"EM_X86_64": "amd64", "EM_386": "i386", "EM_AARCH64": "arm64"},
    Linker.MUSL: {},  # knows $ORIGIN only
}


class ElfFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one ELF file offers and needs. Paths are inside the jail.

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
    rpath: tuple[str, ...] = ()  # used for what its libraries need too, unless there is a runpath; as written: $ORIGIN
    runpath: tuple[str, ...] = ()  # as written
    versions: tuple[str, ...] = ()  # all it defines, also those without symbols
    defines: dict[str, tuple[str, ...]] = {}
    needs: dict[str, dict[str, tuple[str, ...]]] = {}
    weak_versions: tuple[str, ...] = ()  # `library version`: wanted, but not required
    executable_stack: bool = False  # it wants one (PT_GNU_STACK), for itself and so for the whole process
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

    `links`: path -> where it leads, absolute, both inside the jail. `problems`: files that could not be read.
    `search_path`: of a base, the folders where its linker looks by itself for what no path names, by the file's name;
    of a release, its own folders of libraries. The rest is of a base only. `ldconfig`: it has the tool by which jaild
    tells the linker of a release's folders: in the cache of glibc or FreeBSD's hints. `cached`: folders from which
    glibc's takes libraries.
    """

    files: tuple[ElfFile, ...] = ()
    links: dict[str, str] = {}
    search_path: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    linker: Linker = Linker.GLIBC
    cached: tuple[str, ...] = ()
    ldconfig: bool = False
    lib: str = ""  # what $LIB stands for in a run path: lib64, lib/x86_64-linux-gnu


class Start(msgspec.Struct, frozen=True):
    """What the linker is told when a process starts: by the environment, and by what jaild makes for it.

    `folders`: whether jaild tells it of the release's own folders.
    """

    library_path: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    folders: bool = True

    @classmethod
    def of(cls, environment: Mapping[str, str], *, folders: bool = True) -> Start:
        """Take LD_LIBRARY_PATH and LD_PRELOAD from an environment."""
        paths = re.split("[:;]", environment.get("LD_LIBRARY_PATH", ""))
        preload = re.split(r"[:;\s]+", environment.get("LD_PRELOAD", ""))
        return cls(tuple(filter(None, paths)), tuple(filter(None, preload)), folders)


@dataclass(frozen=True)
class _Object:
    """A file as it was loaded: the folder of the name under which it was found, and who wanted it first, and so on."""

    file: ElfFile
    folder: str
    loaders: tuple[_Object, ...] = ()


def own_folders(mount_point: str, lib: Iterable[str]) -> tuple[str, ...]:
    """Return where a release may have libraries: lib, what in it is named like a multiarch folder of Debian's, lib64.

    `lib` are the names in its lib. Also those that are not there: the linkers and ldconfig(8) pass over them.
    """
    multiarch = sorted(f"lib/{name}" for name in lib if name.endswith(_MULTIARCH))
    return tuple(f"{mount_point.rstrip('/')}/{name}" for name in ("lib", *multiarch, "lib64", "lib/compat/pkg"))


def levels(*trees: Libraries) -> tuple[tuple[str, ...], ...]:
    """Return for which CPUs the trees must be looked at: each as the folders that its linker prefers, the first first.

    The weakest comes first, for which there are none; of the others, those for which there are libraries.
    """
    there = {
        path.partition(f"/{_HWCAPS}/")[2].partition("/")[0]
        for tree in trees
        for path in (*(file.path for file in tree.files), *tree.links)
        if f"/{_HWCAPS}/" in path
    }
    ladders = [(ladder, number) for ladder in _LEVELS.values() for number in range(len(ladder))]
    return ((), *(ladder[number::-1] for ladder, number in ladders if ladder[number] in there))


class Scope:
    """A release over a base, as one tree: what of the base lies below the release's mount point cannot be seen."""

    def __init__(
        self, release: Libraries, base: Libraries, mount_point: str, start: Start, level: tuple[str, ...] = ()
    ) -> None:
        def seen(path: str) -> bool:
            return path != mount_point and not path.startswith(f"{mount_point}/")

        self._links: Mapping[str, str] = {k: v for k, v in base.links.items() if seen(k)} | release.links
        self._files: Mapping[str, ElfFile] = {f.path: f for f in base.files if seen(f.path)} | {
            f.path: f for f in release.files
        }
        self._defines: dict[str, dict[str, frozenset[str]]] = {}  # by path; filled when first asked
        self._defined_names: dict[str, frozenset[str]] = {}  # likewise, of all versions
        self._caches: dict[str, dict[str, set[tuple[str, int]]]] = {}  # by folder; filled when first asked
        self._entries: dict[str, list[str]] = {}  # paths by folder
        for path in (*self._files, *self._links):
            self._entries.setdefault(posixpath.dirname(path), []).append(path)
        self._folders: dict[str, str] = {}  # where each really is; many names lie in few
        self._interpreters = sorted({file.interpreter for file in self._files.values() if file.interpreter})
        self._base = base
        self._own = release.search_path if base.ldconfig and start.folders else ()
        self._start = start
        self._level = level

    def resolve(self, path: str) -> str:
        """Return where `path` really is, links followed; the last one seen where they go in circles."""
        folder, _, name = path.rpartition("/")
        if name in {"", ".", ".."}:
            return self._follow(path)
        if folder not in self._folders:
            self._folders[folder] = self._follow(folder).rstrip("/")
        place = f"{self._folders[folder]}/{name}"
        return self._follow(place) if place in self._links else place

    def _follow(self, path: str) -> str:
        done, rest, hops = "", path.split("/"), 0
        while rest:
            part = rest.pop(0)
            if part in {"", "."}:
                continue
            if part == "..":
                done = done.rpartition("/")[0]
                continue
            done = f"{done}/{part}"
            target = self._links.get(done)
            if target is not None and hops < _HOPS:
                hops += 1
                done, rest = "", target.split("/") + rest
        return done or "/"

    def file(self, path: str) -> ElfFile | None:
        """Return the ELF file that `path` leads to."""
        return self._files.get(self.resolve(path))

    def loaded(self, program: ElfFile) -> tuple[dict[str, ElfFile], list[tuple[str, ElfFile]]]:
        """Return what the linker loads for `program`, by name and in its order, and what it does not find.

        The latter as name and the file that wants it.
        """
        first = _Object(program, posixpath.dirname(program.path))
        found: dict[str, ElfFile] = {program.soname or program.path: program}
        missing: list[tuple[str, ElfFile]] = []
        queue, paths = [first], {program.path}
        # The linker itself is in every process, also in one that opens a library: it answers to its name, wherever it
        # lies, and defines symbols such as __tls_get_addr.
        for path in [program.interpreter] if program.interpreter else self._interpreters:
            interpreter = self.file(path)
            if interpreter is not None and interpreter.kind == program.kind:
                queue.append(_Object(interpreter, posixpath.dirname(path)))
                found[interpreter.soname or interpreter.path] = interpreter
                paths.add(interpreter.path)
        preload = self._start.preload if program.interpreter else ()
        for wanted_by in queue:
            file = wanted_by.file
            for name in (preload if wanted_by is first else ()) + file.needed + file.filters:
                if name in found:
                    continue
                place = self._find(name, wanted_by, first)
                library = self.file(place) if place is not None else None
                if place is not None and library is not None:
                    if library.path not in paths:
                        paths.add(library.path)
                        loaders = (wanted_by, *wanted_by.loaders)
                        queue.append(_Object(library, posixpath.dirname(place), loaders))
                    found[name] = library
                    found.setdefault(library.soname or name, library)
                elif self._required(name, file, program) and (name, file) not in missing:
                    missing.append((name, file))
        return found, missing

    def _required(self, name: str, file: ElfFile, program: ElfFile) -> bool:
        # Of what is preloaded, only FreeBSD's linker insists.
        return name in file.needed or (name not in file.filters and self._linker(program) is Linker.FREEBSD)

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

    def undefined(self, libraries: Iterable[ElfFile]) -> Iterator[tuple[ElfFile, str]]:
        """Yield each library of a process with the symbols without a version that it needs and none of them defines."""
        there = {library.path: library for library in libraries}
        defined = frozenset[str]().union(*(self._names(library) for library in there.values()))
        for library in there.values():
            wanted = library.needs.get("", {}).get("", ())
            yield from ((library, symbol) for symbol in wanted if symbol not in defined)

    def _names(self, library: ElfFile) -> frozenset[str]:
        names = self._defined_names.get(library.path)
        if names is None:
            names = self._defined_names[library.path] = frozenset(n for of in library.defines.values() for n in of)
        return names

    def _linker(self, program: ElfFile) -> Linker:
        name = posixpath.basename(program.interpreter)
        if name.startswith("ld-musl-"):
            return Linker.MUSL
        return Linker.GLIBC if name.startswith("ld-linux") else self._base.linker

    def _find(self, name: str, wanted_by: _Object, program: _Object) -> str | None:
        """Return the path under which the linker finds `name` for `wanted_by` in a process of `program`."""
        linker = self._linker(program.file)
        if "/" in name:
            path = self._expand((name,), wanted_by, linker)
            return path[0] if path and self.file(path[0]) is not None else None
        for place in self._places(name, wanted_by, program, linker):
            found = self.file(place)
            if found is not None and found.kind == program.file.kind:  # the linker skips those of another kind
                return place
        return None

    def _places(self, name: str, wanted_by: _Object, program: _Object, linker: Linker) -> Iterator[str]:
        given = self._expand(self._start.library_path, program, linker)
        if linker is Linker.MUSL:
            inherited = [self._run_path(one, linker) for one in (wanted_by, *wanted_by.loaders)]
            own = self._base.search_path if self._base.linker is Linker.MUSL else MUSL_PATH
            yield from (f"{folder}/{name}" for folder in (*given, *(f for path in inherited for f in path), *own))
            return
        runpath = self._expand(wanted_by.file.runpath, wanted_by, linker)
        if linker is Linker.FREEBSD:
            asked = [*self._rpaths(wanted_by, (program,), linker), *given, *runpath]
            told = [folder for folder in self._own if not folder.endswith(_LINUX_ONLY)]
            yield from (f"{folder}/{name}" for folder in dict.fromkeys([*asked, *self._base.search_path, *told]))
            return
        for folder in (*self._rpaths(wanted_by, wanted_by.loaders, linker), *given, *runpath):
            yield from self._at_each_level(folder, name)
        yield from self._of_cache(name, program.file.kind)
        for folder in self._base.search_path:
            yield from self._at_each_level(folder, name)

    def _at_each_level(self, folder: str, name: str) -> Iterator[str]:
        yield from (f"{folder}/{_HWCAPS}/{level}/{name}" for level in self._level)
        yield f"{folder}/{name}"

    def _of_cache(self, name: str, kind: tuple[str, int]) -> Iterator[str]:
        """Yield the one path that the cache has for `name`: it prefers the level to the folder.

        Whether or not it is there: `ldconfig -X` makes no links, and puts the name of one that should be there into the
        cache all the same. So such a library hides those of the same name in later folders.
        """
        for below in (*(f"/{_HWCAPS}/{level}" for level in self._level), ""):
            for folder in dict.fromkeys((*self._own, *self._base.cached)):
                if kind in self._cached(f"{folder}{below}").get(name, ()):
                    yield f"{folder}{below}/{name}"
                    return

    def _cached(self, folder: str) -> Mapping[str, set[tuple[str, int]]]:
        """Return the names that ldconfig(8) of glibc puts into the cache for one folder, each with its kinds.

        It takes lib*.so* and ld-*.so*, under their soname. A link has its own name only if it leads to one that is
        called like its soname, or to a .so.
        """
        place = self.resolve(folder)
        if place not in self._caches:
            names: dict[str, set[tuple[str, int]]] = {}
            for path in self._entries.get(place, ()):
                file, name = self.file(path), posixpath.basename(path)
                if file is None or not name.startswith(("lib", "ld-")) or ".so" not in name:
                    continue
                soname, real = file.soname or name, posixpath.basename(file.path)
                is_link = path in self._links and (real == soname or (real.endswith(".so") and soname.startswith(real)))
                names.setdefault(name if is_link else soname, set()).add(file.kind)
            self._caches[place] = names
        return self._caches[place]

    def _rpaths(self, wanted_by: _Object, others: Iterable[_Object], linker: Linker) -> list[str]:
        """Return the folders of DT_RPATH: none where who wants the library has a runpath."""
        if wanted_by.file.runpath:
            return []
        return [
            folder
            for one in (wanted_by, *others)
            if not one.file.runpath
            for folder in self._expand(one.file.rpath, one, linker)
        ]

    def _run_path(self, one: _Object, linker: Linker) -> tuple[str, ...]:
        return self._expand(one.file.runpath or one.file.rpath, one, linker)

    def _expand(self, paths: Iterable[str], one: _Object, linker: Linker) -> tuple[str, ...]:
        """Put in what the linker puts for $ORIGIN and the like; drop relative paths (they mean the caller's folder)."""
        # The folder of the name under which a file was found, but for FreeBSD's: that takes its real path.
        origin = posixpath.dirname(one.file.path) if linker is Linker.FREEBSD else one.folder
        known = {"ORIGIN": origin}
        if linker is not Linker.MUSL:
            known["LIB"] = "lib" if linker is Linker.FREEBSD else self._base.lib
        if linker is Linker.FREEBSD:
            known["OSNAME"] = "FreeBSD"
        if platform := _PLATFORMS[linker].get(one.file.machine):
            known["PLATFORM"] = platform
        expanded = [_TOKEN.sub(lambda match: known.get(match[2], match[0]), path) for path in paths]
        if linker is Linker.MUSL and any("$" in path for path in expanded):
            return ()  # it gives up the whole run path
        return tuple(path.rstrip("/") for path in expanded if path.startswith("/"))
