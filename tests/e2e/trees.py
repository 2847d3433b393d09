"""Tiny bases and releases, made in the test: a static busybox, its links, and the few files that jaild reads.

On FreeBSD programs of the machine instead of busybox (`tests.freebsd_userland`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests import freebsd_userland
from tests.patience import patient
from tests.tars import Item, file, folder, pack, symlink

APPLETS = (
    *("sh", "cat", "sleep", "id", "env", "touch", "httpd", "ip", "rm", "ls", "dd", "sync", "echo", "test", "nc"),
    *(
        "kill",
        "ps",
        "mkdir",
        "stat",
        "wc",
        "tail",
        "head",
        "tr",
        "ln",
        "hostname",
        "grep",
        "mount",
        "cp",
        "mv",
        "true",
        "su",
        "stty",
        "false",
    ),
)
PASSWD = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/usr/sbin/nologin\n"
GROUP = "root:x:0:\ndaemon:x:1:\n"
SHADOW = "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n"
# The first process of a jail gets no signal that it does not handle, so the shell says that it does.
SERVE = """#!/bin/sh
trap 'exit 0' TERM
cat /usr/local/version
while :; do sleep 1000 & wait $!; done
"""
COMMAND = ("/bin/sh", "/usr/local/serve")


def base_items(version: str = "1", etc: Mapping[str, str] | None = None) -> list[Item]:
    if sys.platform.startswith("freebsd"):
        return freebsd_userland.base_items(version, etc or {})
    release = f'ID=tiny\nVERSION_ID="{version}"\nNAME="Tiny"\n'
    files = {"passwd": PASSWD, "group": GROUP, "shadow": SHADOW, "os-release": release, "motd": f"tiny {version}\n"}
    files |= dict(etc or {})
    names = ("bin", "dev", "etc", "home", "proc", "root", "srv", "sys", "tmp", "usr", "usr/local", "var", "var/lib")
    return [
        *(folder(name) for name in names),
        file("bin/busybox", Path("/bin/busybox").read_bytes(), 0o755),
        *(symlink(f"bin/{applet}", "busybox") for applet in APPLETS),
        *(file(f"etc/{name}", text.encode(), 0o600 if name == "shadow" else 0o644) for name, text in files.items()),
    ]


def base(path: Path, version: str = "1", etc: Mapping[str, str] | None = None, *more: Item) -> Path:
    return pack(path, *base_items(version, etc), *more, form="w:gz")


def with_files(
    path: Path, version: str, files: Mapping[str, Path], *more: Item, etc: Mapping[str, str] | None = None
) -> Path:
    """Make a base with programs and libraries of this machine, each at its path."""
    there = {item.name for item in (*base_items(), *more)}
    parents = {str(parent) for name in files for parent in Path(name).parents if parent.name}
    folders = [folder(name) for name in sorted(parents - there)]
    return base(path, version, etc, *more, *folders, *(file(n, f.read_bytes(), 0o755) for n, f in files.items()))


def release(path: Path, version: str, *more: Item, etc: Mapping[str, str] | None = None, healthy: bool = True) -> Path:
    items = [file("version", f"version {version}\n".encode()), file("serve", SERVE.encode(), 0o755)]
    items += [file("healthy")] if healthy else []
    items += [folder("etc"), *(file(f"etc/{name}", text.encode()) for name, text in (etc or {}).items())]
    return pack(path, *items, *more, form="w:gz")


def spec(base: str, app: str | None = None, **more: str) -> str:
    """YAML of a jail that runs `app` and is healthy where its release is; `more` are YAML texts by key."""
    known = {
        "base": base,
        **({"app": app} if app else {}),
        "health": "[{kind: exec, command: [/bin/test, -e, /usr/local/healthy]}]",
        "readiness": f"{{successes: 1, interval: 0.05, deadline: {patient(1):g}}}",
        "stop": f"{{timeout: {patient(3):g}}}",
    }
    return "".join(f"{key}: {value}\n" for key, value in {**known, **more}.items())
