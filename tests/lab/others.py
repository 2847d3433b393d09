"""An image with the programs that jaild is compared with, from Debian's packages: that of `image.py`, and they in it.

    root.ext4 ── copy, loop mount ──> apt-get install ──> root.ext4 of its own; the rest are links to the first

The first stays as it is, and so does what every other case of the lab boots.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.demo.cache import Cache, default_root, digest_of
from tests.demo.debian import KEYRING, machine_mirror
from tests.demo.programs import run
from tests.lab.image import Image, image

# incus-base: without the virtual machines' qemu. What syncoid calls beside ssh: mbuffer, lzop and pv.
PACKAGES = ("incus-base", "sanoid", "mbuffer", "lzop", "pv", "openssh-server", "rsync", "squashfs-tools", "attr")
_TOLD = ("incus-base", "sanoid", "mbuffer", "openssh-server")
_TIMEOUT = 3600.0  # seconds
# INITRD=No is what initramfs-tools' hook asks: we make our own. A shell only to mount before; the mounts go with it.
_ENTER = (
    'mount -o loop "$1" "$2" && mount -t proc proc "$2/proc" && mount -t tmpfs tmp "$2/tmp" && '
    'cp /etc/resolv.conf "$2/etc/resolv.conf" && top="$2" && shift 2 && exec chroot "$top" "$@"'
)
_NULL = ("test -c /dev/null", "mknod -m 666 /dev/null c 1 3", "mknod -m 666 /dev/urandom c 1 9")
_NO_SERVICE = "#!/bin/sh\nexit 101\n"  # of policy-rc.d: nothing is started while it is installed
_SCRATCH = ("/var/lib/apt/lists", "/var/cache/apt", "/usr/sbin/policy-rc.d", "/etc/resolv.conf")


def image_with_others(suite: str, cache: Cache | None = None) -> Image:
    """Return the image of a suite with `PACKAGES`; built where there is none yet, in a few minutes."""
    kept = cache or Cache(default_root())
    plain = image(suite, kept)
    digest = digest_of(Path(__file__), plain.folder.name)
    return Image(kept.folder(f"lab-others-{suite}", digest, lambda into: _build(suite, plain, into)))


def _build(suite: str, plain: Image, into: Path) -> None:
    root, mounted = into / "root.ext4", into / "mounted"
    mounted.mkdir()
    run(["cp", "--sparse=always", str(plain.root), str(root)])
    sources = f"deb [signed-by={KEYRING}] {machine_mirror()} {suite} main\n"
    inside = _Inside(root, mounted)
    inside.shell(f"{_NULL[0]} || {{ {_NULL[1]} && {_NULL[2]}; }}")
    inside.shell('printf %s "$1" > /etc/apt/sources.list', sources)
    inside.shell('printf %s "$1" > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d', _NO_SERVICE)
    inside.run("apt-get", "-qq", "update")
    install = ("apt-get", "-qq", "-y", "-o", "Dpkg::Use-Pty=0", "--no-install-recommends", "install")
    inside.run(*install, *PACKAGES)
    said = inside.run("dpkg-query", "--show", "--showformat=${Package} ${Version}\n", *_TOLD)
    inside.run("rm", "-r", *_SCRATCH)  # last: each run brings resolv.conf
    versions = plain.versions() | dict(line.split(" ", 1) for line in said.splitlines())
    (into / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")
    for path in (plain.kernel, plain.busybox, plain.folder / "early"):
        (into / path.name).symlink_to(path)
    mounted.rmdir()


class _Inside:
    """Runs programs in a root file system, mounted for as long as each runs."""

    def __init__(self, root: Path, mounted: Path) -> None:
        self._enter = ["unshare", "--mount", "env", "INITRD=No", "sh", "-c", _ENTER, "sh", str(root), str(mounted)]

    def run(self, *argv: str) -> str:
        return run([*self._enter, *argv], timeout=_TIMEOUT)

    def shell(self, script: str, *words: str) -> str:
        return self.run("sh", "-c", script, "sh", *words)
