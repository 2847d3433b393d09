"""The values of a jail's environment: who gets them, by whichever call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import msgspec
import pytest
from google.longrunning import operations_pb2
from google.protobuf.message import Message

from jaild.model.access import Role, sees_values
from jaild.model.jails.redaction import REDACTED
from jaild.model.operation import Operation
from jaild.model.views import Caller, JailView
from jaild.v1 import events_pb2, jails_pb2
from tests.fakes.use_cases import made, stubs
from tests.fakes.use_cases.every import Fakes
from tests.fakes.use_cases.server import Dial

SECRET = "correct horse battery staple"
Ask = Callable[[grpc.aio.Channel], Awaitable[Any]]


def jail(name: str, release: str) -> JailView:
    view = made.jail(name, release)
    assert view.generation is not None
    spec = msgspec.structs.replace(view.generation.spec, environment={"PASSWORD": SECRET, "EMPTY": ""})
    return msgspec.structs.replace(view, generation=msgspec.structs.replace(view.generation, spec=spec))


async def first(stream: Any) -> Any:
    async for answer in stream:
        return answer
    return None


READS: dict[str, Ask] = {
    "GetJail": lambda c: stubs.jails(c).GetJail(jails_pb2.GetJailRequest(name="jails/web")),
    "ListJails": lambda c: stubs.jails(c).ListJails(jails_pb2.ListJailsRequest()),
    "GetGeneration": lambda c: stubs.jails(c).GetGeneration(
        jails_pb2.GetGenerationRequest(name="jails/web/generations/2")
    ),
    "ListGenerations": lambda c: stubs.jails(c).ListGenerations(jails_pb2.ListGenerationsRequest(parent="jails/web")),
    "GetOperation": lambda c: stubs.operations(c).GetOperation(operations_pb2.GetOperationRequest(name="operations/o")),
    "ListOperations": lambda c: stubs.operations(c).ListOperations(
        operations_pb2.ListOperationsRequest(name="operations")
    ),
    "WaitOperation": lambda c: stubs.operations(c).WaitOperation(
        operations_pb2.WaitOperationRequest(name="operations/o")
    ),
    "WatchOperation": lambda c: first(
        stubs.events(c).WatchOperation(events_pb2.WatchOperationRequest(name="operations/o"))
    ),
}


async def asked(fakes: Fakes, channel: grpc.aio.Channel, method: str, release: str) -> Message:
    view = jail("web", release)
    assert view.generation is not None
    fakes.jails.jails["web"] = view
    fakes.jails.history = (view.generation,)
    done = Operation(id="o", kind="configure", target="jails/web", done=True, result="jails/web")
    fakes.operations.operations["o"] = done
    fakes.operations.steps = (done,)
    answer: Message = await READS[method](channel)
    return answer


@pytest.mark.parametrize("method", READS)
@pytest.mark.parametrize(("who", "release"), [("watcher", "web/1"), ("os-team", "web/1"), ("web-team", "db/1")])
async def test_others_get_the_names_of_an_environment_and_none_of_its_values(
    fakes: Fakes, dial: Dial, method: str, who: str, release: str
) -> None:
    answer = (await asked(fakes, dial(who), method, release)).SerializeToString()
    assert SECRET.encode() not in answer
    assert answer.count(REDACTED.encode()) == 2  # that a value is empty is a secret too
    assert b"PASSWORD" in answer


@pytest.mark.parametrize("method", READS)
@pytest.mark.parametrize(("who", "release"), [("web-team", "web/1"), ("boss", "web/1"), ("boss", "")])
async def test_the_apps_own_team_and_operators_get_values(
    fakes: Fakes, dial: Dial, method: str, who: str, release: str
) -> None:
    assert SECRET.encode() in (await asked(fakes, dial(who), method, release)).SerializeToString()


async def test_who_asks_first_decides_nothing_for_who_asks_next(fakes: Fakes, dial: Dial) -> None:
    for who, told in [("boss", SECRET), ("watcher", REDACTED), ("web-team", SECRET), ("os-team", REDACTED)]:
        answer = await asked(fakes, dial(who), "GetJail", "web/1")
        assert isinstance(answer, jails_pb2.Jail)
        assert answer.spec.environment["PASSWORD"] == told


async def test_a_source_teams_own_upgrade_does_not_answer_with_values(fakes: Fakes, dial: Dial) -> None:
    fakes.jails.jails["web"] = jail("web", "web/1")
    request = jails_pb2.UpgradeBaseRequest(name="jails/web", base="bases/b")
    answer = await stubs.jails(dial("os-team")).UpgradeBase(request)
    assert SECRET.encode() not in answer.SerializeToString()


def test_apps_of_a_grant_without_the_role_product_show_nothing() -> None:
    apps = frozenset({"web", ""})
    for roles in ({Role.VIEWER}, {Role.SOURCE}, {Role.PEER}, {Role.VIEWER, Role.SOURCE, Role.PEER}):
        assert not sees_values(Caller(actor="x", roles=frozenset(roles), apps=apps), "web")
    assert sees_values(Caller(actor="x", roles=frozenset({Role.VIEWER, Role.PRODUCT}), apps=apps), "web")
