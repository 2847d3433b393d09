"""Trees of a clean Debian, and copies of them that something is built, installed or booted in.

    debootstrap ──> builder: debhelper, lintian, systemd ─────────────────┐
         └────────> clean: an init, and the archives of what jaild needs ─┴─> overlay ──> chroot

The trees are kept, shared by all runs and never written to. An overlay is mounted for as long as a program runs in it,
in a mount namespace of its own: of a test that was killed no mount is left.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.demo.cache import Cache, default_root, digest_of
from tests.demo.debian import build_userland
from tests.demo.programs import environment, run

CHECKOUT = Path(__file__).parents[2]
SUITES = {"bookworm": "3.11", "trixie": "3.13"}  # and its Python
EXTRAS = ("metrics", "tracing", "web", "webhook")  # as templates/debian/rules has them
BUILDER = ("build-essential", "debhelper", "lintian", "mandoc", "python3-venv", "systemd")
# What a machine has that somebody uses: an init, completion in the shell.
MACHINE = ("systemd-sysv", "dbus", "procps")
TRIED = (
    "bash-completion",
    "busybox-static",
    "zfs-fuse",
)  # installed by who tries it; what a suite does not have is left out
_APT = ("apt-get", "-qq", "-y", "-o", "Dpkg::Use-Pty=0", "-o", "APT::Sandbox::User=root", "--no-install-recommends")
INSTALL = (*_APT, "install")
_TIMEOUT = 1800.0  # seconds; a tree takes about two minutes
_OVERLAY = 'mount -t overlay overlay -o "$1" "$0" && shift && '
_ENTER = (
    'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount -t tmpfs -o mode=1777 tmp "$0/tmp" && '
    'mount -t tmpfs -o mode=755 run "$0/run" && exec chroot "$0" "$@"'
)
_PLATFORMS = ("manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_28_x86_64")


@dataclass(frozen=True)
class Tree:
    """A Debian in a folder; with `lower` what is written stays in `folder` and the rest is that tree's."""

    folder: Path
    lower: Path | None = None

    def argv(self, *argv: str) -> list[str]:
        """Return the command that runs another one in it."""
        if self.lower is None:
            return ["unshare", "--mount", "--pid", "--fork", "sh", "-c", _ENTER, str(self.folder), *argv]
        options = f"lowerdir={self.lower},upperdir={self.folder}/upper,workdir={self.folder}/work"
        merged = str(self.folder / "merged")
        return ["unshare", "--mount", "--pid", "--fork", "sh", "-c", _OVERLAY + _ENTER, merged, options, *argv]

    def run(self, *argv: str, **env: str) -> str:
        """Run a program in it, in this machine's network; return what it prints. Raises `ProgramError`."""
        return run(self.argv("env", *(f"{key}={value}" for key, value in env.items()), *argv), timeout=_TIMEOUT)

    def status(self, *argv: str) -> tuple[int, str]:
        """Run a program in it; return how it ended, and all that it said."""
        done = subprocess.run(
            self.argv(*argv), env=environment(), capture_output=True, text=True, check=False, timeout=_TIMEOUT
        )
        return done.returncode, done.stdout + done.stderr

    def apt(self, *words: str) -> str:
        """Install, remove or purge, as an administrator would, but for questions."""
        return self.run(*_APT, "-o", "Dpkg::Options::=--force-confold", *words)

    def place(self, path: str) -> Path:
        """Return where a file has to be written, while nothing runs in it."""
        found = (self.folder if self.lower is None else self.folder / "upper") / path.lstrip("/")
        found.parent.mkdir(parents=True, exist_ok=True)
        return found


def copy_of(tree: Tree, folder: Path) -> Tree:
    """Return a copy in a new folder; no more than what is written to it is copied."""
    for name in ("upper", "work", "merged"):
        (folder / name).mkdir(parents=True)
    return Tree(folder, tree.folder)


def builder(suite: str) -> Tree:
    """Return a Debian that has what packages are built and looked at with."""
    return _tree("builder", suite, BUILDER, lambda tree: _furnish(tree, BUILDER))


def clean(suite: str) -> Tree:
    """Return a Debian with an init and nothing else, but the archives of what jaild's package depends on."""

    def furnish(tree: Tree) -> None:
        _furnish(tree, MACHINE)
        known = set(tree.run("apt-cache", "pkgnames").split())
        tree.apt("install", "--download-only", *(name for name in (*depends(), *TRIED) if name in known))

    return _tree("clean", suite, (*MACHINE, *TRIED, *depends()), furnish)


def depends() -> tuple[str, ...]:
    """Return what the package depends on of Debian's."""
    control = (CHECKOUT / "templates/debian/control").read_text()
    told = re.findall(r"^(?:Depends|Recommends): (.*)$", control, re.MULTILINE)
    names = [word.strip().split()[0] for line in told for word in line.split(",")]
    return ("python3", *(name for name in names if not name.startswith("$")))


def wheels(suite: str) -> Path:
    """Return a folder with what the package's venv is made of: fetched once, so that a build needs no network."""
    told = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    project = told["project"]
    wanted = sorted({*told["build-system"]["requires"], *project["dependencies"]})
    wanted += sorted({each for extra in EXTRAS for each in project["optional-dependencies"][extra]})
    digest = digest_of(SUITES[suite], *wanted)
    name = f"packages-wheels-{SUITES[suite]}"
    return Cache(default_root()).folder(name, digest, lambda into: _fetch(SUITES[suite], wanted, into))


def _tree(name: str, suite: str, packages: tuple[str, ...], furnish: Callable[[Tree], None]) -> Tree:
    def build(into: Path) -> None:
        tree = Tree(into / "tree")
        build_userland(suite, tree.folder)
        furnish(tree)

    digest = digest_of(suite, *packages)
    return Tree(Cache(default_root()).folder(f"packages-{name}-{suite}", digest, build) / "tree")


def _furnish(tree: Tree, packages: tuple[str, ...]) -> None:
    tree.place("usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")  # nothing is started while it is installed
    tree.place("usr/sbin/policy-rc.d").chmod(0o755)
    tree.run(*_APT, "update")
    tree.apt("install", *packages)
    tree.place("usr/sbin/policy-rc.d").unlink()


def _fetch(python: str, wanted: list[str], into: Path) -> None:
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(into)]
    argv += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    argv += [word for platform in _PLATFORMS for word in ("--platform", platform)]
    subprocess.run([*argv, *wanted, "wheel"], env=os.environ, check=True)
