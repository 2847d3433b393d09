"""The log of two hosts is one story: a line for each change of a state, with ids that are the same on both."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from jaild.model.operation import Operation
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import create, deploy
from tests.hosts.migrating import migrate, two_hosts

Line = dict[str, Any]


@pytest.fixture
def lines() -> Iterator[list[Line]]:
    """What is logged, with what the daemon's own set-up adds to it."""
    found: list[Line] = []

    def take(_: object, __: str, line: MutableMapping[str, Any]) -> Line:
        found.append(dict(line))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.reset_defaults()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, take])
    yield found
    structlog.configure(**before)


def changes(lines: list[Line], of: str, **said: Any) -> list[str]:
    return [line["event"] for line in lines if line.get("of") == of and line.items() >= said.items()]


def chain(*states: str) -> list[str]:
    return [f"{old} -> {new}" for old, new in itertools.pairwise(states)]


async def test_a_migration_is_one_story_over_both_hosts(tmp_path: Path, lines: list[Line]) -> None:
    alpha, beta = await two_hosts(tmp_path, back=False)
    lines.clear()
    operation: Operation = await alpha.end_of(await migrate(alpha, beta))
    assert operation.failure is None
    migration = operation.result.removeprefix("migrations/")
    whose = {"operation": operation.id, "actor": "tester", "migration": migration, "jail": "web"}
    source, target = {"side": "source", "peer": "beta"}, {"side": "target", "peer": "alpha"}
    sent = chain("absent", "sending", "frozen", "committed", "activated")
    assert changes(lines, "migration", **whose, **source) == sent
    came = chain("absent", "receiving", "prepared", "activated")
    assert changes(lines, "migration", **whose, **target) == came
    states = chain("absent", "incoming", "prepared", "starting", "running")
    assert changes(lines, "jail", **whose, peer="alpha") == states
    assert [line for line in changes(lines, "jail", **whose) if line in chain("running", "frozen", "moved")] == [
        "running -> frozen",
        "frozen -> moved",
    ]
    phases = [line["new"] for line in lines if line.get("of") == "operation"]
    assert phases[0] == "preflight"
    assert phases[-1] == "done"
    assert len(changes(lines, "operation")) == len(changes(lines, "operation", operation=operation.id))
    for each in (alpha, beta):
        await each.stop()


async def test_each_operation_and_each_change_of_a_jail_is_a_line_and_none_is_told_twice(
    host: FakeHost, lines: list[Line]
) -> None:
    await create(host)
    created = changes(lines, "jail")
    assert created[0] == "absent -> stopped"
    assert created[-1].endswith("-> running")
    lines.clear()
    failed = await deploy(host, "web/9")
    assert failed.failure is not None
    (end,) = [line for line in lines if line.get("of") == "operation" and line["new"] == "failed"]
    assert (end["reason"], end["operation"], end["jail"]) == (failed.failure.reason, failed.id, "web")
    assert changes(lines, "jail") == []
    lines.clear()
    entry = host.core.inventory.jails["web"]
    assert entry.generation is not None
    host.runtime.end("web", entry.generation.number, status=7)
    async for event in host.core.use_cases.events.watch(0, "jails/web", True):
        if event.kind == "jail.exited":
            break
    (line,) = [line for line in lines if line.get("of") == "jail"]
    assert line["event"] == "running -> failed"
    assert "operation" not in line  # nobody asked for it
    (exited,) = [line for line in lines if line["event"] == "jail.exited"]
    assert "operation" not in exited


async def test_who_waits_behind_another_is_not_told_under_its_name(host: FakeHost, lines: list[Line]) -> None:
    await create(host)
    lines.clear()
    jails = host.core.use_cases.jails
    first = await jails.stop("web", validate_only=False, caller=caller(actor="ada", request_id="one"))
    second = await jails.start("web", validate_only=False, caller=caller(actor="bob", request_id="two"))
    await host.end_of(second)
    ids = {(line["operation"], line["request"], line["actor"]) for line in lines if line.get("of") == "operation"}
    assert ids == {(first.id, "one", "ada"), (second.id, "two", "bob")}
    for line in lines:
        if line.get("of") == "jail":
            assert line["actor"] == {"running": "bob", "stopped": "ada"}.get(line["new"], line["actor"])
