"""What must hold on hosts whatever happened, read from the datasets and the runtime and not from anybody's memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from jaild.model import layout
from jaild.model.jails.authority import Standing, standing_of
from jaild.model.layers.records import Desired, Generation, JailRecord, Ownership
from jaild.model.layout import Layout
from jaild.model.migration.journal import Phase
from jaild.ports.runtime import Run
from jaild.ports.zfs import Dataset
from tests.fakes.host import FakeHost, InProcessHost

_SETTLED = frozenset({Phase.ACTIVATED, Phase.ABORTED, Phase.FINALIZED})


def where(host: InProcessHost) -> Layout:
    """Return what its datasets are called."""
    return Layout(host.root)


async def records(host: InProcessHost) -> dict[str, JailRecord]:
    """Return the jails' records as the datasets have them."""
    found = {}
    for dataset in await host.zfs.datasets(where(host).jails):
        text = dataset.properties.get(layout.JAIL_PROPERTY)
        if text is not None:
            found[dataset.name.rpartition("/")[2]] = msgspec.json.decode(text, type=JailRecord)
    return found


def running(hosts: Sequence[FakeHost], jail: str) -> list[str]:
    """Return which runs of a jail are running, as `host:jail.generation`."""
    return [
        f"{host.name}:{name}"
        for host in hosts
        for name, run in host.runtime.by_name.items()
        if run.spec.jail == jail and run.pid
    ]


async def running_now(hosts: Sequence[InProcessHost], jail: str) -> list[str]:
    """Return the same of any host, as its runtime tells it."""
    return [
        f"{host.name}:{jail}.{run.generation}"
        for host in hosts
        for run in await host.runtime.runs()
        if run.jail == jail and run.running
    ]


def _owns(host: InProcessHost, record: JailRecord) -> bool:
    return standing_of(record, host.core.inventory.host_id) is Standing.OWNED


async def owners(hosts: Sequence[InProcessHost], jail: str) -> list[str]:
    """Return the hosts that may start a jail."""
    found = []
    for host in hosts:
        record = (await records(host)).get(jail)
        if record is not None and _owns(host, record):
            found.append(host.name)
    return found


async def unsafe(hosts: Sequence[InProcessHost], jail: str) -> list[str]:
    """Return what must not be at any moment, even in the middle of a fault."""
    wrong = []
    if len(owning := await owners(hosts, jail)) > 1:
        wrong.append(f"{owning} may all start {jail}")
    if len(runs := await running_now(hosts, jail)) > 1:
        wrong.append(f"running at once: {runs}")
    return wrong


async def unserved(hosts: Sequence[InProcessHost], jail: str) -> list[str]:
    """Return why a jail is not served by its owner's active generation, if that is what it should be."""
    for host in hosts:
        record = (await records(host)).get(jail)
        if record is None or not _owns(host, record):
            continue
        wanted = [f"{host.name}:{jail}.{record.generation}"] if record.desired is Desired.RUNNING else []
        have = await running_now(hosts, jail)
        below = await host.zfs.datasets(f"{host.core.inventory.where.jail(jail)}")
        closed = [f"{each.name} is read-only or not mounted" for each in below if each.readonly or not each.mounted]
        return closed if have == wanted else [*closed, f"{have} run instead of {wanted}"]
    return [f"nobody owns {jail}"]


def unended(host: InProcessHost) -> list[str]:
    """Return the operations and migrations that are not over on a host where nothing goes on any more."""
    wrong = [f"{op.kind} is not done" for op in host.core.use_cases.operations.list() if not op.done]
    wrong += [
        f"journal {journal.phase}, {'outgoing' if journal.outgoing else 'incoming'}, not settled"
        for journal in [*host.core.journals.outgoing(), *host.core.journals.incoming()]
        if journal.phase not in _SETTLED or not journal.notified
    ]
    return [f"{host.name}: {problem}" for problem in wrong]


