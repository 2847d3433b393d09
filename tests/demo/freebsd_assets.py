"""What the demo runs on, on FreeBSD: two base.txz that are given by path, and the machine's own Redis as releases."""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from jaild.model.layers import osversion
from tests.demo import redis
from tests.demo.assets import Assets, Base, Release, Userland
from tests.demo.programs import run

FREEBSD = Userland(name="FreeBSD", command=("/bin/freebsd-version", "-u"), version=r"^(\S+)$")
REFUSALS = frozenset({"ABI_MISMATCH"})
LOCAL = Path("/usr/local")
_BASES = 2


class AssetsError(Exception):
    """The demo cannot be told with what there is."""


def prepare(archives: Sequence[Path], folder: Path, local: Path = LOCAL) -> Assets:
    """Look at the bases, and pack the releases into `folder`. Raises `AssetsError`, `ProgramError`.

    The bases must be of one major version: within it FreeBSD keeps its ABI, and Redis comes from this machine.
    """
    if len(archives) != _BASES:
        raise AssetsError("two bases are needed: make demo BASES='13.2/base.txz 13.3/base.txz'")
    bases = sorted((_base(archive) for archive in archives), key=lambda base: _number(base.version))
    majors = {base.version.partition(".")[0] for base in bases}
    if len(majors) != 1:
        raise AssetsError(f"both bases must be of one major version, not {' and '.join(sorted(majors))}")
    layout = _collect(folder / "usr-local", local)
    version = _redis_version(local)
    abi = osversion.freebsd(bases[0].version, 0, platform.machine()).abi
    released = {variant: _pack(layout, variant, version, abi, folder) for variant in _VARIANTS}
    system, major, machine = abi.split(":")
    next_abi = f"{system}:{int(major) + 1}:{machine}"
    return Assets(
        old_base=bases[0],
        new_base=bases[1],
        plain=released[redis.PLAIN],
        tuned=released[redis.TUNED],
        broken=released[redis.BROKEN],
        newer=_pack(layout, redis.Variant(suffix="-next"), version, next_abi, folder),
        userland=FREEBSD,
        refusals=REFUSALS,
    )


_VARIANTS = (redis.PLAIN, redis.TUNED, redis.BROKEN)


def _base(archive: Path) -> Base:
    text = run(["bsdtar", "-xOf", str(archive), "./bin/freebsd-version"])
    version = osversion.userland_version(text)
    if version is None:
        raise AssetsError(f"{archive}: bin/freebsd-version names no USERLAND_VERSION")
    manifest = archive.with_name("MANIFEST")
    name = f"freebsd-{version.lower()}"
    return Base(name=name, version=version, archive=archive, manifest=manifest if manifest.exists() else None)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", version))


def _redis_version(local: Path) -> str:
    said = run([str(local / "bin/redis-server"), "--version"])
    found = re.search(r" v=([0-9.]+)", said)
    if found is None:
        raise AssetsError(f"redis-server tells no version: {said}")
    return found[1]


def _collect(layout: Path, local: Path) -> Path:
    """Lay out bin/ and lib/: the programs and what of their libraries comes from packages."""
    for name in redis.PROGRAMS:
        program = local / "bin" / name
        if not program.exists():
            raise AssetsError(f"{program} is missing: pkg install redis")
        _copy(program, layout / "bin" / name)
        for line in run(["ldd", "-f", "%o %p\\n", str(program)]).splitlines():
            soname, _, library = line.partition(" ")
            if Path(library).is_relative_to(local):
                _copy(Path(library), layout / "lib" / soname)
    return layout


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source.resolve(strict=True), target)


def _pack(layout: Path, variant: redis.Variant, version: str, abi: str, folder: Path) -> Release:
    archive = folder / f"redis{variant.suffix}.tar.zst"
    redis.write_release(layout, variant, archive)
    manifest = folder / f"redis{variant.suffix}.yaml"
    manifest.write_text(redis.manifest_text(msgspec.structs.replace(redis.MANIFEST, abi=abi)))
    return Release(app="redis", version=version + variant.suffix, archive=archive, manifest=manifest)
