"""A root image with a kernel and its OpenZFS, from Debian's packages alone.

    runtime tree ── copy ──> build tree: headers, compiler, zfs-dkms ──> spl.ko, zfs.ko
         └────────────────────────── modules <──────────────────────────────┘
    runtime tree + modules ──> root.ext4, vmlinuz, early/ (modules that the root file system needs, in order)

The agent is not in it (`initrd.py`), so what changes daily costs no build.
"""

from __future__ import annotations

import json
import lzma
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.demo.cache import Cache, default_root, digest_of
from tests.demo.debian import debootstrap_argv, machine_mirror, strip
from tests.demo.programs import run

RUNTIME = (
    "linux-image-cloud-amd64",
    "zfsutils-linux",
    "python3",
    "kmod",
    "iproute2",
    "busybox-static",
    "libarchive-tools",
    "runc",
)
TOOLCHAIN = ("linux-headers-cloud-amd64", "zfs-dkms")
EARLY = ("virtio_pci", "virtio_blk", "ext4")
SLACK = 512 << 20  # bytes free in the root file system; what a boot writes there is gone with it
BUILD_TIMEOUT = 3600.0  # seconds; the module takes about five minutes on two cores


@dataclass(frozen=True)
class Suite:
    """A Debian release that the lab covers."""

    name: str  # as debootstrap calls it
    zfs: str  # the generation of OpenZFS that it brings


SUITES = (Suite("trixie", "2.3"), Suite("bookworm", "2.1"))


@dataclass(frozen=True)
class Image:
    """A folder of the cache; machines share it and never write to it."""

    folder: Path

    @property
    def kernel(self) -> Path:
        """What qemu boots."""
        return self.folder / "vmlinuz"

    @property
    def root(self) -> Path:
        """An ext4 file system, raw."""
        return self.folder / "root.ext4"

    @property
    def busybox(self) -> Path:
        """A static one, for the initrd."""
        return self.folder / "busybox"

    def early_modules(self) -> list[Path]:
        """Return what must be loaded before the root file system can be mounted, in order, uncompressed."""
        return sorted((self.folder / "early").iterdir())

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that matter."""
        found: dict[str, str] = json.loads((self.folder / "versions.json").read_text())
        return found


def image(suite: str, cache: Cache | None = None) -> Image:
    """Return the image of a suite; built where there is none yet, in about ten minutes."""
    digest = digest_of(Path(__file__), suite)
    return Image((cache or Cache(default_root())).folder(f"lab-{suite}", digest, lambda into: _build(suite, into)))


def _build(suite: str, into: Path) -> None:
    tree, workshop = into / "tree", into / "workshop"
    argv = debootstrap_argv(suite, tree, machine_mirror())
    at = argv.index("debootstrap") + 1
    run([*argv[:at], "--components=main,contrib", *argv[at:]])
    _install(tree, RUNTIME)
    release = next((tree / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
    run(["cp", "--archive", str(tree), str(workshop)])
    _install(workshop, TOOLCHAIN)
    _take_modules(workshop, tree, release)
    (into / "versions.json").write_text(json.dumps(_versions(workshop) | {"kernel": release}, indent=1) + "\n")
    _chroot(tree, ["depmod", release])
    shutil.copy2(tree / f"boot/vmlinuz-{release}", into / "vmlinuz")
    shutil.copy2(tree / "bin/busybox", into / "busybox")
    _take_early(tree, release, into / "early")
    shutil.rmtree(workshop)
    shutil.rmtree(tree / "boot")
    strip(tree)
    _make_root(tree, into / "root.ext4")
    shutil.rmtree(tree)


def _install(tree: Path, packages: Sequence[str]) -> None:
    _chroot(tree, ["apt-get", "-qq", "-y", "-o", "Dpkg::Use-Pty=0", "--no-install-recommends", "install", *packages])


def _chroot(tree: Path, argv: Sequence[str]) -> str:
    # INITRD=No is what initramfs-tools' kernel hook asks: we make our own. A shell only to mount /proc before.
    script = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
    enter = ["unshare", "--mount", "env", "INITRD=No", "sh", "-c", script, str(tree)]
    return run([*enter, *argv], timeout=BUILD_TIMEOUT)


def _take_modules(workshop: Path, tree: Path, release: str) -> None:
    into = tree / "usr/lib/modules" / release / "updates"
    into.mkdir()
    built = [path for path in (workshop / "usr/lib/modules" / release / "updates").rglob("*.ko*") if path.is_file()]
    for path in built:
        _uncompressed(path, into)
    assert {"spl.ko", "zfs.ko"} <= {path.name for path in into.iterdir()}, f"dkms built {built}"


def _take_early(tree: Path, release: str, into: Path) -> None:
    into.mkdir()
    words = _chroot(tree, ["modprobe", "--all", "--show-depends", "--set-version", release, *EARLY]).split()
    paths = dict.fromkeys(word for word in words if ".ko" in word)
    for number, path in enumerate(paths):
        module = _uncompressed(tree / path.lstrip("/"), into)
        module.rename(into / f"{number:02}-{module.name}")


def _uncompressed(module: Path, into: Path) -> Path:
    # Under emulation xz takes seconds at every boot.
    target = into / module.name.removesuffix(".xz")
    target.write_bytes(lzma.decompress(module.read_bytes()) if module.suffix == ".xz" else module.read_bytes())
    return target


def _versions(tree: Path) -> dict[str, str]:
    names = ["zfs-dkms", "zfsutils-linux", "linux-image-cloud-amd64", "python3"]
    lines = _chroot(tree, ["dpkg-query", "--show", "--showformat=${Package} ${Version}\n", *names]).splitlines()
    return dict(line.split(" ", 1) for line in lines)


def _make_root(tree: Path, root: Path) -> None:
    used = int(run(["du", "--summarize", "--block-size=1", str(tree)]).split()[0])
    with root.open("wb") as file:
        file.truncate(used * 5 // 4 + SLACK)
    # No journal: it is thrown away at every power cut.
    run(["mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", "-d", str(tree), str(root)])
