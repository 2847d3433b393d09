"""Quotas over hosts: whose jail it is has them set, and a copy none, which would keep increments from it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from jaild.model.jails.quotas import TIMES
from jaild.model.jails.spec import Volume
from tests.fakes.host import FakeHost
from tests.hosts.asking import configure, reason_of, serves
from tests.hosts.migrating import SPEC, migrate, two_hosts
from tests.hosts.standbys import hosts_with, promote, rounds, stop

_MIB = 1 << 20
_JAIL = "tank/jaild/jails/web"
_LIMITED = msgspec.structs.replace(SPEC, quota="1M", volumes={"store": Volume(path="/var/store", recordsize="16K")})


async def quotas(host: FakeHost) -> tuple[int, int]:
    found = await host.zfs.dataset(f"{_JAIL}/data")
    return found.refquota, found.quota


async def moved(source: FakeHost, target: FakeHost) -> None:
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    assert serves(target, target.core.use_cases.jails.get("web").record.generation)  # type: ignore[union-attr]


async def test_a_jail_that_moves_has_its_quotas_where_it_is_and_the_copy_that_stays_none(tmp_path: Path) -> None:
    alpha, beta = await two_hosts(tmp_path, back=False)
    assert reason_of(await configure(alpha, _LIMITED)) == ""
    await moved(alpha, beta)
    assert await quotas(beta) == (_MIB, TIMES * _MIB)
    assert beta.zfs.pool.filesystems[f"{_JAIL}/store"].properties["recordsize"] == "16K"
    assert await quotas(alpha) == (0, 0)
    await moved(beta, alpha)
    assert await quotas(alpha) == (_MIB, TIMES * _MIB)
    await stop((alpha, beta))


async def test_a_jail_that_takes_more_on_another_pool_serves_there_and_keeps_what_it_has(tmp_path: Path) -> None:
    alpha, beta = await two_hosts(tmp_path, back=False)
    assert reason_of(await configure(alpha, _LIMITED)) == ""
    await host_grows(alpha, 2 * _MIB)
    await moved(alpha, beta)
    promised, bound = await quotas(beta)
    assert promised == (await beta.zfs.dataset(f"{_JAIL}/data")).referenced > 2 * _MIB
    assert bound == TIMES * promised
    await stop((alpha, beta))


async def host_grows(host: FakeHost, size: int) -> None:
    (host.core.inventory.jails["web"].folder / "data/var/file").write_bytes(bytes(size))


async def test_a_quota_that_cannot_be_set_after_a_move_is_set_later_and_the_jail_serves(tmp_path: Path) -> None:
    alpha, beta = await two_hosts(tmp_path, back=False)
    assert reason_of(await configure(alpha, _LIMITED)) == ""
    set_ = beta.zfs.set
    failed: list[str] = []

    async def once(name: str, properties: dict[str, str], *others: str) -> None:
        if "refquota" in properties and not failed:
            failed.append(name)
            raise TimeoutError
        await set_(name, properties, *others)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(beta.zfs, "set", once)
        await moved(alpha, beta)
        await beta.core.supervisor.idle()
    assert failed == [f"{_JAIL}/data"]
    assert await quotas(beta) == (_MIB, TIMES * _MIB)
    await stop((alpha, beta))


async def test_a_replica_has_no_quotas_until_its_host_owns_the_jail(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    spec = alpha.core.use_cases.jails.get("web").generation.spec  # type: ignore[union-attr]
    assert reason_of(await configure(alpha, msgspec.structs.replace(spec, quota="1M"))) == ""
    await rounds(alpha)
    assert await quotas(beta) == (0, 0)
    await alpha.kill()
    assert reason_of(await promote(beta, down=True, confirm="alpha is down")) == ""
    assert serves(beta, 2)
    assert await quotas(beta) == (_MIB, TIMES * _MIB)
    await stop(hosts)
