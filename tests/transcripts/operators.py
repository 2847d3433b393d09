"""The stories of docs/operators.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from jaild.adapters.files.salvage_reader import HostFileTrees
from jaild.adapters.zfs.errors import refusal
from jaild.model.access import Role
from jaild.model.salvage import Loss
from jaild.model.views import Caller
from jaild.ports.runtime import Usage
from jaild.ports.salvage import Written
from tests.fakes.host import ROOT, FakeHost
from tests.fakes.runtime import Answer
from tests.transcripts.stage import Acts, Stage, written

_CACHE = """base: tiny-1
app: web/1
network: {mode: vnet, addresses: [10.77.0.101/24]}
"""
_CHECK = "[{kind: exec, command: [/bin/sh, -c, 'ip link show eth0']}]"
_BROKEN = Loss(path="var/db/index.db", lost=False, ranges=((131072, 262144),), reason="Input/output error")
_LOST = Loss(path="var/cache/objects/17", lost=True, reason="Input/output error")


async def role(stage: Stage) -> AsyncIterator[Acts]:
    """Ask for more than one may."""
    await stage.add("alpha")
    await stage.hang_up("alpha")
    await stage.listen("alpha", Caller(actor="ops", roles=frozenset({Role.VIEWER})))
    yield {}


async def migrate(stage: Stage) -> AsyncIterator[Acts]:
    """Plan a move, make it, go back and free the copy, look at its times."""
    await _two(stage)
    yield {}
    yield {}
    yield {}
    yield {}


async def base_rm(stage: Stage) -> AsyncIterator[Acts]:
    """Delete a base that a jail's generations refer to."""
    await _two(stage)
    await stage.quietly("jailctl jail restart cache")
    await stage.quietly("jailctl jail upgrade cache tiny-2")
    yield {}


async def copies(stage: Stage) -> AsyncIterator[Acts]:
    """Clone a jail, first with its own address; take it along to another host as a file."""
    await _two(stage)
    yield {}
    yield {}


async def volume(stage: Stage) -> AsyncIterator[Acts]:
    """Remove a volume that the spec does not name any more."""
    keeps = "standby: {peers: [beta], interval: 60}\n"
    alpha, _ = await _two(stage, f"{keeps}volumes: {{old: {{path: /var/old, quota: 2G}}}}\n")
    (alpha.core.inventory.jails["cache"].folder / "old" / "objects").write_bytes(b"object" * 100_000)
    await _round(alpha)
    written(stage.folder, {"cache.yaml": f"{_CACHE}{keeps}"})
    await stage.quietly("jailctl jail configure cache -f cache.yaml")
    yield {}


async def history(stage: Stage) -> AsyncIterator[Acts]:
    """Look at what was done with a jail: changes, one that was refused, a command in it, a move."""
    await _two(stage)
    await stage.quietly("jailctl jail upgrade cache tiny-2")
    await stage.quietly("jailctl jail restart cache")
    await stage.quietly("jailctl jail rollback cache")
    await stage.quietly("jailctl jail migrate cache beta")
    yield {}


async def budget(stage: Stage) -> AsyncIterator[Acts]:
    """Allow less downtime than stop and start take."""
    await _two(stage)
    yield {}


async def test_migration(stage: Stage) -> AsyncIterator[Acts]:
    """Try the moves of a jail that would run there, and of one that would not."""
    _, beta = await _two(stage)
    for name, check in (("shop", "[]"), ("picky", _CHECK)):
        written(stage.folder, {f"{name}.yaml": f"base: tiny-1\napp: web/1\nhealth: {check}\n"})
        await stage.quietly(f"jailctl jail create {name} -f {name}.yaml")
    yield {}
    stderr = b"ip: can't find device 'eth0'\n"
    beta.runtime.anywhere["/bin/sh", "-c", "ip link show eth0"] = Answer(status=1, stderr=stderr)
    yield {}


async def evacuate(stage: Stage) -> AsyncIterator[Acts]:
    """Plan to empty a host of which one jail is too large for the others, and empty it."""
    await _two(stage)
    await stage.add("gamma")
    jails = {"dns-1": 500, "dns-2": 500, "web": 100, "batch": 50}
    for name, priority in jails.items():
        memory = "limits: {memory: 900G}\n" if name == "batch" else ""
        placed = f"labels: {{role: {name[:3]}}}\nplacement: {{priority: {priority}, apart: role}}\n"
        text = f"base: tiny-1\napp: web/1\n{placed}{memory}"
        written(stage.folder, {f"{name}.yaml": text})
        await stage.quietly(f"jailctl jail create {name} -f {name}.yaml")
    yield {}
    yield {}


