"""What the demo runs on (not on FreeBSD): two Debian bases and releases of Redis, built once, kept outside the tree.

`python -m tests.demo.assets` builds what is absent and says where it is.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.demo import cache, debian, elfclosure, redis

SUITES = {"debian-12": "bookworm", "debian-13": "trixie"}
RECIPES = tuple(Path(str(module.__file__)) for module in (debian, elfclosure, redis))


@dataclass(frozen=True, kw_only=True)
class Base:
    """A userland to import: `debian-12`, of version `12.15`."""

    name: str
    version: str
    archive: Path
    manifest: Path | None = None  # FreeBSD's, to verify it by


@dataclass(frozen=True, kw_only=True)
class Userland:
    """How one sees from inside which base a jail runs on."""

    name: str  # Debian
    command: tuple[str, ...]
    version: str  # pattern, with the version as its group

    def read(self, output: str) -> str:
        """Return the version out of what `command` says; '' if it does not say it."""
        found = re.search(self.version, output, re.MULTILINE)
        return found[1] if found else ""


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release to push: `redis`, `7.0.15-tuned`, whose archive's root is /usr/local."""

    app: str
    version: str
    archive: Path
    manifest: Path

    @property
    def reference(self) -> str:
        """`app/version`."""
        return f"{self.app}/{self.version}"


DEBIAN = Userland(name="Debian", command=("cat", "/usr/lib/os-release"), version=r'^VERSION_ID="?([^"\n]*)')
SYMBOLS = frozenset({"MISSING_SYMBOL", "MISSING_SYMBOL_VERSION"})


@dataclass(frozen=True, kw_only=True)
class Assets:
    """All of it. `plain`, `tuned` and `broken` come from old_base's packages, `newer` from new_base's."""

    old_base: Base
    new_base: Base
    plain: Release
    tuned: Release
    broken: Release  # starts, and fails a health check of port 6379
    newer: Release  # cannot run on the old base, for one of the reasons in `refusals`
    userland: Userland = DEBIAN
    refusals: frozenset[str] = SYMBOLS


def prepare(root: Path | None = None, say: Callable[[str], None] = lambda _: None) -> Assets:
    """Build what is absent (half a minute a base; needs root and the machine's Debian mirror) and tell where all is."""
    kept = cache.Cache(root or cache.default_root())
    folders = {}
    for name, suite in SUITES.items():
        digest = cache.digest_of(suite, platform.machine(), *RECIPES, Path(__file__))
        folders[name] = kept.folder(f"demo-{name}", digest, partial(_build, suite, say))
    old, new = folders["debian-12"], folders["debian-13"]
    return Assets(
        old_base=_base("debian-12", old),
        new_base=_base("debian-13", new),
        plain=_release(old, redis.PLAIN),
        tuned=_release(old, redis.TUNED),
        broken=_release(old, redis.BROKEN),
        newer=_release(new, redis.PLAIN),
    )


def _build(suite: str, say: Callable[[str], None], folder: Path) -> None:
    tree, packages, layout = folder / "tree", folder / "packages", folder / "usr-local"
    say(f"building the userland of Debian {suite}")
    debian.build_userland(suite, tree)
    say(f"fetching Redis of Debian {suite}")
    versions = debian.unpack_packages(tree, ["redis-server"], packages)
    redis.collect(packages, tree, layout)
    facts = {
        "version": (tree / "etc/debian_version").read_text().strip(),
        "redis": redis.upstream(versions["redis-server"]),
    }
    debian.strip(tree)
    debian.pack(tree, folder / "base.tar.zst")
    for variant in (redis.PLAIN, redis.TUNED, redis.BROKEN):
        redis.write_release(layout, variant, folder / f"redis{variant.suffix}.tar.zst")
    (folder / "manifest.yaml").write_text(redis.manifest_text(redis.MANIFEST))
    (folder / "facts.json").write_text(json.dumps(facts, indent=1))
    for scratch in (tree, packages, layout):
        shutil.rmtree(scratch)


def _base(name: str, folder: Path) -> Base:
    return Base(name=name, version=_facts(folder)["version"], archive=folder / "base.tar.zst")


def _release(folder: Path, variant: redis.Variant) -> Release:
    return Release(
        app="redis",
        version=_facts(folder)["redis"] + variant.suffix,
        archive=folder / f"redis{variant.suffix}.tar.zst",
        manifest=folder / "manifest.yaml",
    )


def _facts(folder: Path) -> dict[str, str]:
    facts: dict[str, str] = json.loads((folder / "facts.json").read_text())
    return facts


if __name__ == "__main__":
    print(prepare(say=print))  # noqa: T201
