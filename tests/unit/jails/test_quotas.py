"""A quota is what a jail may have; its snapshots do not count to it, and what is used is looked at before a change."""

from __future__ import annotations

import msgspec

from jaild.model.jails.quotas import TIMES
from jaild.model.jails.spec import JailSpec, Volume
from jaild.model.problems import Problem, Severity
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import SPEC, configure, create, reason_of, roll_back, touched

_KIB = 1 << 10
_DATA, _STORE = "tank/jaild/jails/web/data", "tank/jaild/jails/web/store"


def spec(quota: str | None, store: str | None = None) -> JailSpec:
    volumes = {"store": Volume(path="/var/store", quota=store)} if store is not None else {}
    return msgspec.structs.replace(SPEC, quota=quota, volumes=volumes)


async def quotas(host: FakeHost, dataset: str) -> tuple[int, int]:
    found = await host.zfs.dataset(dataset)
    return found.refquota, found.quota


def fill(host: FakeHost, path: str, size: int) -> None:
    (host.core.inventory.jails["web"].folder / path).write_bytes(bytes(size))


async def planned(host: FakeHost, wanted: JailSpec) -> list[Problem]:
    operation = await host.core.use_cases.jails.configure("web", wanted, etag="", validate_only=True, caller=caller())
    found = operation.plan
    assert found is not None
    return [problem for problem in found.problems if problem.code == "QUOTA_BELOW_USED"]


async def test_a_new_jail_and_its_volumes_have_a_refquota_and_a_quota_above_it(host: FakeHost) -> None:
    await create(host, spec("64K", "16K"))
    assert await quotas(host, _DATA) == (64 * _KIB, TIMES * 64 * _KIB)
    assert await quotas(host, _STORE) == (16 * _KIB, TIMES * 16 * _KIB)
    await configure(host, spec("128K", "32K"))
    assert await quotas(host, _DATA) == (128 * _KIB, TIMES * 128 * _KIB)
    assert await quotas(host, _STORE) == (32 * _KIB, TIMES * 32 * _KIB)
    await configure(host, spec(None, "32K"))
    assert await quotas(host, _DATA) == (0, 0)


async def test_a_jail_of_an_older_jaild_gets_both_with_its_next_change(host: FakeHost) -> None:
    await create(host, spec("64K"))
    await host.zfs.set(_DATA, {"refquota": "none", "quota": str(64 * _KIB)})
    await host.restart()
    await configure(host, msgspec.structs.replace(spec("64K"), hostname="w"))
    assert await quotas(host, _DATA) == (64 * _KIB, TIMES * 64 * _KIB)


async def test_a_quota_below_what_is_used_is_refused_by_the_plan_and_nothing_is_touched(host: FakeHost) -> None:
    await create(host, spec("64K", "16K"))
    fill(host, "data/var/file", 40 * _KIB)
    fill(host, "store/file", 9 * _KIB)
    found = await planned(host, spec("32K", "8K"))
    assert [(each.severity, each.subject) for each in found] == [
        (Severity.ERROR, "$.quota"),
        (Severity.ERROR, "$.volumes.store.quota"),
    ]
    assert await planned(host, spec("41K", "9K")) == []
    touched(host)
    assert reason_of(await configure(host, spec("32K", "16K"))) == "PLAN_REFUSED"
    assert touched(host) == []


async def test_a_rollback_to_a_smaller_quota_goes_and_what_is_used_is_the_quota_until_it_is_less(
    host: FakeHost,
) -> None:
    await create(host, spec("32K"))
    await configure(host, spec("64K"))
    fill(host, "data/var/file", 40 * _KIB)
    used = (await host.zfs.dataset(_DATA)).referenced
    assert reason_of(await roll_back(host)) == ""
    assert await quotas(host, _DATA) == (used, TIMES * used)
    fill(host, "data/var/file", _KIB)
    assert reason_of(await configure(host, msgspec.structs.replace(spec("32K"), hostname="w"))) == ""
    assert await quotas(host, _DATA) == (32 * _KIB, TIMES * 32 * _KIB)
