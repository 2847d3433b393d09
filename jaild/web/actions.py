"""What may be done from the page: pause, resume, cancel, confirm. Each is planned first, and only then asked for.

No other verb of the API is spoken here: what changes a jail's base, release or spec belongs on a command line.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from google.longrunning import operations_pb2

from jaild.cli.client.references import short
from jaild.client import AioApi
from jaild.v1 import changes_pb2, common_pb2, rollouts_pb2
from jaild.web.site import SECONDS
from jaild.web.views import plans
from jaild.web.views.plans import Preview


@dataclass(frozen=True)
class Action:
    """One action. `plan` changes nothing; `act` returns the resource to look at afterwards.

    `collection` is that of the names it takes.
    """

    label: str
    kind: str  # what is acted upon, as one reads it after the label
    collection: str
    plan: Callable[[AioApi, str], Awaitable[Preview]]
    act: Callable[[AioApi, str, str], Awaitable[str]]


async def _plan_confirm(api: AioApi, name: str) -> Preview:
    request = changes_pb2.ConfirmChangeRequest(name=name, validate_only=True)
    operation = await api.changes.ConfirmChange(request, timeout=SECONDS)
    plan = common_pb2.Plan()
    operation.response.Unpack(plan)
    return plans.of_plan(plan)


async def _confirm(api: AioApi, name: str, request_id: str) -> str:
    request = changes_pb2.ConfirmChangeRequest(name=name, request_id=request_id)
    return str((await api.changes.ConfirmChange(request, timeout=SECONDS)).name)


async def _operation(api: AioApi, name: str) -> Any:
    return await api.operations.GetOperation(operations_pb2.GetOperationRequest(name=name), timeout=SECONDS)


async def _plan_cancel(api: AioApi, name: str) -> Preview:
    return plans.of_cancel(await _operation(api, name))


async def _cancel(api: AioApi, name: str, _request_id: str) -> str:
    await api.operations.CancelOperation(operations_pb2.CancelOperationRequest(name=name), timeout=SECONDS)
    return name


async def _plan_cancel_evacuation(api: AioApi, name: str) -> Preview:
    return await _plan_cancel(api, f"operations/{short(name)}")


async def _cancel_evacuation(api: AioApi, name: str, request_id: str) -> str:
    await _cancel(api, f"operations/{short(name)}", request_id)
    return name


def _steer(label: str, method: str, request: Any, step: str) -> Action:
    """Return the action of one of the verbs that steer a rollout."""

    async def plan(api: AioApi, name: str) -> Preview:
        asked = rollouts_pb2.GetRolloutRequest(name=name)
        before = await api.rollouts.GetRollout(asked, timeout=SECONDS)
        after = await getattr(api.rollouts, method)(request(name=name, validate_only=True), timeout=SECONDS)
        return plans.of_rollout(before, after, step)

    async def act(api: AioApi, name: str, _request_id: str) -> str:
        await getattr(api.rollouts, method)(request(name=name), timeout=SECONDS)
        return name

    return Action(label, "rollout", "rollouts", plan, act)


ACTIONS = {
    "pause": _steer(
        "Pause", "PauseRollout", rollouts_pb2.PauseRolloutRequest, "nothing more is begun; what has begun ends"
    ),
    "resume": _steer(
        "Resume", "ResumeRollout", rollouts_pb2.ResumeRolloutRequest, "it goes on; what failed so far counts no more"
    ),
    "cancel": _steer(
        "Cancel",
        "CancelRollout",
        rollouts_pb2.CancelRolloutRequest,
        "nothing more is begun, and it ends when what has begun has ended; what moved stays",
    ),
    "confirm": Action("Confirm", "the change of", "jails", _plan_confirm, _confirm),
    "cancel-operation": Action("Cancel", "operation", "operations", _plan_cancel, _cancel),
    "cancel-evacuation": Action("Cancel", "evacuation", "evacuations", _plan_cancel_evacuation, _cancel_evacuation),
}
