"""What the power-cut campaign runs: Redis of the demo on bases that hold its C library and little else.

A whole Debian takes 20 s to import under emulation; these take two.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.demo.assets import Assets, Release
from tests.demo.programs import run
from tests.e2e import trees
from tests.tars import file, folder, pack, symlink

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_WANTED = (
    *(f"{_LIBRARIES}/lib{name}" for name in ("c.so.6", "m.so.6", "dl.so.2", "pthread.so.0", "rt.so.1", "resolv.so.2")),
    "usr/lib64/ld-linux-x86-64.so.2",
)


@dataclass(frozen=True, kw_only=True)
class Small:
    """Archives: two bases by name, and the demo's releases of Redis."""

    bases: dict[str, Path]
    plain: Release
    tuned: Release


def small(assets: Assets, folder: Path) -> Small:
    """Write the bases into `folder`."""
    bases = {f"small-{version}": _base(assets.old_base.archive, folder, version) for version in ("1", "2")}
    return Small(bases=bases, plain=assets.plain, tuned=assets.tuned)


def _base(debian: Path, into: Path, version: str) -> Path:
    with tempfile.TemporaryDirectory() as scratch:
        run(["bsdtar", "--extract", "--file", str(debian), "--directory", scratch, *(f"./{path}" for path in _WANTED)])
        files = [file(path, (Path(scratch) / path).resolve(strict=True).read_bytes(), 0o755) for path in _WANTED]
    places = [folder(path) for path in ("usr/lib", _LIBRARIES, "usr/lib64")]
    links = [symlink("lib", "usr/lib"), symlink("lib64", "usr/lib64")]
    return pack(into / f"small-{version}.tgz", *trees.base_items(version), *places, *links, *files, form="w:gz")
