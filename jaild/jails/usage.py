"""What jails use now: asked of runtime and ZFS, for people who look and for monitoring."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import structlog

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.model import layout
from jaild.model.errors import JaildError
from jaild.model.jails.spec import Limits
from jaild.model.views import JailStats
from jaild.ports.runtime import Traffic
from jaild.ports.zfs import Dataset

_AT_ONCE = 8  # measurements side by side: each may be a process


class Stats:
    """Measures. Changes nothing."""

    def __init__(self, engine: Engine) -> None:
        self._inventory = engine.inventory
        self._runtime = engine.ports.runtime
        self._zfs = engine.ports.zfs
        self._clock = engine.ports.clock
        self._log = structlog.get_logger("jaild.usage")

    async def measure(self, names: Sequence[str]) -> list[JailStats]:
        """Return what some jails use, or all if none is named, by name. `NotFoundError` (JAIL_NOT_FOUND)."""
        wanted = sorted(set(names) or self._inventory.jails)
        entries = [self._inventory.jail(name) for name in wanted]
        datasets = await self._datasets(wanted if names else [])
        traffic = await self._traffic(entries)
        few = asyncio.Semaphore(_AT_ONCE)

        async def one(entry: JailEntry) -> JailStats:
            async with few:
                found = await self._one(entry, datasets)
            carried = traffic.get(entry.name)
            if carried is None or found.memory is None:
                return found
            return msgspec.structs.replace(found, received=carried.received, sent=carried.sent)

        return await asyncio.gather(*map(one, entries))

    async def _traffic(self, entries: Sequence[JailEntry]) -> Mapping[str, Traffic]:
        runs = [entry.run for entry in entries if entry.run is not None and entry.run.running]
        try:
            return await self._runtime.traffic(runs) if runs else {}
        except JaildError as error:  # all else is known without it
            self._log.warning("traffic", error=str(error))
            return {}

    async def _datasets(self, names: Sequence[str]) -> Mapping[str, Dataset]:
        where = self._inventory.where
        trees = [where.jail(name) for name in names] or [where.jails]  # all at once: one command
        return {dataset.name: dataset for tree in trees for dataset in await self._zfs.datasets(tree)}

    async def _one(self, entry: JailEntry, datasets: Mapping[str, Dataset]) -> JailStats:
        jail = datasets.get(self._inventory.where.jail(entry.name))
        data = datasets.get(self._inventory.where.part(entry.name, layout.DATA))
        found = JailStats(
            name=entry.name,
            limits=entry.generation.spec.limits if entry.generation is not None else Limits(),
            disk=jail.used if jail is not None else 0,
            data=data.referenced if data is not None else 0,
            data_quota=data.refquota if data is not None else 0,
            sampled=self._clock.now(),
        )
        run = entry.run
        if run is None or not run.running:
            return found
        found = msgspec.structs.replace(found, running=True, started=run.started)
        try:
            used = await self._runtime.usage(entry.name, run.generation)
        except JaildError as error:  # it ended just now, most likely: that is no reason to tell nothing of the others
            return msgspec.structs.replace(found, message=str(error))
        return msgspec.structs.replace(
            found,
            cpu_seconds=used.cpu_seconds,
            cpus=used.cpus,
            memory=used.memory,
            processes=used.processes,
            read_rate=used.read_rate,
            write_rate=used.write_rate,
            max_age=used.max_age,
            sampled=self._clock.now(),
        )
