"""The initrd of a machine: mounts the image's root file system, starts the agent, and brings along that and jaild."""

from __future__ import annotations

import stat
from pathlib import Path, PurePath

from tests.lab.image import Image
from tests.lab.program import sources

_HERE = Path(__file__).parent
_AGENT = ("agent.py", "frames.py")
PLACE = "/run/lab"  # of the agent and jaild, in the machine; there they have the module names that they have here
_INIT = f"""#!/busybox sh
for folder in proc sys dev root; do /busybox mkdir -p /$folder; done
/busybox mount -t devtmpfs dev /dev
for module in /early/*; do /busybox insmod $module; done
until /busybox mount -t ext4 -o noatime /dev/vda /root 2>/dev/null; do /busybox usleep 20000; done
/busybox mount -t tmpfs -o mode=755 run /root/run
/busybox cp -r {PLACE} /root{PLACE}
/busybox mount --move /dev /root/dev
exec /busybox switch_root -c /dev/console /root /usr/bin/env PYTHONPATH={PLACE} python3 -S -B -m tests.lab.agent
"""


def initrd(image: Image) -> bytes:
    """Return it as a cpio archive."""
    files = {f"early/{path.name}": path.read_bytes() for path in image.early_modules()}
    place = PLACE.strip("/")
    files |= {f"{place}/tests/lab/{name}": (_HERE / name).read_bytes() for name in _AGENT}
    files |= {f"{place}/{path}": content for path, content in sources().items()}
    entries = [_folder(name) for name in sorted({str(above) for path in files for above in PurePath(path).parents})]
    entries += [_file("init", _INIT.encode(), 0o755), _file("busybox", image.busybox.read_bytes(), 0o755)]
    entries += [_file(path, content) for path, content in files.items()]
    return b"".join([*entries, _entry("TRAILER!!!", b"", 0)])


def _folder(name: str) -> bytes:
    return _entry(name, b"", stat.S_IFDIR | 0o755)


def _file(name: str, data: bytes, mode: int = 0o644) -> bytes:
    return _entry(name, data, stat.S_IFREG | mode)


def _entry(name: str, data: bytes, mode: int) -> bytes:
    """Return an entry of the "newc" format (Linux: Documentation/driver-api/early-userspace/buffer-format.rst)."""
    encoded = name.encode() + b"\0"
    # ino, mode, uid, gid, nlink, mtime, filesize, maj, min, rmaj, rmin, namesize, check
    numbers = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + encoded
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
