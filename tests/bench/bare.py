"""The same changes by hand: no more than the `zfs`, `mount` and `runc` commands that they need, each timed.

Which mounts, which container: what jaild made for the jail that it is compared with, at other places. Folders and
files are copied from that jail too, which is timed apart.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from jaild.adapters.oci import mounts
from jaild.adapters.oci.records import Records
from jaild.model import layout
from jaild.model.jails.mounts import Mount, MountKind
from tests.bench.daemon import NotMeasuredError
from tests.demo.programs import environment, run

_ENDS = 30.0  # seconds that a jail may take to end
_RECORD = '{"uid":"0123456789abcdef0123456789abcdef","owner":"fedcba9876543210fedcba9876543210","epoch":1}'


@dataclass
class Spent:
    """Seconds by program."""

    by_program: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    copies: float = 0.0  # seconds of the `cp` of files that the change needs too, not in the total
    downtime: float = 0.0  # seconds from the request to stop until the start returned

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self.by_program.values())

    def run(self, *argv: str, log: Path | None = None) -> None:
        """Run a command; its time goes to the program's account."""
        with (log or Path(os.devnull)).open("ab") as output:
            began = time.perf_counter()
            done = subprocess.run(
                argv, env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
            )
            self.by_program[argv[0]] += time.perf_counter() - began
        if done.returncode != 0:
            raise NotMeasuredError(f"{' '.join(argv)}: status {done.returncode}")

    def copy(self, source: Path, target: Path) -> None:
        """Copy a tree."""
        began = time.perf_counter()
        run(["cp", "-a", str(source), str(target)])
        self.copies += time.perf_counter() - began

    @contextmanager
    def dark(self) -> Iterator[None]:
        """Take the time of a block as the downtime."""
        began = time.perf_counter()
        yield
        self.downtime = time.perf_counter() - began


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where jaild has its jails, and where they are made by hand."""

    dataset: str  # parent of the datasets made by hand, mounted at `folder / "jails"`
    folder: Path
    jails: Path  # jaild's
    run: Path  # jaild's run folder


@dataclass(frozen=True, kw_only=True)
class BareJail:
    """A jail without jaild, made after jaild's jail `model`."""

    place: Place
    model: str

    @property
    def dataset(self) -> str:
        """Its own dataset."""
        return f"{self.place.dataset}/{self.model}"

    @property
    def folder(self) -> Path:
        """Where that is mounted."""
        return self.place.folder / "jails" / self.model

    def create(self) -> Spent:
        """Make it and start its first generation."""
        spent = Spent()
        spent.run("zfs", "create", "-o", f"jaild:jail={_RECORD}", self.dataset)
        spent.run("zfs", "create", "-o", "quota=none", f"{self.dataset}/data")
        for name in layout.DATA_FOLDERS:
            spent.copy(self.place.jails / self.model / "data" / name, self.folder / "data" / name)
        self._stage(spent, 1)
        self._runc(spent, "start", self._name(1))
        self._commit(spent)
        return spent

    def change(self, new: int) -> Spent:
        """Cut over from generation `new - 1` to `new`, which is built while the old one serves."""
        spent, old = Spent(), new - 1
        spent.run("zfs", "snapshot", "-r", f"{self.dataset}@before-{new}")
        self._stage(spent, new)
        with spent.dark():
            self._kill(spent, old)
            self._runc(spent, "start", self._name(new))
        self._commit(spent)
        self._runc(spent, "delete", self._name(old))
        self._unmount(spent, old)
        return spent

    def restart(self, number: int) -> Spent:
        """Stop and start what runs: its tree stays mounted."""
        spent = Spent()
        with spent.dark():
            self._kill(spent, number)
            self._runc(spent, "delete", self._name(number))
            self._create_container(spent, number)
            self._runc(spent, "start", self._name(number))
        return spent

    def end(self, number: int) -> None:
        """End it, untimed; its datasets stay."""
        spent = Spent()
        self._runc(spent, "delete", "--force", self._name(number))
        self._unmount(spent, number)

    # -- parts

    def _name(self, number: int) -> str:
        return f"{self.model}.{number}"

    def _tree(self, number: int) -> Path:
        return self.place.folder / "trees" / self._name(number)

    def _bundle(self, number: int) -> Path:
        return self.place.folder / "bundles" / self._name(number)

    def _runc(self, spent: Spent, *words: str, log: Path | None = None) -> None:
        spent.run("runc", "--root", str(self.place.folder / "containers"), *words, log=log)

    def _stage(self, spent: Spent, number: int) -> None:
        """Copy a generation's files; mount its tree and make its container."""
        model = layout.generation_folder(self.place.jails / self.model, number)
        copy = layout.generation_folder(self.folder, number)
        copy.parent.mkdir(exist_ok=True)
        spent.copy(model, copy)
        record = Records(self.place.run.resolve() / "runs").read(self._name(number))
        if record is None:
            raise NotMeasuredError(f"jaild has no run {self._name(number)} to compare with")
        tree = self._tree(number)
        tree.mkdir(parents=True)
        for mount in record.spec.mounts:
            spent.run(*_mounting(self._moved(mount), tree / mount.target.lstrip("/")))
        self._write_bundle(number)
        self._create_container(spent, number)

    def _moved(self, mount: Mount) -> Mount:
        theirs = str(self.place.jails / self.model)
        return msgspec.structs.replace(mount, source=mount.source.replace(theirs, str(self.folder)))

    def _write_bundle(self, number: int) -> None:
        theirs = self.place.run.resolve() / "runs" / self._name(number) / "config.json"
        config: dict[str, Any] = json.loads(theirs.read_bytes())
        config["root"]["path"] = str(self._tree(number))
        config["linux"]["cgroupsPath"] += "-bare"
        bundle = self._bundle(number)
        bundle.mkdir(parents=True)
        (bundle / "config.json").write_text(json.dumps(config))

    def _create_container(self, spent: Spent, number: int) -> None:
        bundle = self._bundle(number)
        words = ("--bundle", str(bundle), "--pid-file", str(bundle / "pid"), self._name(number))
        self._runc(spent, "create", *words, log=bundle / "log")

    def _kill(self, spent: Spent, number: int) -> None:
        """Stop it by its signal, and wait for the end: the waiting is what the jail takes, and counts."""
        handle = os.pidfd_open(int((self._bundle(number) / "pid").read_text()))
        try:
            self._runc(spent, "kill", self._name(number), "TERM")
            began = time.perf_counter()
            if not select.select([handle], [], [], _ENDS)[0]:
                raise NotMeasuredError(f"{self._name(number)} does not end")
            spent.by_program["(the jail's end)"] += time.perf_counter() - began
        finally:
            os.close(handle)

    def _commit(self, spent: Spent) -> None:
        spent.run("zfs", "set", f"jaild:jail={_RECORD}", self.dataset)

    def _unmount(self, spent: Spent, number: int) -> None:
        tree = self._tree(number)
        spent.run("umount", "-n", "-c", "--", *map(str, mounts.below(tree, mounts.mounted())))
        shutil.rmtree(self._bundle(number))
        tree.rmdir()


def _mounting(mount: Mount, target: Path) -> tuple[str, ...]:
    """Return what mounts a part of a tree by hand."""
    if mount.kind is MountKind.TMPFS:
        size = (f"size={mount.size}",) if mount.size else ()
        options = ",".join(("nodev", "nosuid", "private", "mode=1777", *size))
        return ("mount", "-n", "-t", "tmpfs", "-o", options, "tmpfs", str(target))
    options = ",".join(("bind", "private", "nodev", *(("ro",) if mount.readonly else ())))
    return ("mount", "-n", "-o", options, "--", mount.folder, str(target))
