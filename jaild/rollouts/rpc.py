"""The Rollouts service."""

from __future__ import annotations

import msgspec
from google.longrunning import operations_pb2

from jaild.engine.rpc import OperationMessages
from jaild.rollouts.service import Rollouts
from jaild.rpc import names, pages
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.plans import accepted_of
from jaild.rpc.messages.rollouts import rollout_message, spec_of
from jaild.rpc.services import Service
from jaild.v1 import rollouts_pb2, rollouts_pb2_grpc


class RolloutsServicer:
    """Answers `jaild.v1.Rollouts`."""

    service = Service("jaild.v1.Rollouts", rollouts_pb2_grpc.add_RolloutsServicer_to_server)

    def __init__(self, rollouts: Rollouts, messages: OperationMessages) -> None:
        self._rollouts = rollouts
        self._messages = messages

    def shown(self, name: str) -> rollouts_pb2.Rollout:
        """Return what came of a rollout."""
        return rollout_message(self._rollouts.get(names.rollout(name)))

    async def PlanRollout(self, request: rollouts_pb2.PlanRolloutRequest, _: Context) -> rollouts_pb2.Rollout:  # noqa: N802  # gRPC's names
        """Return what one would do."""
        caller = current("")
        return rollout_message(await self._rollouts.plan(spec_of(request.spec, caller.actor), caller=caller))

    async def StartRollout(  # noqa: N802
        self, request: rollouts_pb2.StartRolloutRequest, _: Context
    ) -> operations_pb2.Operation:
        """Begin one."""
        caller = current(request.request_id)
        operation = await self._rollouts.start(spec_of(request.spec, caller.actor), caller=caller)
        return self._messages.of(operation)

    async def GetRollout(self, request: rollouts_pb2.GetRolloutRequest, _: Context) -> rollouts_pb2.Rollout:  # noqa: N802
        """Return one as it is now."""
        return self.shown(request.name)

    async def ListRollouts(  # noqa: N802
        self, request: rollouts_pb2.ListRolloutsRequest, _: Context
    ) -> rollouts_pb2.ListRolloutsResponse:
        """Return a page of rollouts, newest first."""
        page = pages.page(request, self._rollouts.list(), lambda each: (-each.created, each.id), "rollouts")
        return rollouts_pb2.ListRolloutsResponse(
            rollouts=map(rollout_message, page.items), next_page_token=page.next_token
        )

    async def PauseRollout(self, request: rollouts_pb2.PauseRolloutRequest, _: Context) -> rollouts_pb2.Rollout:  # noqa: N802
        """Begin nothing more."""
        rollout = names.rollout(request.name)
        steered = await self._rollouts.pause(rollout, validate_only=request.validate_only, caller=current(""))
        return rollout_message(steered)

    async def ResumeRollout(self, request: rollouts_pb2.ResumeRolloutRequest, _: Context) -> rollouts_pb2.Rollout:  # noqa: N802
        """Go on."""
        rollout = names.rollout(request.name)
        steered = await self._rollouts.resume(rollout, validate_only=request.validate_only, caller=current(""))
        return rollout_message(steered)

    async def CancelRollout(self, request: rollouts_pb2.CancelRolloutRequest, _: Context) -> rollouts_pb2.Rollout:  # noqa: N802
        """End it when what has begun has ended."""
        rollout = names.rollout(request.name)
        steered = await self._rollouts.cancel(rollout, validate_only=request.validate_only, caller=current(""))
        return rollout_message(steered)

    async def UndoRollout(self, request: rollouts_pb2.UndoRolloutRequest, _: Context) -> operations_pb2.Operation:  # noqa: N802
        """Take back what moved."""
        caller = current(request.request_id)
        caller = msgspec.structs.replace(caller, accepted=accepted_of(request.accept, caller.actor))
        operation = await self._rollouts.undo(names.rollout(request.name), caller=caller)
        return self._messages.of(operation)
