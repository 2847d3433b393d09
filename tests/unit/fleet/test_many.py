"""What grows with the number of jails, and what must not grow with its square."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jaild.model.jails.spec import JailSpec
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import create, deploy, ended


async def test_a_list_of_layers_looks_at_the_generations_once_however_many_layers_there_are(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(host)
    await deploy(host, "web/2")
    looks: list[int] = []
    references = host.core.inventory.references

    def counted() -> Iterator[tuple[str, str, str]]:
        looks.append(1)
        return references()

    monkeypatch.setattr(host.core.inventory, "references", counted)
    releases = host.core.use_cases.releases.list(None)
    bases = host.core.use_cases.bases.list()
    assert len(looks) == 2
    assert {(view.record.version, view.used_by) for view in releases} == {
        ("1", ("jails/web/generations/1",)),
        ("2", ("jails/web/generations/2",)),
    }
    both = ("jails/web/generations/1", "jails/web/generations/2")
    assert {(view.record.name, view.used_by) for view in bases} == {("deb-1", both), ("deb-2", ())}


async def test_a_start_asks_for_its_own_run_and_not_for_those_of_all_jails(host: FakeHost) -> None:
    await create(host)
    await deploy(host, "web/2")
    del host.runtime.calls[:]
    await ended(host, host.core.use_cases.jails.restart("web", caller=caller()))
    asked = [operation for operation, _ in host.runtime.calls]
    assert "start" in asked
    assert "runs" not in asked


async def test_a_start_of_the_daemon_lists_the_runs_as_often_for_many_jails_as_for_one(host: FakeHost) -> None:
    counts = []
    for names in (("a",), ("b", "c", "d")):
        for name in names:
            await create(host, JailSpec(base="deb-1", app="web/1"), name=name)
        del host.runtime.calls[:]
        await host.restart()
        counts.append([operation for operation, _ in host.runtime.calls].count("runs"))
    assert counts[0] == counts[1]