async def events(stage: Stage) -> AsyncIterator[Acts]:
    """Look back at what happened, and who asked for it."""
    await _two(stage)
    await stage.quietly("jailctl jail upgrade cache tiny-2")
    await stage.typed_anyhow("jailctl jail create other -f missing.yaml")
    await stage.typed_anyhow("jailctl base rm tiny-2")
    await stage.quietly("jailctl jail exec cache -- true")
    yield {}


async def top(stage: Stage) -> AsyncIterator[Acts]:
    """Look at a host with jails that run, one that has a replica, and one that is stopped."""
    alpha, _ = await _two(stage, "standby: {peers: [beta], interval: 10}\n")
    await _round(alpha)
    for name in ("dns-1", "dns-2"):
        written(stage.folder, {f"{name}.yaml": "base: tiny-1\napp: web/1\n"})
        await stage.quietly(f"jailctl jail create {name} -f {name}.yaml")
    await stage.quietly("jailctl jail stop dns-2")
    alpha.runtime.usages["cache.1"] = Usage(memory=214 << 20, cpu_seconds=81.0, processes=5, cpus=0.31)
    alpha.runtime.usages["dns-1.1"] = Usage(memory=38 << 20, cpu_seconds=4.0, processes=2, cpus=0.02)
    stage.clock.time += 4.0
    yield {}


async def standby(stage: Stage) -> AsyncIterator[Acts]:
    """Keep a replica that is behind; lose the owner, promote, and see the owner come back."""
    alpha, _ = await _two(stage, "standby: {peers: [beta], interval: 10}\n")
    await _round(alpha)
    stage.clock.time += 4.0
    yield {}

    async def loses_power() -> None:
        await stage.hang_up("alpha")
        await alpha.stop()
        await alpha.lose_power()
        stage.clock.time += 18.0

    yield {"jailctl promote cache  ": loses_power}
    stage.clock.time += 15.0
    alpha.boots += 1
    await alpha.start()
    await stage.listen("alpha")
    await alpha.core.supervisor.over("boot")
    await alpha.core.start_guard.settled()
    yield {}


async def salvage(stage: Stage) -> AsyncIterator[Acts]:
    """Save what can be read of a jail on a pool with damaged blocks."""
    alpha, _ = await _two(stage)
    await stage.hang_up("alpha")
    await alpha.stop()
    alpha.trees = _FailingTrees()
    await alpha.start()
    await alpha.quiet()
    await stage.listen("alpha")
    alpha.zfs.refuse = _Unreadable()
    yield {}


class _Unreadable(dict[str, Exception]):
    """Refuses to send the jail's data, as zfs(8) does."""

    def get(self, key: str, _: Any = None) -> Any:
        """Return why not, of a snapshot of it."""
        _, _, snapshot = key.partition("send ")
        told = f"warning: cannot send '{snapshot}': Input/output error"
        return refusal("DATA_UNREADABLE", snapshot, told) if snapshot.startswith(f"{ROOT}/jails/cache/data@") else None


class _FailingTrees(HostFileTrees):
    """Says of data that two files in it cannot be read whole."""

    async def read(self, root: Path, losses: list[Loss], *, skip: frozenset[str] = frozenset()) -> AsyncIterator[bytes]:
        """Read, and tell of them."""
        async for chunk in super().read(root, losses, skip=skip):
            yield chunk
        if root.name == "data":
            losses += [_LOST, _BROKEN]

    async def write(self, root: Path, chunks: AsyncIterator[bytes]) -> Written:
        """Write."""
        return await super().write(root, chunks)


async def _two(stage: Stage, more: str = "") -> tuple[FakeHost, FakeHost]:
    """Start alpha, which has the jail cache, and beta."""
    alpha, beta = await stage.add("alpha"), await stage.add("beta")
    for base in ("tiny-1", "tiny-2"):
        await alpha.add_base(base)
    await alpha.add_release("web/1")
    written(stage.folder, {"cache.yaml": _CACHE + more})
    await stage.quietly("jailctl jail create cache -f cache.yaml")
    await asyncio.sleep(0)
    return alpha, beta


async def _round(host: FakeHost) -> None:
    """Let a standby's round be due, and carry it out."""
    host.clock.time += 10.0
    await host.core.standbys.tick()
    await host.core.standbys.settled()
