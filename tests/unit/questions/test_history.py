"""A jail's history: who did what when, whatever of the host's memory tells of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from jaild.model.errors import NotFoundError
from jaild.model.jails.history import Entry, Sources, history
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Generation
from jaild.model.operation import Failure, Operation
from jaild.model.problems import Plan
from jaild.model.views import AuditEntry, MigrationView
from jaild.questions.rpc import HistoriesServicer
from jaild.v1 import histories_pb2
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import create, deploy
from tests.hosts.migrating import migrate, two_hosts

PLAN = Plan(
    kind="deploy",
    target="jails/web",
    from_generation=1,
    to_generation=2,
    base="bases/deb-1",
    release="apps/web/releases/2",
)
DEPLOY = Operation(
    id="op-1",
    kind="deploy",
    target="jails/web",
    actor="ada",
    created=10.0,
    updated=14.0,
    done=True,
    plan=PLAN,
    predicted_downtime=2.0,
    downtime=1.5,
)
MADE = Generation(number=2, spec=JailSpec(base="deb-1"), base="deb-1", release="web/2", created=11.0, reason="deploy")


def call(method: str, outcome: str, *, time: float = 10.0, operation: str = "", actor: str = "ada") -> AuditEntry:
    return AuditEntry(
        sequence=int(time),
        time=time,
        actor=actor,
        method=method,
        target="jails/web",
        outcome=outcome,
        operation=operation,
    )


def test_a_change_says_who_when_how_long_it_was_down_and_what_it_led_to() -> None:
    (told,) = history(Sources(operations=[DEPLOY], generations=[MADE]))
    assert (told.actor, told.time, told.end, told.outcome) == ("ada", 10.0, 14.0, "done")
    assert (told.predicted, told.downtime, told.from_generation, told.to_generation) == (2.0, 1.5, 1, 2)
    assert (told.base, told.release) == ("deb-1", "web/2")


def test_one_that_failed_says_why_and_led_to_nothing() -> None:
    failure = Failure(error="FailedPreconditionError", reason="UNHEALTHY", message="no answer")
    failed = Operation(id="x", kind="deploy", target="jails/web", created=1.0, plan=PLAN, done=True, failure=failure)
    (told,) = history(Sources(operations=[failed]))
    assert (told.outcome, told.message, told.to_generation) == ("UNHEALTHY", "no answer", 0)


def test_a_call_whose_operation_is_known_is_not_told_twice_and_one_that_was_refused_is_told() -> None:
    accepted = call("jaild.v1.Jails/DeployRelease", "OK", operation="operations/op-1")
    refused = call("jaild.v1.Jails/UpgradeBase", "PERMISSION_DENIED AXIS_REQUIRED", time=20.0, actor="eve")
    newest, oldest = history(Sources(operations=[DEPLOY], audit=[refused, accepted]))
    assert (newest.kind, newest.actor, newest.outcome) == ("upgrade", "eve", "AXIS_REQUIRED")
    assert oldest.operation == "operations/op-1"


@pytest.mark.parametrize(("outcome", "told"), [("EXIT 3", "exit-3"), ("OK", "done"), ("CANCELLED HUNG_UP", "HUNG_UP")])
def test_a_command_in_the_jail_is_told_with_how_it_ended(outcome: str, told: str) -> None:
    (entry,) = history(Sources(audit=[call("jaild.v1.Jails/ExecInJail", outcome)]))
    assert (entry.kind, entry.outcome) == ("exec-in-jail", told)


def test_of_a_change_whose_operation_is_forgotten_the_generation_tells_what_it_led_to() -> None:
    made = Generation(**{**{f: getattr(MADE, f) for f in MADE.__struct_fields__}, "actor": "ada"})
    asked = call("jaild.v1.Jails/DeployRelease", "OK", operation="operations/gone")
    (told,) = history(Sources(audit=[asked], generations=[made]))
    assert (told.time, told.outcome, told.to_generation, told.operation) == (10.0, "done", 2, "operations/gone")
    without = history(Sources(audit=[call("jaild.v1.Jails/StopJail", "OK", operation="operations/gone")]))
    assert [entry.outcome for entry in without] == ["accepted"]


def test_a_move_is_told_once_with_both_hosts() -> None:
    view = MigrationView(
        id="m1", jail="web", outgoing=True, source="a", target="b", phase="activated", created=5.0, updated=8.0
    )
    went = Operation(id="m", kind="migrate", target="jails/web", created=5.0, done=True, result="migrations/m1")
    (out,) = history(Sources(operations=[went], migrations=[view]))
    assert (out.kind, out.source, out.target, out.operation) == ("migrate", "a", "b", "operations/m")
    going = msgspec.structs.replace(went, done=False, result="", facts={"migration": "m1"})
    (out,) = history(Sources(operations=[going], migrations=[msgspec.structs.replace(view, phase="sending")]))
    assert (out.outcome, out.target, out.migration) == ("working", "b", "m1")
    (came,) = history(Sources(migrations=[view]))
    assert (came.kind, came.source, came.target, came.outcome, came.end) == ("migrate", "a", "b", "done", 8.0)


async def asked(host: FakeHost, name: str = "web") -> list[Entry]:
    return await host.core.use_cases.histories.of_jail(name)


async def test_a_restart_of_the_daemon_forgets_nothing(host: FakeHost) -> None:
    await create(host)
    await deploy(host, "web/2")
    before = await asked(host)
    assert [entry.kind for entry in before] == ["deploy", "create"]
    await host.restart()
    assert await asked(host) == before


async def test_a_jail_that_moved_brings_what_its_generations_tell(tmp_path: Path) -> None:
    alpha, beta = await two_hosts(tmp_path, back=False)
    await alpha.end_of(await migrate(alpha, beta))
    here = await asked(alpha)
    assert [(e.kind, e.source, e.target, e.outcome) for e in here] == [
        ("migrate", "alpha", "beta", "done"),
        ("create", "", "", "done"),
    ]
    assert here[0].downtime is not None
    there = await asked(beta)
    assert [(e.kind, e.source, e.target, e.outcome) for e in there] == [
        ("migrate", "alpha", "beta", "done"),
        ("create", "", "", "done"),
    ]
    assert (there[1].actor, there[1].operation) == ("tester", "")
    for each in (alpha, beta):
        await each.stop()


async def test_a_jail_that_was_deleted_still_has_one_and_one_that_never_was_has_none(host: FakeHost) -> None:
    await create(host)
    deleted = host.core.use_cases.jails.delete("web", force=True, etag="", validate_only=False, caller=caller())
    await host.end_of(await deleted)
    assert [entry.kind for entry in await asked(host)] == ["delete", "create"]
    with pytest.raises(NotFoundError, match="nothing is known"):
        await asked(host, "never")


async def test_what_the_audit_log_has_of_the_jail_and_its_volumes_is_in_it(host: FakeHost) -> None:
    await create(host)
    audit = host.core.use_cases.audit
    for target in ("jails/web", "jails/web/volumes/db", "jails/webby"):
        await audit.record("eve", "jaild.v1.Jails/StopJail", target, "r", "PERMISSION_DENIED APP_REQUIRED", "")
    assert [entry.outcome for entry in await asked(host)].count("APP_REQUIRED") == 2


async def test_pages_go_from_the_newest_to_the_oldest(host: FakeHost) -> None:
    await create(host)
    for release in ("web/2", "web/1", "web/2"):
        await deploy(host, release)
    servicer, token = HistoriesServicer(host.core.use_cases.histories), ""
    kinds: list[tuple[str, int]] = []
    while not kinds or token:
        request = histories_pb2.ListJailHistoryRequest(parent="jails/web", page_size=2, page_token=token)
        answer = await servicer.ListJailHistory(request, None)  # type: ignore[arg-type]  # its context is not looked at
        kinds += [(entry.kind, entry.to_generation) for entry in answer.entries]
        token = answer.next_page_token
    assert kinds == [("deploy", 4), ("deploy", 3), ("deploy", 2), ("create", 1)]
