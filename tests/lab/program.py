"""jaild for a machine: its libraries on a disk of their own, itself in the initrd. Neither is in the image.

So a change of jaild costs nothing, and a change of its dependencies a minute, instead of a kernel module's build.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from tests.demo.cache import Cache, default_root, digest_of
from tests.demo.hosts import CHECKOUT
from tests.demo.programs import run
from tests.lab.image import Image

_ABI = "manylinux_2_28_x86_64"
_SLACK = 16 << 20  # bytes


class LibrariesError(Exception):
    """The libraries could not be fetched."""


def libraries(image: Image, cache: Cache | None = None, *, more: Sequence[str] = ()) -> Path:
    """Return a read-only ext4 with what jaild imports, for the Python of the image; fetched where there is none yet.

    `more` is what else shall be on it, as pip names it.
    """
    python = ".".join(image.versions()["python3"].split(".")[:2])  # 3.13 of 3.13.5-1
    wanted = [*_dependencies(), *more]
    digest = digest_of(Path(__file__), python, *wanted)
    kept = cache or Cache(default_root())
    return kept.folder(f"lab-libraries-{python}", digest, lambda into: _fetch(python, wanted, into)) / "libraries.ext4"


def sources() -> dict[str, bytes]:
    """Return jaild as files by their path below one folder of `sys.path`, with what `importlib.metadata` reads."""
    package = CHECKOUT / "jaild"
    files = {str(path.relative_to(CHECKOUT)): path.read_bytes() for path in sorted(package.rglob("*.py"))}
    head = f"Metadata-Version: 2.1\nName: jaild\nVersion: {version('jaild')}\n"
    return {**files, f"jaild-{version('jaild')}.dist-info/METADATA": head.encode()}


def _dependencies() -> list[str]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    return sorted(project["dependencies"])


def _fetch(python: str, wanted: list[str], into: Path) -> None:
    tree = into / "tree"
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    argv += ["--target", str(tree), "--only-binary=:all:", "--implementation", "cp"]
    argv += ["--python-version", python, "--platform", _ABI, "--platform", "manylinux2014_x86_64", *wanted]
    done = subprocess.run(argv, env=os.environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LibrariesError(f"{' '.join(argv)}: status {done.returncode}: {done.stderr}")
    used = int(run(["du", "--summarize", "--block-size=1", str(tree)]).split()[0])
    disk = into / "libraries.ext4"
    with disk.open("wb") as file:
        file.truncate(used * 5 // 4 + _SLACK)
    run(["mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", "-d", str(tree), str(disk)])
    run(["rm", "-r", str(tree)])
