"""What a host has that nobody knows of any more: datasets, snapshots, holds, bookmarks, mounts, containers."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from jaild.jails.datasets import KEPT_SAFETY_SNAPSHOTS
from jaild.model import layout
from tests.lab.machine import Machine

_MIGRATION = "mig-"  # what names of migrations' snapshots begin with, where nobody else makes any
_SAFETY = "before-"


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the daemon of a host says that it has."""

    root: str
    layers: frozenset[str]  # bases/debian-12, apps/redis/7.0
    jails: dict[str, int]  # each with its running generation; 0: none runs here
    volumes: tuple[str, ...] = ()  # that each of them has


def find(machine: Machine, known: Known) -> list[str]:
    """Say what is left over. Empty: nothing."""
    listed = machine.must("zfs", "list", "-H", "-o", "name,type", "-t", "all", "-r", known.root).decode().splitlines()
    kinds = dict(line.split("\t") for line in listed)
    snapshots = [name for name, kind in kinds.items() if kind == "snapshot"]
    held = machine.run("zfs", "holds", "-H", *snapshots)
    return [
        *([f"snapshots come and go: {held.error_text}"] if snapshots and held.status else []),
        *_datasets([name for name, kind in kinds.items() if kind == "filesystem"], known),
        *_snapshots(snapshots, known),
        *(f"bookmark {name}" for name, kind in kinds.items() if kind == "bookmark" and f"#{_MIGRATION}" not in name),
        *(f"hold {line}" for line in held.text.splitlines() if f"@{_MIGRATION}" not in line),
        *_runs(machine, known),
    ]


def _datasets(found: list[str], known: Known) -> list[str]:
    where = layout.Layout(known.root)
    apps = {where.app(layer.split("/")[1]) for layer in known.layers if layer.startswith("apps/")}
    jails = {where.part(jail, part) for jail in known.jails for part in ("", layout.DATA, *known.volumes)}
    own = {where.root, where.reserve, where.bases, where.apps, where.jails}
    rightful = {*own, *apps, *map(where.layer, known.layers), *jails}
    return [f"dataset {name}" for name in found if name not in rightful]


def _snapshots(found: list[str], known: Known) -> list[str]:
    """A layer has its seal; a jail's dataset two snapshots of the last migration, and the newest safety snapshots."""
    strange, counted = [], Counter[tuple[str, str]]()
    for name in found:
        dataset, _, tag = name.partition("@")
        kind = next((k for k in (_MIGRATION, _SAFETY) if tag.startswith(k)), tag)
        counted[dataset, kind] += 1
        of_jail = dataset.startswith(f"{layout.Layout(known.root).jails}/")
        if kind not in ({_MIGRATION, _SAFETY} if of_jail else {layout.SEALED}):
            strange.append(f"snapshot {name}")
    most = {_MIGRATION: 2, _SAFETY: KEPT_SAFETY_SNAPSHOTS, layout.SEALED: 1}
    return strange + [
        f"{number} snapshots {dataset}@{kind}*: {[name for name in found if name.startswith(f'{dataset}@{kind}')]}"
        for (dataset, kind), number in counted.items()
        if number > most.get(kind, number)
    ]


def _runs(machine: Machine, known: Known) -> list[str]:
    running = {f"{jail}.{generation}" for jail, generation in known.jails.items() if generation}
    state = "/run/jaild/containers"
    listed = machine.run("runc", "--root", state, "list", "--format", "json").stdout
    containers = {row["id"] for row in json.loads(listed or "null") or []}
    mounted = {line.split()[4] for line in machine.must("cat", "/proc/self/mountinfo").decode().splitlines()}
    trees = {path for path in mounted if path.startswith("/run/jaild/trees/")}
    rightful = tuple(f"/run/jaild/trees/{name.replace('.', '/')}" for name in running)
    return [
        *(f"container {name}" for name in sorted(containers - running)),
        *(f"no container of {name}" for name in sorted(running - containers)),
        *(f"mount {path}" for path in sorted(trees) if not f"{path}/".startswith(tuple(f"{r}/" for r in rightful))),
    ]
