"""Folders that take minutes to build and never change: built once, whole or not at all, shared by parallel runs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def default_root() -> Path:
    """`$JAILD_CACHE`, or `~/.cache/jaild`: outside of the tree, so that a fresh clone finds it."""
    return Path(os.environ.get("JAILD_CACHE") or Path.home() / ".cache" / "jaild")


def digest_of(*inputs: str | Path) -> str:
    """16 hex digits of texts and of files' contents, in this order."""
    total = hashlib.sha256()
    for each in inputs:
        content = each.read_bytes() if isinstance(each, Path) else each.encode()
        total.update(len(content).to_bytes(8, "big") + content)
    return total.hexdigest()[:16]


@dataclass(frozen=True)
class Cache:
    """`root/<name>-<digest>/` for each thing built."""

    root: Path

    def folder(self, name: str, digest: str, build: Callable[[Path], None]) -> Path:
        """The folder built from inputs of this digest. `build` fills an empty one, which gets its name when complete.

        Whoever asks for the same name meanwhile waits. What an interrupted build left is removed.
        """
        final = self.root / f"{name}-{digest}"
        if final.is_dir():
            return final
        self.root.mkdir(parents=True, exist_ok=True)
        with self._locked(name):
            if final.is_dir():
                return final
            for leftover in self.root.glob(f".{name}.*.part"):
                shutil.rmtree(leftover)
            part = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".part", dir=self.root))
            try:
                part.chmod(0o755)
                build(part)
                part.rename(final)
            except BaseException:
                shutil.rmtree(part)
                raise
        return final

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with (self.root / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # ends with the descriptor, so also with a killed process
            yield
