"""Rollouts over the wire."""

from __future__ import annotations

import grpc
import pytest

from jaild.model.problems import Accepted
from jaild.model.rollouts.policy import OnBreach, RolloutPolicy, Share
from jaild.model.rollouts.record import RolloutSpec
from jaild.rpc.messages import rollouts as messages
from jaild.v1 import rollouts_pb2
from tests.fakes.use_cases import stubs
from tests.fakes.use_cases.every import Fakes

FULL = RolloutSpec(
    base="b",
    jails=("web",),
    labels={"tier": "edge"},
    leave_out_refused=True,
    accepted=(Accepted(code="MISSING_LIBRARY", subject="/x.so", reason="unused", by="local"),),
    policy=RolloutPolicy(
        canaries=2,
        waves=(Share(3), Share(10, percent=True)),
        max_parallel=4,
        min_healthy_time=60.0,
        healthy_deadline=120.0,
        stagger=0.5,
        failure_budget=Share(5, percent=True),
        auto_revert=False,
        on_breach=OnBreach.UNDO,
        deadline=3600.0,
        maintenance=("02:00-05:00",),
    ),
)


@pytest.mark.parametrize(
    "spec",
    [FULL, RolloutSpec(channel="stable"), RolloutSpec(release="web/2"), RolloutSpec(undoes="op-1")],
    ids=["base", "channel", "release", "undoes"],
)
async def test_what_is_asked_for_comes_out_of_its_message_again(
    local: grpc.aio.Channel, fakes: Fakes, spec: RolloutSpec
) -> None:
    known = fakes.rollouts.rollouts["op-1"]
    message = messages.rollout_message(type(known)(id="x", spec=spec, caller=known.caller)).spec
    await stubs.rollouts(local).StartRollout(rollouts_pb2.StartRolloutRequest(spec=message, request_id="r"))
    method, (asked,), more = fakes.rollouts.calls[-1]
    assert (method, asked, more["caller"].request_id) == ("start", spec, "r")


async def test_what_a_request_leaves_out_is_the_usual(local: grpc.aio.Channel, fakes: Fakes) -> None:
    spec = rollouts_pb2.RolloutSpec(channel="channels/stable")
    await stubs.rollouts(local).PlanRollout(rollouts_pb2.PlanRolloutRequest(spec=spec))
    assert fakes.rollouts.calls[-1][1][0].policy == RolloutPolicy()


async def test_a_rollout_tells_of_each_jail_and_ends_with_what_runs(local: grpc.aio.Channel) -> None:
    request = rollouts_pb2.GetRolloutRequest(name="rollouts/op-1")
    found = await stubs.rollouts(local).GetRollout(request)
    assert (found.name, found.target, found.actor) == ("rollouts/op-1", "bases/b", "ada")
    web, db = found.steps
    assert (web.jail, web.state, web.before, web.target) == (
        "jails/web",
        rollouts_pb2.RolloutStep.STATE_DONE,
        "bases/a",
        "bases/b",
    )
    assert (web.runs.generation, web.runs.base_guid, web.runs.base_sha256) == (3, 7, "ab")
    assert (web.runs.release, web.runs.release_guid) == ("apps/web/releases/1", 8)
    assert (db.state, db.reason, db.HasField("runs")) == (rollouts_pb2.RolloutStep.STATE_FAILED, "NOT_HEALTHY", False)
    (listed,) = (await stubs.rollouts(local).ListRollouts(rollouts_pb2.ListRolloutsRequest())).rollouts
    assert listed == found


@pytest.mark.parametrize("word", ["Pause", "Resume", "Cancel", "Undo"])
async def test_a_rollout_is_steered_by_its_name(local: grpc.aio.Channel, fakes: Fakes, word: str) -> None:
    request = getattr(rollouts_pb2, f"{word}RolloutRequest")(name="rollouts/op-1")
    await getattr(stubs.rollouts(local), f"{word}Rollout")(request)
    assert fakes.rollouts.calls[-1][:2] == (word.lower(), ("op-1",))


async def test_a_rollout_that_is_not_there_is_told(local: grpc.aio.Channel) -> None:
    for wrong, reason in (("rollouts/x", "NOT_THERE"), ("x", "INVALID_NAME")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stubs.rollouts(local).GetRollout(rollouts_pb2.GetRolloutRequest(name=wrong))
        assert stubs.error_in(caught.value).reason == reason
