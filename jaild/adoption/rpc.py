"""The service of jails that other tools made."""

from __future__ import annotations

import msgspec
from google.longrunning import operations_pb2

from jaild.adoption.service import Adoptions
from jaild.engine.rpc import OperationMessages
from jaild.model import names as rules
from jaild.model.errors import InvalidArgumentError
from jaild.model.foreign.jail import Tool
from jaild.model.foreign.wish import Wish
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.plans import accepted_of
from jaild.rpc.messages.specs import Render, spec_in
from jaild.rpc.services import Service
from jaild.v1 import foreign_jails_pb2, foreign_jails_pb2_grpc


class ForeignJailsServicer:
    """Answers `jaild.v1.ForeignJails`."""

    service = Service("jaild.v1.ForeignJails", foreign_jails_pb2_grpc.add_ForeignJailsServicer_to_server)

    def __init__(self, adoptions: Adoptions, render: Render, messages: OperationMessages) -> None:
        self._adoptions = adoptions
        self._render = render
        self._messages = messages

    async def AdoptForeignJail(  # noqa: N802  # gRPC's names
        self, request: foreign_jails_pb2.AdoptForeignJailRequest, _: Context
    ) -> operations_pb2.Operation:
        """Adopt one."""
        caller = current(request.request_id)
        caller = msgspec.structs.replace(caller, accepted=accepted_of(request.accept, caller.actor))
        wish = Wish(
            tool=_tool(request.tool),
            name=request.foreign_name,
            jail=rules.jail(request.jail_id),
            root=request.root,
            base=rules.base(request.base.removeprefix("bases/")) if request.base else "",
            spec=await spec_in(request.spec, self._render) if request.HasField("spec") else None,
            stop=request.stop_old,
            stopped=request.stopped,
        )
        answer = await self._adoptions.adopt(wish, validate_only=request.validate_only, caller=caller)
        return self._messages.of(answer)


def _tool(name: str) -> Tool:
    try:
        return Tool(name)
    except ValueError:
        raise InvalidArgumentError(
            "UNKNOWN_TOOL", f"jails of {name!r} cannot be adopted", hint=f"there are {', '.join(Tool)}"
        ) from None
