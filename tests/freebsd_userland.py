"""A tiny FreeBSD userland for tests: programs of this machine at their own places, and the libraries that they need."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.demo.programs import run
from tests.tars import Item, file, folder, symlink

_BIN = ("sh", "cat", "chmod", "cp", "date", "dd", "echo", "hostname", "kill", "ln", "ls", "mkdir", "mv", "ps", "rm")
_OTHERS = (
    "/bin/sleep",
    "/bin/sync",
    "/bin/test",
    "/sbin/ifconfig",
    "/sbin/mount",
    "/sbin/route",
    "/sbin/sysctl",
    "/usr/sbin/chroot",
)
_USR_BIN = ("env", "false", "grep", "head", "id", "nc", "stat", "tail", "touch", "tr", "true", "wc")
PROGRAMS = (*(f"/bin/{name}" for name in _BIN), *_OTHERS, *(f"/usr/bin/{name}" for name in _USR_BIN))
LINKER = "/libexec/ld-elf.so.1"
_FOLDERS = ("dev", "etc", "home", "proc", "root", "tmp", "usr/local", "var", "var/lib", "var/run")
_PASSWD = "root:*:0:0:root:/root:/bin/sh\ndaemon:*:1:1:daemon:/:/usr/sbin/nologin\n"
_GROUP = "wheel:*:0:root\ndaemon:*:1:\n"


def base_items(version: str, etc: Mapping[str, str]) -> list[Item]:
    """Return a base that tells its `version` in /etc/motd: to the system it is of this machine's.

    What a Linux one has in /bin (`tests.e2e.trees`) is found there, too.
    """
    files = {"passwd": _PASSWD, "group": _GROUP, "motd": f"tiny {version}\n", **etc}
    told = f'#!/bin/sh\nUSERLAND_VERSION="{os.uname().release}"\necho "$USERLAND_VERSION"\n'
    places = [*_FOLDERS, *(path.lstrip("/") for path in _machines_files())]
    folders = {str(parent) for place in places for parent in Path(place).parents if parent.name} | {*_FOLDERS}
    return [
        *(folder(name) for name in sorted(folders)),
        *(file(path.lstrip("/"), Path(path).read_bytes(), 0o755) for path in _machines_files()),
        file("bin/freebsd-version", told.encode(), 0o755),
        *(symlink(f"bin/{name}", f"../usr/bin/{name}") for name in _USR_BIN),
        *(file(f"etc/{name}", text.encode()) for name, text in files.items()),
    ]


@cache
def _machines_files() -> tuple[str, ...]:
    needed = run(["ldd", "-f", "%p\\n", *PROGRAMS]).split()
    return (*PROGRAMS, LINKER, *sorted({path for path in needed if path.startswith("/")}))
