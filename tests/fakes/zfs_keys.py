"""The fake's encryption: nothing is, but what has a lock is not mounted without its key."""

from __future__ import annotations

import hashlib

from jaild.adapters.zfs.errors import refusal
from jaild.ports.zfs import Key
from tests.fakes.zfs_pool import Filesystem, Pool

_SIZES = {"passphrase": range(8, 513), "hex": range(64, 65), "raw": range(32, 33)}  # bytes


def lock(name: str, key: bytes, keyformat: str) -> str:
    """Return what a key is compared with; raise KEY_INVALID for what is none."""
    told = key if keyformat == "raw" else key.partition(b"\n")[0]
    if len(told) not in _SIZES[keyformat]:
        raise refusal("KEY_INVALID", name, f"cannot create '{name}': {keyformat} key too short or long")
    return f"{keyformat}:{hashlib.sha256(told).hexdigest()}"


def keys(pool: Pool, top: str) -> dict[str, Key]:
    found = {fs.name: pool.encryption_root(fs) for fs in pool.tree(top)}
    return {name: Key(root=root.name, available=root.loaded) for name, root in found.items() if root is not None}


def load(fs: Filesystem, key: bytes, *, check: bool) -> None:
    if fs.loaded and not check:
        return
    if not fs.lock or lock(fs.name, key, fs.lock.partition(":")[0]) != fs.lock:
        raise refusal("KEY_INCORRECT", fs.name, f"Key load error: Incorrect key provided for '{fs.name}'.")
    fs.loaded = fs.loaded or not check


def unload(pool: Pool, root: Filesystem) -> None:
    if any(fs.mounted and pool.encryption_root(fs) is root for fs in pool.filesystems.values()):
        raise refusal("DATASET_BUSY", root.name, f"Key unload error: '{root.name}' is busy.")
    root.loaded = False
