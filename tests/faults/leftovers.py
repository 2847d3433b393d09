"""All that a host has beside what it should: compared with the same host after a migration without a fault."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from jaild.adapters.oci import mounts, namespaces
from jaild.adapters.oci import network as oci_network
from tests.faults.host import RealHost

_MIGRATION = "mig-"  # what names of migrations' snapshots begin with, where nobody else makes any
_TAG = re.compile(rf"{_MIGRATION}[0-9a-f]+-\w+")


async def of(host: RealHost) -> Counter[str]:
    """Return what there is on a host: datasets, snapshots and holds, mounts, namespaces, files of runs.

    Names that differ from migration to migration are made the same.
    """
    found = [f"{dataset.name} readonly={dataset.readonly}" for dataset in await host.zfs.datasets(host.root)]
    found += [f"{_TAG.sub(f'{_MIGRATION}*', name)} held {holds} times" for name, holds in (await _holds(host)).items()]
    found += [f"mounted: {point}" for point in mounts.below(host.folder.resolve(), mounts.mounted())]
    prefix = oci_network.prefix(host.run_folder)
    found += [f"namespace: {n.removeprefix(prefix)}" for n in _names(namespaces.FOLDER) if n.startswith(prefix)]
    for folder in ("run/trees", "run/runs", "run/containers", "spool", "staging"):
        found += [f"{folder}: {name}" for name in _names(host.folder / folder)]
    found += [f"{name}: {file}" for name in host.core.inventory.jails for file in _generations(host, name)]
    return Counter(line.replace(host.root, "POOL").replace(str(host.folder), "HOST") for line in found)


async def _holds(host: RealHost) -> dict[str, str]:
    """Return how many holds each snapshot has: what every ZFS can tell, zfs-fuse too."""
    argv = ["zfs", "get", "-rHp", "-o", "name,value", "userrefs", host.root]
    listed = (await host.pool.processes.run(argv)).text.splitlines()
    return {name: holds for name, _, holds in (line.partition("\t") for line in listed) if "@" in name}


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _generations(host: RealHost, jail: str) -> list[str]:
    folder = host.core.inventory.jails[jail].folder / "generations"
    return [f"generations/{name}" for name in _names(folder)]


def difference(now: Counter[str], without_fault: Counter[str]) -> list[str]:
    """Return what is left over, and what is missing."""
    return [f"left: {line}" for line in sorted((now - without_fault).elements())] + [
        f"missing: {line}" for line in sorted((without_fault - now).elements())
    ]
