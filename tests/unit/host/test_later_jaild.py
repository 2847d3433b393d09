"""What a later jaild wrote is refused by an earlier one, and is as it was when the later one is back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jaild.model import layout
from jaild.model.errors import FailedPreconditionError
from jaild.model.layers.records import SCHEMA, TOO_NEW
from jaild.model.views import JailState
from tests.fakes.host import ROOT, FakeHost
from tests.hosts import invariants
from tests.hosts.asking import active, create, cut_over, deploy, reason_of, serves, touched

Change = Callable[[dict[str, Any]], Any]
LATER: dict[str, Change] = {
    "a schema": lambda record: record.update(schema=SCHEMA + 1),
    "a schema, and other types": lambda record: record.update(schema=SCHEMA + 1, number={"major": 1}, uid=[]),
    "a field of the spec": lambda record: record["spec"].update(gpus=2),
    "a field within it": lambda record: record["spec"].setdefault("limits", {}).update(gpus=2),
}


def changed(text: str, change: Change) -> str:
    record = json.loads(text)
    change(record)
    return json.dumps(record)


def file_of(host: FakeHost, number: int) -> Path:
    return layout.generation_folder(host.core.inventory.jails["web"].folder, number) / layout.GENERATION


async def left_alone(host: FakeHost) -> None:
    """Start the earlier jaild: it tells of the jail, and touches nothing of it."""
    runs = invariants.running([host], "web")
    touched(host)
    await host.restart()
    await host.quiet()
    assert touched(host) == []
    assert invariants.running([host], "web") == runs != []
    found = host.core.use_cases.jails.get("web")
    assert (found.state, "was written by a later jaild" in found.message) == (JailState.DAMAGED, True)
    assert reason_of(await deploy(host, "web/2")) == "JAIL_DAMAGED"


@pytest.mark.parametrize("change", LATER.values(), ids=LATER)
@pytest.mark.parametrize("number", [1, 2], ids=["active", "staged"])
async def test_a_jail_with_a_generation_of_a_later_one_runs_on_and_nothing_of_it_is_dropped(
    host: FakeHost, change: Change, number: int
) -> None:
    await create(host)
    assert reason_of(await deploy(host, "web/2", stage=True)) == ""
    path = file_of(host, number)
    before = path.read_text()
    path.write_text(changed(before, change))
    await left_alone(host)
    path.write_text(before)
    await host.restart()
    await host.quiet()
    assert serves(host, 1)
    assert reason_of(await cut_over(host)) == ""
    assert active(host).release == "web/2"


@pytest.mark.parametrize("name", ["a schema", "a schema, and other types"])
async def test_so_does_one_whose_record_is_a_later_ones(host: FakeHost, name: str) -> None:
    await create(host)
    dataset = host.core.inventory.jails["web"].dataset
    before = (await host.zfs.dataset(dataset)).properties[layout.JAIL_PROPERTY]
    await host.zfs.set(dataset, {layout.JAIL_PROPERTY: changed(before, LATER[name])})
    await left_alone(host)
    await host.zfs.set(dataset, {layout.JAIL_PROPERTY: before})
    await host.restart()
    await host.quiet()
    assert serves(host, 1)


async def test_a_host_whose_own_record_is_a_later_ones_is_not_started_and_nothing_is_changed(host: FakeHost) -> None:
    await create(host)
    before = (await host.zfs.dataset(ROOT)).properties[layout.HOST_PROPERTY]
    await host.zfs.set(ROOT, {layout.HOST_PROPERTY: changed(before, LATER["a schema, and other types"])})
    touched(host)
    with pytest.raises(FailedPreconditionError) as refused:
        await host.restart()
    assert (refused.value.reason, touched(host)) == (TOO_NEW, [])
    assert "install that jaild again" in refused.value.hint
    await host.zfs.set(ROOT, {layout.HOST_PROPERTY: before})
    await host.restart()
    assert serves(host, 1)
