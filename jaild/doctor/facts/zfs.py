"""What ZFS says of itself, of the pool and of the root dataset."""

from __future__ import annotations

from jaild.doctor.checks.zfs import PoolFacts, ZfsFacts
from jaild.model import layout
from jaild.model.errors import JaildError
from jaild.ports.process import Completed, Processes

_TIMEOUT = 20.0  # seconds: a suspended pool answers never
_COLUMNS = "name,size,alloc,free,cap,health,frag"
_FUSE_COLUMNS = "name,size,alloc,free,cap,health"


async def zfs(processes: Processes, *, kernel: str = "") -> ZfsFacts:
    """Ask for the version; `kernel` is what `freebsd-version -k` says."""
    try:
        answer = await processes.run(("zfs", "version"), check=False, timeout=_TIMEOUT)
    except JaildError as error:
        return ZfsFacts(problem=error.message, kernel=kernel)
    said = answer.error_text.strip()
    if answer.status == 0:
        return ZfsFacts(version=answer.text, kernel=kernel)
    if "unrecognized command" in said:
        return ZfsFacts(fuse=True)
    if "zfs-fuse daemon" in said:
        return ZfsFacts(problem="the kernel has no ZFS, and the zfs-fuse that is installed does not run")
    return ZfsFacts(version=answer.text, problem=said.partition("\n")[0] or f"zfs version: status {answer.status}")


async def pool(processes: Processes, dataset: str, *, fuse: bool) -> PoolFacts:
    """Ask for the pool that a dataset is in, and for the dataset."""
    name = dataset.partition("/")[0]
    options = ("-H", "-o", _FUSE_COLUMNS) if fuse else ("-Hp", "-o", _COLUMNS)
    try:
        listed = await processes.run(("zpool", "list", *options, name), check=False, timeout=_TIMEOUT)
        if listed.status != 0:
            return PoolFacts(dataset=dataset, problem=_said(listed, "zpool list"))
        _, _, _, free, capacity, health, *_ = listed.text.rstrip("\n").split("\t")
        features = None if fuse else await _features(processes, name)
        values = await properties(processes, dataset)
        own = await properties(processes, f"{dataset}/jails") if values else {}
        quotas = await _quotas(processes, dataset)
    except JaildError as error:
        return PoolFacts(dataset=dataset, problem=error.message)
    return PoolFacts(
        dataset=dataset,
        health=health,
        capacity=int(capacity.rstrip("%")),
        free=int(values.get("available", "0" if fuse else free)),
        features=features,
        there=bool(values),
        mounted=values.get("mounted") == "yes",
        mountpoint=values.get("mountpoint", ""),
        encryption=values.get("encryption", "off"),
        settings=values,
        own=own,
        quotas=quotas,
    )


async def host_id(processes: Processes, dataset: str) -> str:
    """Return the host's record on its root dataset, as it stands there; '' if there is none."""
    argv = ("zfs", "get", "-Hp", "-o", "value", layout.HOST_PROPERTY, dataset)
    try:
        answer = await processes.run(argv, check=False, timeout=_TIMEOUT)
    except JaildError:  # why there is no ZFS is told by `zfs`
        return ""
    value = answer.text.strip()
    return "" if answer.status != 0 or value == "-" else value


async def _features(processes: Processes, name: str) -> frozenset[str]:
    argv = ("zpool", "get", "-Hp", "-o", "property,value", "all", name)
    rows = [line.split("\t") for line in (await processes.run(argv, timeout=_TIMEOUT)).text.splitlines()]
    return frozenset(
        row[0].removeprefix("feature@") for row in rows if row[0].startswith("feature@") and row[1] != "disabled"
    )


async def properties(processes: Processes, dataset: str) -> dict[str, str]:
    """Ask for all that the dataset's ZFS knows of it; nothing of a dataset that is not there."""
    argv = ("zfs", "get", "-Hp", "-o", "property,value", "all", dataset)
    answer = await processes.run(argv, check=False, timeout=_TIMEOUT)
    rows = [line.split("\t", 1) for line in answer.text.splitlines()] if answer.status == 0 else []
    return {row[0]: row[1] for row in rows if len(row) > 1}  # a user property may have several lines


async def _quotas(processes: Processes, dataset: str) -> dict[str, int]:
    """Ask for the quotas that bound the dataset: its own, and those of what it is in."""
    names = ["/".join(dataset.split("/")[:depth]) for depth in range(1, dataset.count("/") + 2)]
    argv = ("zfs", "get", "-Hp", "-o", "name,value", "quota", *names)
    answer = await processes.run(argv, check=False, timeout=_TIMEOUT)
    rows = [line.split("\t", 1) for line in answer.text.splitlines()]
    return {name: int(value) for name, value in rows if value.isdigit() and int(value)}


def _said(answer: Completed, command: str) -> str:
    return answer.error_text.strip().partition("\n")[0] or f"{command}: status {answer.status}"
