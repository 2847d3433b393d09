"""The dynamic linker's tables of an ELF file: what it needs, its symbols and their versions.

Layouts: elf(5), and the LSB's chapter on symbol versioning. Sections are unpacked whole, since pyelftools takes about
30 µs for each symbol and 80 for each header. Every offset comes from the file, so none is believed: loops are bounded
by the size of their section, and a table that leaves the file is damage (`struct.error`, `ValueError`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

_NEEDED, _SONAME, _RPATH, _RUNPATH = 1, 14, 15, 29
_AUXILIARY, _FILTER = 0x7FFFFFFD, 0x7FFFFFFF
_WEAK, _LOCAL = 2, 0  # bindings
_HIDDEN = frozenset({1, 2})  # visibilities internal and hidden
_UNDEFINED, _LOCAL_VERSION, _GLOBAL_VERSION = 0, 0, 1
_BASE_VERSION, _WEAK_VERSION = 1, 2  # VER_FLG_BASE, VER_FLG_WEAK
_VERSION_MASK = 0x7FFF  # the bit above says that it is not the default version, which an exact reference ignores
_DYNAMIC, _DYNSYM, _VERDEF, _VERNEED, _VERSYM = 6, 11, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF  # types of sections
_RELA, _REL = 4, 9  # types of sections: the first of a program has its copies, the others are for calls
_64 = 64
# R_*_COPY: of a library's variable that a program has a copy of. Its symbol looks defined, and must be in a library.
_COPY: Mapping[str, int] = {
    **dict.fromkeys(("EM_X86_64", "EM_386"), 5),
    **dict.fromkeys(("EM_PPC", "EM_PPC64"), 19),
    "EM_AARCH64": 1024,
    "EM_ARM": 20,
    "EM_RISCV": 4,
    "EM_S390": 9,
}


@dataclass
class Tables:
    """What `jaild.model.layers.libraries.ElfFile` holds of them.

    `found`: the file has section headers with these tables.
    """

    found: bool = False
    needed: list[str] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)
    soname: str = ""
    rpath: list[str] = field(default_factory=list)
    runpath: list[str] = field(default_factory=list)
    versions: tuple[str, ...] = ()
    defines: dict[str, tuple[str, ...]] = field(default_factory=dict)
    needs: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    weak_versions: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Section:
    data: bytes
    strings: bytes

    def text(self, offset: int) -> str:
        end = self.strings.index(b"\0", offset)
        return self.strings[offset:end].decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class _Wanted:
    library: str
    version: str
    weak: bool


def read(elf: ELFFile) -> Tables:
    """Read the tables; empty for a static program."""
    order = "<" if elf.little_endian else ">"
    sections = _sections(elf, order)
    tables = Tables(found=_DYNAMIC in sections)
    if tables.found:
        _read_dynamic(tables, sections[_DYNAMIC], order + ("qQ" if elf.elfclass == _64 else "iI"))
    elif any(segment["p_type"] == "PT_DYNAMIC" for segment in elf.iter_segments()):
        _read_segment(tables, elf)
    defined = dict(_definitions(sections[_VERDEF], order)) if _VERDEF in sections else {}
    wanted = dict(_requirements(sections[_VERNEED], order)) if _VERNEED in sections else {}
    tables.versions = tuple(sorted(set(defined.values())))
    tables.weak_versions = tuple(sorted(f"{w.library} {w.version}" for w in wanted.values() if w.weak))
    _read_symbols(tables, _symbols(sections, order, elf.elfclass, _copied(elf, sections, order)), defined, wanted)
    return tables


def _sections(elf: ELFFile, order: str) -> dict[int, _Section]:
    layout = struct.Struct(f"{order}{'IIQQQQIIQQ' if elf.elfclass == _64 else '10I'}")
    if not elf["e_shoff"] or not elf["e_shnum"]:
        return {}
    if elf["e_shentsize"] != layout.size:
        raise ValueError("the section headers have another size than ELF says")
    headers = [h[1:7] for h in layout.iter_unpack(_bytes(elf, elf["e_shoff"], elf["e_shnum"] * layout.size))]
    found: dict[int, _Section] = {}
    for kind, _, _, offset, size, link in headers:
        if kind in {_DYNAMIC, _DYNSYM, _VERDEF, _VERNEED, _VERSYM, _RELA, _REL} and kind not in found:
            strings = b"" if kind in {_VERSYM, _RELA, _REL} else _bytes(elf, *headers[link][3:5])
            found[kind] = _Section(_bytes(elf, offset, size), strings)
    return found


def _bytes(elf: ELFFile, offset: int, size: int) -> bytes:
    if offset + size > elf.stream_len:
        raise ValueError("a section lies beyond the end of the file")
    elf.stream.seek(offset)
    data: bytes = elf.stream.read(size)
    return data


def _read_dynamic(tables: Tables, section: _Section, layout: str) -> None:
    for tag, value in struct.iter_unpack(layout, section.data):
        if tag == 0:
            break
        if tag == _NEEDED:
            tables.needed.append(section.text(value))
        elif tag in {_AUXILIARY, _FILTER}:
            tables.filters.append(section.text(value))
        elif tag == _SONAME:
            tables.soname = section.text(value)
        elif tag == _RPATH:
            tables.rpath.append(section.text(value))
        elif tag == _RUNPATH:
            tables.runpath.append(section.text(value))


def _read_segment(tables: Tables, elf: ELFFile) -> None:
    """Read the names from the program headers: the section headers were cut off (sstrip, some packers)."""
    segments = [segment for segment in elf.iter_segments() if isinstance(segment, DynamicSegment)]
    for segment in segments:
        for tag in segment.iter_tags():
            if tag.entry.d_tag == "DT_NEEDED":
                tables.needed.append(tag.needed)  # type: ignore[attr-defined]
            elif tag.entry.d_tag == "DT_SONAME":
                tables.soname = tag.soname  # type: ignore[attr-defined]


def _definitions(section: _Section, order: str) -> Iterator[tuple[int, str]]:
    """Yield index and name of each version that the file defines; the first, its own name, is none."""
    offset = 0
    for _ in range(len(section.data) // 20):
        _, flags, index, count, _, aux, following = struct.unpack_from(f"{order}HHHHIII", section.data, offset)
        if count and not flags & _BASE_VERSION:
            (name, _) = struct.unpack_from(f"{order}II", section.data, offset + aux)
            yield index & _VERSION_MASK, section.text(name)
        if not following:
            break
        offset += following


def _requirements(section: _Section, order: str) -> Iterator[tuple[int, _Wanted]]:
    """Yield index and version of each version that the file needs of a library."""
    offset, budget = 0, len(section.data) // 16
    for _ in range(budget):
        _, count, file, aux, following = struct.unpack_from(f"{order}HHIII", section.data, offset)
        position = offset + aux
        for _ in range(min(count, budget)):
            _, flags, index, name, step = struct.unpack_from(f"{order}IHHII", section.data, position)
            weak = bool(flags & _WEAK_VERSION)
            yield index & _VERSION_MASK, _Wanted(section.text(file), section.text(name), weak)
            position += step
        if not following:
            break
        offset += following


def _copied(elf: ELFFile, sections: dict[int, _Section], order: str) -> frozenset[int]:
    """Return the numbers of the symbols that a program has copies of; a library has none."""
    copy = _COPY.get(elf["e_machine"])
    if copy is None or not any(segment["p_type"] == "PT_INTERP" for segment in elf.iter_segments()):
        return frozenset()
    bits, layouts = (32, {_RELA: "QQq", _REL: "QQ"}) if elf.elfclass == _64 else (8, {_RELA: "IIi", _REL: "II"})
    return frozenset(
        entry[1] >> bits
        for kind, layout in layouts.items()
        if kind in sections
        for entry in struct.iter_unpack(order + layout, sections[kind].data)
        if entry[1] & ((1 << bits) - 1) == copy
    )


def _read_symbols(
    tables: Tables,
    symbols: Iterator[tuple[str, int, bool, int]],
    defined: dict[int, str],
    wanted: dict[int, _Wanted],
) -> None:
    defines: dict[str, set[str]] = {}
    needs: dict[str, dict[str, set[str]]] = {}
    for want in wanted.values():
        needs.setdefault(want.library, {}).setdefault(want.version, set())
    for name, binding, present, index in symbols:
        if present and index != _LOCAL_VERSION:
            version = "" if index == _GLOBAL_VERSION else defined.get(index, "")
            if name not in tables.versions:  # each version has a symbol of its own name, which nobody refers to
                defines.setdefault(version, set()).add(name)
        elif not present and binding != _WEAK:
            want = wanted.get(index, _Wanted("", "", weak=False))
            needs.setdefault(want.library, {}).setdefault(want.version, set()).add(name)
    tables.defines = {version: tuple(sorted(names)) for version, names in sorted(defines.items())}
    tables.needs = {
        library: {version: tuple(sorted(names)) for version, names in sorted(versions.items())}
        for library, versions in sorted(needs.items())
    }


def _symbols(
    sections: dict[int, _Section], order: str, bits: int, copied: frozenset[int]
) -> Iterator[tuple[str, int, bool, int]]:
    """Yield name, binding, whether it is defined here, and the version's index, of each symbol that others can see."""
    table, versym = sections.get(_DYNSYM), sections.get(_VERSYM)
    if table is None:
        return
    indexes = [i & _VERSION_MASK for (i,) in struct.iter_unpack(f"{order}H", versym.data)] if versym else []
    layout = f"{order}IBBHQQ" if bits == _64 else f"{order}IIIBBH"
    for number, entry in enumerate(struct.iter_unpack(layout, table.data)):
        name, info, other, place = entry[:4] if bits == _64 else (entry[0], entry[3], entry[4], entry[5])
        binding = info >> 4
        if name and binding != _LOCAL and other & 3 not in _HIDDEN:
            index = indexes[number] if indexes else _GLOBAL_VERSION
            yield table.text(name), binding, place != _UNDEFINED and number not in copied, index
