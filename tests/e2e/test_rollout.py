"""A rollout over small jails on real ZFS: it does what its plan said, to the jail, though its daemon is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from jaild.v1 import bases_pb2, channels_pb2, events_pb2, rollouts_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client, metadata
from tests.e2e.node import Node

pytestmark = pytest.mark.real(*LINUX_HOST)
ROLLOUT, STEP = rollouts_pb2.Rollout, rollouts_pb2.RolloutStep
CANARY, CONFLICT = "edge-0", "edge-5"
OTHERS = tuple(f"edge-{number}" for number in (1, 2, 3, 4, 6, 7))
ALL = (CANARY, CONFLICT, *OTHERS)
# Healthy on the first base only.
PICKY = "[{kind: exec, command: [/bin/grep, -q, 'tiny 1', /etc/motd]}]"
LABELS = "{tier: edge}"


@pytest.fixture
def jails(node: Node, workshop: Path) -> Iterator[Client]:
    """Eight jails of tiny-1 that follow a channel, which then names tiny-2."""
    api = node.api
    api.import_base("tiny-2", trees.base(workshop / "tiny-2.tgz", "2"))
    set_channel(api, "tiny-1")
    for name in ALL:
        more = {"health": PICKY} if name == CANARY else {}
        spec = trees.spec("tiny-1", "web/1", labels=LABELS, **more).replace("base: tiny-1", "channel: stable")
        api.create(name, spec)
    api.sh(CONFLICT, "echo mine > /etc/motd")
    set_channel(api, "tiny-2")
    yield api
    for name in node.api.names_of_jails():
        node.api.delete(name)


def set_channel(api: Client, base: str) -> None:
    api.call(api.channels.SetChannel, channels_pb2.SetChannelRequest(name="channels/stable", base=f"bases/{base}"))


def asked() -> rollouts_pb2.RolloutSpec:
    policy = rollouts_pb2.RolloutPolicy(
        canaries=1,
        waves=[rollouts_pb2.Share(number=2)],
        max_parallel=2,
        min_healthy_time=Duration(nanos=300_000_000),
        healthy_deadline=Duration(seconds=60),
    )
    return rollouts_pb2.RolloutSpec(channel="channels/stable", policy=policy, leave_out_refused=True)


def get(api: Client, operation: Any) -> rollouts_pb2.Rollout:
    name = operation.name.replace("operations", "rollouts")
    found: rollouts_pb2.Rollout = api.call(api.rollouts.GetRollout, rollouts_pb2.GetRolloutRequest(name=name))
    return found


def states(rollout: rollouts_pb2.Rollout) -> dict[str, str]:
    return {step.jail.partition("/")[2]: STEP.State.Name(step.state)[6:].lower() for step in rollout.steps}


def wait_for_event(api: Client, kind: str, target: str) -> None:
    request = events_pb2.WatchEventsRequest(target=target)
    stream = api.events.WatchEvents(request, timeout=60)
    for event in stream:
        if event.kind == kind:
            stream.cancel()
            return
    raise AssertionError(f"{kind} of {target} was never told")


def test_a_rollout_does_what_its_plan_said_to_the_jail(node: Node, jails: Client) -> None:
    api = jails
    plan = api.call(api.rollouts.PlanRollout, rollouts_pb2.PlanRolloutRequest(spec=asked()))
    assert states(plan) == {**dict.fromkeys((CANARY, *OTHERS), "waiting"), CONFLICT: "refused"}
    assert [step.reason for step in plan.steps if step.reason] == ["MERGE_CONFLICT"]
    assert plan.steps[0].jail == f"jails/{CANARY}"
    assert sorted(jail.behind for jail in api.all_jails().values()) == ["bases/tiny-2"] * len(ALL)

    # The canary fails its check: it is back, nobody else was touched.
    operation = api.call(api.rollouts.StartRollout, rollouts_pb2.StartRolloutRequest(spec=asked()))
    wait_for_event(api, "rollout.paused", operation.name.replace("operations", "rollouts"))
    paused = get(api, operation)
    assert states(paused) == {CANARY: "failed", CONFLICT: "refused", **dict.fromkeys(OTHERS, "waiting")}
    assert paused.steps[0].reason == "HEALTH_CHECK_FAILED"
    assert {jail.generation for jail in api.all_jails().values()} == {1}
    assert api.exec(CANARY, "/bin/cat", "/etc/motd") == "tiny 1\n"

    # Somebody lets it go on; the daemon is killed in the middle of a wave.
    api.call(api.rollouts.ResumeRollout, rollouts_pb2.ResumeRolloutRequest(name=paused.name))
    wait_for_event(api, "generation.committed", "jails/edge-3")
    node.kill()
    api = node.start()
    ended = api.end(operation)
    assert not ended.HasField("error"), ended.error
    done = get(api, operation)
    assert states(done) == {CANARY: "failed", CONFLICT: "refused", **dict.fromkeys(OTHERS, "done")}
    jails_now = api.all_jails()
    assert {name: (jails_now[name].base, jails_now[name].generation) for name in ALL} == {
        **dict.fromkeys(OTHERS, ("bases/tiny-2", 2)),
        **dict.fromkeys((CANARY, CONFLICT), ("bases/tiny-1", 1)),
    }
    guids = {base.name: base.guid for base in api.call(api.bases.ListBases, bases_pb2.ListBasesRequest()).bases}
    assert {step.jail: (step.runs.base, step.runs.base_guid) for step in done.steps} == {
        f"jails/{name}": (jails_now[name].base, guids[jails_now[name].base]) for name in ALL
    }
    for name in OTHERS:
        assert api.exec(name, "/bin/cat", "/etc/motd") == "tiny 2\n"
    assert metadata(ended).kind == "rollout"

    # Days later: one jail was deployed since. Only the base goes back.
    api.deploy("edge-1", "web/2")
    undone = api.end(api.call(api.rollouts.UndoRollout, rollouts_pb2.UndoRolloutRequest(name=done.name)))
    assert not undone.HasField("error"), undone.error
    after = api.all_jails()
    assert {jail.base for jail in after.values()} == {"bases/tiny-1"}
    assert after["edge-1"].release == "apps/web/releases/2"
    assert api.exec("edge-1", "/bin/cat", "/etc/motd", "/usr/local/version") == "tiny 1\nversion 2\n"
