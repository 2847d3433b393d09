"""Finds out which operating system an unpacked tree holds; follows its symlinks as the jail would, never out of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from jaild.model.errors import InvalidArgumentError
from jaild.model.layers import osversion
from jaild.model.layers.osversion import OsVersion

_MAX_LINKS = 40  # as the kernels' MAXSYMLINKS
_MAX_READ = 4 << 20  # headers and notes of a program stand in its first pages; texts are small
_FREEBSD_VERSION = "bin/freebsd-version"
_PARAM_H = "usr/include/sys/param.h"
_OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
_PROGRAMS = ("bin/sh", "sbin/init", "usr/bin/env", "bin/ls")


def detect(root: Path) -> OsVersion:
    """Return what the tree is. Blocks for a few small reads.

    Raises `InvalidArgumentError` (NOT_A_BASE) saying what was looked for.
    """
    machine, program = _machine(root)
    if machine is None:
        raise _not_a_base(root, f"an ELF program at {', '.join(_PROGRAMS)}")
    script = read_inside(root, _FREEBSD_VERSION)
    if script is not None:
        return _freebsd(root, script, machine, program)
    for path in _OS_RELEASE:
        text = read_inside(root, path)
        found = osversion.linux(osversion.os_release(_text(text)), machine) if text is not None else None
        if found is not None:
            return found
    raise _not_a_base(root, f"{_FREEBSD_VERSION} (FreeBSD) or {' or '.join(_OS_RELEASE)} with an ID (Linux)")


def _freebsd(root: Path, script: bytes, machine: str, program: bytes) -> OsVersion:
    version = osversion.userland_version(_text(script))
    if version is None:
        raise _not_a_base(root, f'USERLAND_VERSION="..." in {_FREEBSD_VERSION}')
    header = read_inside(root, _PARAM_H)
    osreldate = osversion.param_osreldate(_text(header)) if header is not None else None
    if osreldate is None:
        osreldate = osversion.elf_osreldate(program)
    if osreldate is None:
        raise _not_a_base(root, f"__FreeBSD_version in {_PARAM_H}, or FreeBSD's note in {_PROGRAMS[0]}")
    return osversion.freebsd(version, osreldate, machine)


def _machine(root: Path) -> tuple[str | None, bytes]:
    for path in _PROGRAMS:
        program = read_inside(root, path)
        machine = osversion.elf_machine(program) if program is not None else None
        if program is not None and machine is not None:
            return machine, program
    return None, b""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _not_a_base(root: Path, wanted: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "NOT_A_BASE",
        f"{root} holds no operating system that jaild knows: looked for {wanted}",
        hint="import a FreeBSD base.txz, or a tar of a whole Linux userland, packed from its root",
        detail={"looked_for": wanted},
    )


def read_inside(root: Path, path: str) -> bytes | None:
    """Return the start (4 MiB) of a file of the tree, as a process in it would see it; None if it is missing.

    Symlinks are followed with `root` as their root; `..` does not lead above it.
    """
    place = _resolve(root, path)
    if place is None:
        return None
    # O_NONBLOCK: opening a fifo must not wait for its other end.
    descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return file.read(_MAX_READ)


def _resolve(root: Path, path: str) -> Path | None:
    parts = list(reversed(PurePosixPath("/", path).parts[1:]))
    place: list[str] = []
    links = 0
    while parts:
        part = parts.pop()
        if part == "..":
            place = place[:-1]
            continue
        here = root.joinpath(*place, part)
        if here.is_symlink():
            links += 1
            if links > _MAX_LINKS:
                return None
            target = PurePosixPath(here.readlink())
            if target.is_absolute():
                place = []
            parts.extend(reversed([piece for piece in target.parts if piece != "/"]))
        elif here.is_dir() or (not parts and here.is_file()):
            place.append(part)
        else:
            return None
    found = root.joinpath(*place)
    return found if found.is_file() else None
