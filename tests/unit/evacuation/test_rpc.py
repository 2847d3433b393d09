"""Evacuations over the wire."""

from __future__ import annotations

from typing import Any

import grpc
from google.longrunning import operations_pb2
from google.protobuf import duration_pb2

from jaild.model.operation import Operation
from jaild.v1 import evacuations_pb2, host_pb2
from tests.fakes.use_cases import stubs
from tests.fakes.use_cases.every import Fakes

STATE = evacuations_pb2.JailMove


async def test_a_request_reaches_the_use_case_with_its_defaults(local: grpc.aio.Channel, fakes: Fakes) -> None:
    api = stubs.evacuations(local)
    await api.EvacuateHost(evacuations_pb2.EvacuateHostRequest(targets=["beta", "gamma"]))
    (method, (targets,), asked) = fakes.evacuations.calls[-1]
    assert (method, targets) == ("evacuate", ("beta", "gamma"))
    assert asked.pop("caller").actor == "local"
    assert asked == {
        "parallel": 2,
        "bandwidth": 0,
        "max_downtime": 5.0,
        "proceed_over_budget": False,
        "validate_only": False,
    }


async def test_what_is_said_is_handed_on(local: grpc.aio.Channel, fakes: Fakes) -> None:
    request = evacuations_pb2.EvacuateHostRequest(
        targets=["beta"],
        parallel=7,
        bandwidth=50 << 20,
        max_downtime=duration_pb2.Duration(seconds=2),
        proceed_over_budget=True,
        request_id="r",
        validate_only=True,
    )
    await stubs.evacuations(local).EvacuateHost(request)
    asked: dict[str, Any] = fakes.evacuations.calls[-1][2]
    assert asked.pop("caller").request_id == "r"
    assert list(asked.values()) == [7, 50 << 20, 2.0, True, True]


async def test_an_evacuation_tells_of_each_jail(local: grpc.aio.Channel) -> None:
    api = stubs.evacuations(local)
    found = await api.GetEvacuation(evacuations_pb2.GetEvacuationRequest(name="evacuations/op-1"))
    web, db = found.moves
    assert (web.jail, web.target, web.state, web.sent_bytes) == ("jails/web", "beta", STATE.STATE_MOVED, 12)
    assert web.downtime.ToMilliseconds() == 500
    assert (db.state, db.reason, db.message, db.hint) == (
        STATE.STATE_FAILED,
        "NO_HOST_TAKES_IT",
        "beta: full",
        "more",
    )
    assert not db.HasField("downtime")
    assert not found.HasField("end_time")
    listed = await api.ListEvacuations(evacuations_pb2.ListEvacuationsRequest())
    assert list(listed.evacuations) == [found]


async def test_an_operation_that_is_done_answers_with_its_evacuation(local: grpc.aio.Channel, fakes: Fakes) -> None:
    done = Operation(id="op-1", kind="evacuate", target="host", done=True, result="evacuations/op-1")
    fakes.operations.operations["op-1"] = done
    answer = await stubs.operations(local).GetOperation(operations_pb2.GetOperationRequest(name="operations/op-1"))
    evacuation = evacuations_pb2.Evacuation()
    assert answer.response.Unpack(evacuation)
    assert evacuation.name == "evacuations/op-1"


async def test_a_drain_and_its_end_answer_with_the_host(local: grpc.aio.Channel, fakes: Fakes) -> None:
    api = stubs.evacuations(local)
    drained = await api.DrainHost(evacuations_pb2.DrainHostRequest(reason="disk"))
    assert isinstance(drained, host_pb2.HostInfo)
    assert fakes.evacuations.calls[-1][:2] == ("drain", ("disk",))
    await api.UndrainHost(evacuations_pb2.UndrainHostRequest())
    assert fakes.evacuations.calls[-1][0] == "undrain"
