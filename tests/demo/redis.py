"""The demo's application: Redis from Debian's packages, laid out under /usr/local, as releases of one app."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from jaild.model.layers.records import Group, Manifest, User
from tests.demo import debian, elfclosure

PROGRAMS = ("redis-server", "redis-cli")
PORT = 6379
ACCOUNT = 6379  # uid and gid

# A reply leaves after the write's fsync: `appendfsync always` flushes before the event loop answers.
SETTINGS = {
    "bind": "* -::*",
    "port": str(PORT),
    "protected-mode": "no",
    "daemonize": "no",
    "dir": "/var/lib/redis",
    "appendonly": "yes",
    "appendfsync": "always",
    "save": '""',
}
TUNING = "hz 50\ntcp-backlog 1024\nlazyfree-lazy-eviction yes\n"

MANIFEST = Manifest(
    command=("/usr/local/bin/redis-server", "/usr/local/etc/redis/redis.conf"),
    environment={"LD_LIBRARY_PATH": "/usr/local/lib"},  # the loader's cache is in the jail's /etc, not the release's
    user="redis",
    users=(User(name="redis", uid=ACCOUNT, gid=ACCOUNT, home="/var/lib/redis", comment="Redis"),),
    groups=(Group(name="redis", gid=ACCOUNT),),
    directories=("/var/lib/redis",),
)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """How a release differs from the plain one: settings changed, files added (paths below /usr/local)."""

    suffix: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = ()


PLAIN = Variant()
TUNED = Variant(
    suffix="-tuned",
    settings=(("include", "/usr/local/etc/redis/tuning.conf"),),
    files=(("etc/redis/tuning.conf", TUNING), ("share/redis/TUNING", "Answers sooner under many clients.\n")),
)
# It starts and stays up, but nobody reaches it where the health check looks.
BROKEN = Variant(suffix="-broken", settings=(("port", "6380"),))


def configuration(variant: Variant) -> str:
    """The text of redis.conf."""
    return "".join(f"{name} {value}\n" for name, value in (SETTINGS | dict(variant.settings)).items())


def manifest_text(manifest: Manifest) -> str:
    """A manifest as a product team writes it."""
    return str(yaml.safe_dump(msgspec.to_builtins(manifest), sort_keys=False))


def collect(packages: Path, base: Path, into: Path) -> None:
    """Lay out bin/ and lib/ in `into`: the programs of unpacked `packages` and all libraries but the C library.

    So a release runs on any base whose C library is new enough, and what keeps it from an older one is symbol versions.
    """
    sources = [packages / "usr/bin" / name for name in PROGRAMS]
    available = elfclosure.libraries(base) | elfclosure.libraries(packages)
    wanted = elfclosure.to_bundle(sources, debian.files_of(base, "libc6"), available)
    for folder in ("bin", "lib"):
        (into / folder).mkdir(parents=True)
    for source in sources:  # redis-server is a link to a program of many names
        _copy(source.resolve(strict=True), into / "bin" / source.name, 0o755)
    for soname, source in wanted.items():
        _copy(source.resolve(strict=True), into / "lib" / soname, 0o644)


def upstream(version: str) -> str:
    """Debian's version without its epoch and revision: `8.0.2` of `5:8.0.2-3+deb13u2`."""
    return version.split(":", 1)[-1].rsplit("-", 1)[0]


def write_release(programs: Path, variant: Variant, archive: Path) -> None:
    """Pack what `collect` laid out, configured as `variant`, as a release whose root is /usr/local."""
    tree = archive.with_suffix(".tree")
    shutil.copytree(programs, tree, symlinks=True)
    for path, text in (("etc/redis/redis.conf", configuration(variant)), *variant.files):
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    debian.pack(tree, archive)
    shutil.rmtree(tree)


def _copy(source: Path, target: Path, mode: int) -> None:
    shutil.copyfile(source, target)
    target.chmod(mode)
