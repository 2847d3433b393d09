"""Operations as clients see them, and the audit log."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2
from google.protobuf.message import Message

from jaild.engine.rpc import metadata_message
from jaild.model.errors import FailedPreconditionError
from jaild.model.operation import Failure, Operation, Outcome, PhaseReport
from jaild.model.problems import Plan, Problem, Severity
from jaild.model.views import MigrationView
from jaild.rpc import status
from jaild.v1 import apps_pb2, bases_pb2, common_pb2, events_pb2, host_pb2, jails_pb2, migrations_pb2
from tests.fakes.use_cases import made, stubs
from tests.fakes.use_cases.every import Fakes
from tests.fakes.use_cases.server import Dial

PLAN = Plan(
    kind="deploy",
    target="jails/web",
    steps=("one", "two"),
    problems=(Problem(severity=Severity.WARNING, code="C", message="m"),),
    from_generation=1,
    to_generation=2,
    base="debian-12",
    release="web/2",
)
GET = operations_pb2.GetOperationRequest(name="operations/o")


def done(result: str = "", **more: object) -> Operation:
    return Operation(id="o", kind="deploy", target="jails/web", done=True, result=result, **more)  # type: ignore[arg-type]


async def test_metadata_tell_phase_bytes_and_downtime(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.operations.operations["o"] = Operation(
        id="o",
        kind="migrate",
        target="jails/web",
        actor="boss",
        request_id="r",
        created=1.0,
        updated=2.0,
        phase="precopy",
        message="round 2",
        bytes_done=1 << 40,
        bytes_total=1 << 41,
        predicted_downtime=1.5,
        predicted_at_least=True,
        downtime=0.0,
        plan=PLAN,
        rounds=2,
        facts={"added_bytes": "3"},
        cancel_requested=True,
        rate=1 << 20,
        phases=(PhaseReport("seed", 0.5, 2.0, Outcome.DONE), PhaseReport("precopy", 2.5)),
    )
    answer = await stubs.operations(local).GetOperation(GET)
    metadata = common_pb2.OperationMetadata()
    assert answer.metadata.Unpack(metadata)
    assert [field.name for field in metadata.DESCRIPTOR.fields] == [field.name for field, _ in metadata.ListFields()]
    assert (answer.done, answer.WhichOneof("result")) == (False, None)
    assert (metadata.plan.base, metadata.plan.release) == ("bases/debian-12", "apps/web/releases/2")
    assert metadata.predicted_downtime.ToMilliseconds() == 1500
    seed, precopy = metadata.phases
    assert (seed.name, seed.start_offset.ToMilliseconds(), seed.duration.ToMilliseconds()) == ("seed", 500, 2000)
    assert (seed.outcome, precopy.outcome) == (common_pb2.PHASE_OUTCOME_DONE, common_pb2.PHASE_OUTCOME_UNSPECIFIED)
    assert not precopy.HasField("duration")


def test_every_outcome_of_a_phase_has_its_word_in_the_api() -> None:
    told = {
        metadata_message(Operation(id="o", kind="k", target="t", phases=(PhaseReport("p", 0.0, 1.0, outcome),)))
        .phases[0]
        .outcome
        for outcome in Outcome
    }
    assert told == set(common_pb2.PhaseOutcome.values())


@pytest.mark.parametrize(
    ("result", "kind", "name"),
    [
        ("jails/web", jails_pb2.Jail(), "jails/web"),
        ("bases/debian-12", bases_pb2.Base(), "bases/debian-12"),
        ("apps/web/releases/2", apps_pb2.Release(), "apps/web/releases/2"),
        ("migrations/m", migrations_pb2.Migration(), "migrations/m"),
    ],
)
async def test_the_response_is_the_resource_as_it_is_now(
    fakes: Fakes, local: grpc.aio.Channel, result: str, kind: Message, name: str
) -> None:
    fakes.operations.operations["o"] = done(result)
    gone = await stubs.operations(local).GetOperation(GET)
    assert gone.response.Is(empty_pb2.Empty.DESCRIPTOR)
    fakes.jails.jails["web"] = made.jail("web")
    fakes.bases.bases["debian-12"] = made.base("debian-12")
    fakes.releases.releases = (made.release("web", "2"),)
    fakes.migrations.migrations = (
        MigrationView(id="m", jail="web", outgoing=True, source="a", target="b", phase="activated"),
    )
    answer = await stubs.operations(local).GetOperation(GET)
    assert answer.response.Unpack(kind)
    assert getattr(kind, "name") == name  # noqa: B009  # messages of four types


async def test_the_response_of_a_plan_is_the_plan(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.operations.operations["o"] = done("plan", plan=PLAN)
    answer = await stubs.operations(local).GetOperation(GET)
    plan = common_pb2.Plan()
    assert answer.response.Unpack(plan)
    assert (plan.kind, list(plan.steps), plan.problems[0].code, plan.to_generation) == (
        "deploy",
        ["one", "two"],
        "C",
        2,
    )


async def test_the_response_of_a_deletion_is_empty(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.operations.operations["o"] = done()
    answer = await stubs.operations(local).GetOperation(GET)
    assert answer.response.Is(empty_pb2.Empty.DESCRIPTOR)


async def test_a_failed_operation_has_the_error_whole(fakes: Fakes, local: grpc.aio.Channel) -> None:
    failure = Failure(
        error="FailedPreconditionError",
        reason="HEALTH_CHECK_FAILED",
        message="x" * 5000,
        hint="look",
        detail={"output": "y" * 5000},
        problems=PLAN.problems,
    )
    fakes.operations.operations["o"] = done("jails/web", failure=failure)
    answer = await stubs.operations(local).GetOperation(GET)
    assert answer.WhichOneof("result") == "error"
    error = status.error_of(answer.error)
    assert isinstance(error, FailedPreconditionError)
    assert (error.reason, error.message, error.detail) == ("HEALTH_CHECK_FAILED", "x" * 5000, {"output": "y" * 5000})
    assert error.problems == PLAN.problems


async def test_a_wait_hands_on_its_timeout_and_none_is_for_ever(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.operations.operations["o"] = done()
    request = operations_pb2.WaitOperationRequest(name="operations/o")
    await stubs.operations(local).WaitOperation(request)
    request.timeout.FromMilliseconds(1500)
    assert (await stubs.operations(local).WaitOperation(request)).done
    assert [args for _, args, _ in fakes.operations.calls] == [("o", None), ("o", 1.5)]


async def test_a_watch_shows_each_change_and_ends(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.operations.steps = (Operation(id="o", kind="k", target="t", phase="plan"), done())
    request = events_pb2.WatchOperationRequest(name="operations/o")
    seen = [step async for step in stubs.events(local).WatchOperation(request)]
    assert [step.done for step in seen] == [False, True]


async def test_operations_are_cancelled_deleted_and_listed_newest_first(fakes: Fakes, local: grpc.aio.Channel) -> None:
    stub = stubs.operations(local)
    fakes.operations.operations = {
        name: Operation(id=name, kind="k", target="t", created=created)
        for name, created in (("old", 1.0), ("new", 3.0), ("mid", 2.0))
    }
    listed = await stub.ListOperations(operations_pb2.ListOperationsRequest(page_size=2))
    assert [item.name for item in listed.operations] == ["operations/new", "operations/mid"]
    await stub.CancelOperation(operations_pb2.CancelOperationRequest(name="operations/old"))
    await stub.DeleteOperation(operations_pb2.DeleteOperationRequest(name="operations/old"))
    assert [(method, args[0]) for method, args, _ in fakes.operations.calls] == [("cancel", "old"), ("delete", "old")]
    with stubs.refused("NOT_THERE"):
        await stub.GetOperation(operations_pb2.GetOperationRequest(name="operations/gone"))
    with stubs.refused("LIST_UNSUPPORTED"):
        await stub.ListOperations(operations_pb2.ListOperationsRequest(filter="done"))


async def test_the_audit_log_has_who_asked_for_what_and_what_came_of_it(
    fakes: Fakes, dial: Dial, local: grpc.aio.Channel
) -> None:
    fakes.jails.jails["web"] = made.jail("web")
    await stubs.jails(dial("web-team")).StopJail(jails_pb2.StopJailRequest(name="jails/web", request_id="r"))
    fakes.jails.refusal = FailedPreconditionError("BUSY", "busy")
    with stubs.refused("BUSY"):
        await stubs.jails(local).DeleteJail(jails_pb2.DeleteJailRequest(name="jails/web"))
    with stubs.refused("ROLE_REQUIRED"):
        await stubs.jails(dial("watcher")).DeleteJail(jails_pb2.DeleteJailRequest(name="jails/web"))
    with stubs.refused("CERTIFICATE_UNKNOWN"):
        await stubs.jails(dial("stranger")).DeleteJail(jails_pb2.DeleteJailRequest(name="jails/web"))
    listed = await stubs.host(local).ListAuditEntries(host_pb2.ListAuditEntriesRequest())
    assert [
        (entry.actor, entry.method, entry.target, entry.request_id, entry.outcome, entry.operation)
        for entry in listed.entries
    ] == [
        ("stranger", "jaild.v1.Jails/DeleteJail", "jails/web", "", "UNAUTHENTICATED CERTIFICATE_UNKNOWN", ""),
        ("watcher", "jaild.v1.Jails/DeleteJail", "jails/web", "", "PERMISSION_DENIED ROLE_REQUIRED", ""),
        ("local", "jaild.v1.Jails/DeleteJail", "jails/web", "", "FAILED_PRECONDITION BUSY", ""),
        ("web-team", "jaild.v1.Jails/StopJail", "jails/web", "r", "OK", "operations/op-1"),
    ]


async def test_uploads_and_commands_are_audited_with_what_their_first_message_names(
    fakes: Fakes, local: grpc.aio.Channel
) -> None:
    header = bases_pb2.ImportBaseHeader(base_id="debian-12", request_id="r")
    await stubs.bases(local).ImportBase(stubs.stream(bases_pb2.ImportBaseRequest(header=header)))
    start = jails_pb2.ExecStart(name="jails/web", command=["id"])
    async for _ in stubs.jails(local).ExecInJail(stubs.stream(jails_pb2.ExecInJailRequest(start=start))):
        pass
    # Of a command the outcome is its own, also if its caller does not wait for the end of the call.
    for command, told in ((["linger", "0"], True), (["linger", "127"], True), (["stay"], False)):
        start = jails_pb2.ExecStart(name="jails/web", command=command)
        first, second = jails_pb2.ExecInJailRequest(start=start), jails_pb2.ExecInJailRequest(stdin=b"x")
        sent = stubs.stream(first, second) if told else stubs.open_stream(first, second)
        call = stubs.jails(local).ExecInJail(sent)
        async for answer in call:
            if answer.HasField("exit_status") or not told:
                break
        known = len(fakes.audit.kept)
        call.cancel()
        async with asyncio.timeout(10):
            while len(fakes.audit.kept) == known:  # noqa: ASYNC110 - nothing tells the test
                await asyncio.sleep(0.002)
    assert [(entry.target, entry.request_id, entry.outcome) for entry in fakes.audit.kept] == [
        ("bases/debian-12", "r", "OK"),
        *(("jails/web", "", outcome) for outcome in ("OK", "OK", "EXIT 127", "CANCELLED HUNG_UP")),
    ]


@pytest.mark.parametrize("rest", ["x" * 100_000, "web\n2026 root: all well", "\N{OLD PERSIAN NUMBER ONE}" * 99])
async def test_what_is_no_name_is_audited_in_a_few_printable_bytes(
    fakes: Fakes, local: grpc.aio.Channel, rest: str
) -> None:
    name = f"jails/{rest}"
    with stubs.refused("INVALID_NAME"):
        await stubs.jails(local).StopJail(jails_pb2.StopJailRequest(name=name, request_id="r" * 100_000))
    (entry,) = fakes.audit.kept
    assert entry.target.startswith("(no name) 'jails/")
    assert entry.target.isprintable()
    assert len(entry.target.encode()) <= 256
    assert len(entry.request_id) <= 128


async def test_neither_reading_nor_planning_is_audited(fakes: Fakes, local: grpc.aio.Channel) -> None:
    await stubs.jails(local).ListJails(jails_pb2.ListJailsRequest())
    await stubs.jails(local).DeleteJail(jails_pb2.DeleteJailRequest(name="jails/web", validate_only=True))
    assert fakes.audit.kept == []


async def test_the_audit_log_comes_in_pages_newest_first(local: grpc.aio.Channel) -> None:
    for _ in range(5):
        await stubs.jails(local).DeleteJail(jails_pb2.DeleteJailRequest(name="jails/web"))
    found, token = [], ""
    while True:
        page = await stubs.host(local).ListAuditEntries(host_pb2.ListAuditEntriesRequest(page_size=2, page_token=token))
        found.append([entry.sequence for entry in page.entries])
        token = page.next_page_token
        if not token:
            break
    assert found == [[5, 4], [3, 2], [1]]


async def test_a_message_that_is_too_large_is_refused_unread_and_the_caller_is_told_the_limit(
    fakes: Fakes, local: grpc.aio.Channel
) -> None:
    request = jails_pb2.CreateJailRequest(jail_id="web")
    request.spec.yaml = "#" * (1 << 20)
    with stubs.refused("REQUEST_TOO_LARGE"):
        await stubs.jails(local).CreateJail(request)
    (entry,) = fakes.audit.kept
    assert (entry.method, entry.target) == ("jaild.v1.Jails/CreateJail", "")
    assert entry.outcome == "INVALID_ARGUMENT REQUEST_TOO_LARGE"
    assert fakes.jails.calls == []


async def test_who_may_not_call_is_not_told_of_the_message(dial: Dial) -> None:
    with stubs.refused("ROLE_REQUIRED"):
        await stubs.jails(dial("watcher")).DeleteJail(jails_pb2.DeleteJailRequest(name="jails/" + "x" * (1 << 20)))