async def unsettled(host: InProcessHost) -> list[str]:
    """Return what must not be left on a host that has recovered."""
    wrong: list[str] = []
    datasets = await host.zfs.datasets(host.root)
    sealed = {s.dataset for s in await host.zfs.snapshots(host.root, recursive=True) if s.tag == layout.SEALED}
    for dataset in datasets:
        parts = dataset.name.removeprefix(f"{host.root}/").split("/")
        is_layer = (parts[0], len(parts)) in {("bases", 2), ("apps", 3)}
        if is_layer and dataset.name not in sealed:
            wrong.append(f"{dataset.name} is not sealed")
        if parts[0] == "rehearsals" and len(parts) > 1:
            wrong.append(f"{dataset.name} is left of a test migration")
        if parts[0] == "jails" and len(parts) == 2 and layout.JAIL_PROPERTY not in dataset.properties:
            wrong.append(f"{dataset.name} has no record")
    jails, runs = await records(host), await host.runtime.runs()
    for name, record in jails.items():
        parts_of = [d for d in datasets if (d.name + "/").startswith(where(host).jail(name) + "/")]
        wrong += [f"{name}: {problem}" for problem in _jail(host, runs, name, record, parts_of)]
        entry = host.core.inventory.jails.get(name)
        if entry is None or entry.record != record:
            wrong.append(f"{name}: the inventory says {entry and entry.record}, the dataset {record}")
    wrong += [f"{name} is in the index only" for name in host.core.inventory.jails if name not in jails]
    wrong += [f"a run of nobody: {run.jail}.{run.generation}" for run in runs if run.jail not in jails]
    return [f"{host.name}: {problem}" for problem in wrong] + unended(host)


async def unclaimed(hosts: Sequence[InProcessHost], jail: str) -> list[str]:
    """Return a jail's snapshots that are not jaild's: where nobody else makes any, they would stay for ever."""
    wrong = []
    for host in hosts:
        found = await host.zfs.snapshots(where(host).jail(jail), recursive=True)
        wrong += [f"{host.name}: {s.name} is nobody's" for s in found if not s.purpose]
    return wrong


def _jail(
    host: InProcessHost, everything: Sequence[Run], name: str, record: JailRecord, datasets: Sequence[Dataset]
) -> Iterator[str]:
    runs = [f"{name}.{run.generation}" for run in everything if run.jail == name]
    if record.removing:
        yield f"volumes are left half removed: {record.removing}"
    if record.state is Ownership.MOVED:
        if runs:
            yield f"moved, and has runs {runs}"
        yield from (f"moved, and {d.name} is not fenced" for d in datasets if d.mounted or not d.readonly)
        return
    if record.state is not Ownership.ACTIVE or record.owner != host.core.inventory.host_id or record.generation == 0:
        yield f"left as {record}"
        return
    yield from (f"{d.name} is readonly or not mounted" for d in datasets if d.readonly or not d.mounted)
    wanted = [f"{name}.{record.generation}"] if record.desired is Desired.RUNNING else []
    if runs != wanted:
        yield f"has runs {runs}, should have {wanted}"
    if folder := datasets[0].mountpoint:
        yield from _generations(folder, record)
        if not (folder / layout.DATA / "var" / "lib").is_dir():
            yield "its data is gone"


def _generations(folder: Path, record: JailRecord) -> Iterator[str]:
    numbers = [place.name for place in (folder / "generations").iterdir()]
    if str(record.generation) not in numbers:
        yield f"generation {record.generation} is not there"
        return
    if record.staged is not None and str(record.staged.number) not in numbers:
        yield f"generation {record.staged.number} is not there, and staged"
    for number in numbers:
        place = folder / "generations" / number
        kept = record.staged is not None and record.staged.number == int(number)
        if (place / layout.STAGED).exists() is not kept:
            yield f"generation {number} is {'not' if kept else 'still'} marked as staged"
        whole = msgspec.json.decode((place / layout.GENERATION).read_bytes(), type=Generation)
        if whole.number != int(number) or not (place / layout.ETC / "motd").exists():
            yield f"generation {number} is not whole"
