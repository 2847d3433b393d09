"""The services of jails and of what they use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, TypeAlias

import msgspec
from google.longrunning import operations_pb2

from jaild.engine.rpc import OperationMessages
from jaild.jails.confirmation import Confirmations
from jaild.jails.service import Jails
from jaild.jails.staging import Staging
from jaild.jails.templates import Template, Templates
from jaild.jails.usage import Stats
from jaild.jails.volumes import Volumes
from jaild.model import access, filters
from jaild.model import names as rules
from jaild.model.access import Role
from jaild.model.errors import InvalidArgumentError, NotFoundError
from jaild.model.jails import filtering
from jaild.model.jails.change import Axis, Change, Deploy, Rollback
from jaild.model.jails.spec import JailSpec
from jaild.model.operation import Operation
from jaild.model.views import Caller, JailView
from jaild.rpc import moments, names, pages, streams
from jaild.rpc.auth import Context, current
from jaild.rpc.messages.execution import inputs_of, log_of, terminal_of
from jaild.rpc.messages.jails import (
    AXES,
    generation_message,
    jail_message,
    sees_values_of,
    stats_message,
    volume_message,
)
from jaild.rpc.messages.plans import accepted_of
from jaild.rpc.messages.specs import spec_in
from jaild.rpc.services import Service
from jaild.v1 import (
    changes_pb2,
    changes_pb2_grpc,
    jails_pb2,
    jails_pb2_grpc,
    stats_pb2,
    stats_pb2_grpc,
    templates_pb2,
    templates_pb2_grpc,
    volumes_pb2,
    volumes_pb2_grpc,
)

_AT_ONCE = 100  # jails of a list that are looked at between two looks at the clock: 5 ms if none was encoded before
_TURN = 0.005  # seconds that a list takes before others have their turn
_Answer: TypeAlias = operations_pb2.Operation


class JailMessages:
    """Jails as they are sent in a list, each encoded once for as long as its view stays the same."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[JailView, dict[bool, bytes]]] = {}  # by whether values are shown in it

    def encoded(self, view: JailView, caller: Caller) -> bytes:
        """Return a jail for the caller: a `ListJailsResponse` that has it alone.

        Such answers, one after the other, are one that has them all: so protobuf merges repeated fields
        (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
        """
        made = self._made.get(view.name)
        if made is None or (made[0] is not view and made[0] != view):
            made = self._made[view.name] = (view, {})
        shown = view.generation is not None and sees_values_of(caller, view.generation)
        if shown not in made[1]:
            made[1][shown] = jails_pb2.ListJailsResponse(jails=[jail_message(view, caller)]).SerializeToString()
        return made[1][shown]

    def forget_others(self, names: Sequence[str]) -> None:
        """Forget the jails that are not among `names`, which are all that there are."""
        if len(self._made) > len(names):
            there = set(names)
            self._made = {name: made for name, made in self._made.items() if name in there}


class JailsServicer:
    """Answers `jaild.v1.Jails`."""

    service = Service("jaild.v1.Jails", jails_pb2_grpc.add_JailsServicer_to_server)

    def __init__(self, jails: Jails, rendered: JailMessages, messages: OperationMessages) -> None:
        self._jails = jails
        self._rendered = rendered
        self._messages = messages

    def shown(self, name: str) -> jails_pb2.Jail:
        """Return what a jail is now, for who asks."""
        return jail_message(self._jails.get(names.jail(name)), current())

    async def CreateJail(self, request: jails_pb2.CreateJailRequest, _: Context) -> _Answer:  # noqa: N802  # gRPC's names
        """Create a jail."""
        jail = rules.jail(request.jail_id)
        spec = await spec_in(request.spec, self._jails.render_template)
        caller = _asking(request)
        _may_create(caller, jail, spec)
        return await self._answer(
            self._jails.create(jail, spec, stopped=request.stopped, validate_only=request.validate_only, caller=caller)
        )

    async def GetJail(self, request: jails_pb2.GetJailRequest, _: Context) -> jails_pb2.Jail:  # noqa: N802
        """Return one jail."""
        return jail_message(self._jails.get(names.jail(request.name)), current())

    async def ListJails(self, request: jails_pb2.ListJailsRequest, _: Context) -> bytes:  # noqa: N802
        """Return a page of jails, by name, as an encoded `ListJailsResponse`."""
        caller, there = current(), self._jails.names()
        self._rendered.forget_others(there)
        passes = filters.parse(request.filter, filtering.FIELDS) if request.filter else None
        if passes is not None:
            there = await self._passing(there, passes)
        page = pages.page_of_names(request, there, f"jails {request.filter}".rstrip())
        answer = [jails_pb2.ListJailsResponse(next_page_token=page.next_token).SerializeToString()]
        clock = asyncio.get_running_loop().time
        since = clock()
        for begin in range(0, len(page.items), _AT_ONCE):
            views = self._jails.list(page.items[begin : begin + _AT_ONCE])
            answer += [self._rendered.encoded(view, caller) for view in views]
            if clock() - since > _TURN:
                await asyncio.sleep(0)
                since = clock()
        return b"".join(answer)

    async def _passing(self, there: list[str], passes: filters.Filter) -> list[str]:
        found: list[str] = []
        for begin in range(0, len(there), _AT_ONCE):
            views = self._jails.list(there[begin : begin + _AT_ONCE])
            found += [view.name for view in views if passes(filtering.facts(view))]
            await asyncio.sleep(0)
        return found

    async def DeleteJail(self, request: jails_pb2.DeleteJailRequest, _: Context) -> _Answer:  # noqa: N802
        """Delete a jail with its data."""
        return await self._answer(
            self._jails.delete(
                names.jail(request.name),
                force=request.force,
                etag=request.etag,
                validate_only=request.validate_only,
                caller=current(request.request_id),
            )
        )

    async def StartJail(self, request: jails_pb2.StartJailRequest, _: Context) -> _Answer:  # noqa: N802
        """Start it."""
        jail = self._own(request.name)
        caller = current(request.request_id)
        return await self._answer(self._jails.start(jail, validate_only=request.validate_only, caller=caller))

    async def StopJail(self, request: jails_pb2.StopJailRequest, _: Context) -> _Answer:  # noqa: N802
        """Stop it."""
        jail = self._own(request.name)
        caller = current(request.request_id)
        return await self._answer(
            self._jails.stop(jail, validate_only=request.validate_only, caller=caller, force=request.force)
        )

    async def RestartJail(self, request: jails_pb2.RestartJailRequest, _: Context) -> _Answer:  # noqa: N802
        """Stop and start it."""
        jail = self._own(request.name)
        caller = current(request.request_id)
        return await self._answer(self._jails.restart(jail, validate_only=request.validate_only, caller=caller))

    async def DeployRelease(self, request: jails_pb2.DeployReleaseRequest, _: Context) -> _Answer:  # noqa: N802
        """Move it to another release."""
        app, version = names.release(request.release)
        jail = names.jail(request.name)
        _may_apply(current(), self._jails, jail, Deploy(f"{app}/{version}"))
        return await self._answer(
            self._jails.deploy(
                jail,
                f"{app}/{version}",
                etag=request.etag,
                validate_only=request.validate_only,
                caller=_asking(request),
                confirm_within=_confirm_within(request),
                stage=request.stage,
                force=request.force,
            )
        )

    async def UpgradeBase(self, request: jails_pb2.UpgradeBaseRequest, _: Context) -> _Answer:  # noqa: N802
        """Move it to another base, or to what a channel names."""
        if bool(request.base) == bool(request.channel):
            raise InvalidArgumentError(
                "BASE_OR_CHANNEL",
                "an upgrade is to a base or to what a channel names",
                hint="name one of the two",
                resource=request.name,
            )
        return await self._answer(
            self._jails.upgrade(
                names.jail(request.name),
                names.base(request.base) if request.base else "",
                names.channel(request.channel) if request.channel else "",
                etag=request.etag,
                validate_only=request.validate_only,
                caller=_asking(request),
                confirm_within=_confirm_within(request),
                stage=request.stage,
                force=request.force,
            )
        )

    async def ConfigureJail(self, request: jails_pb2.ConfigureJailRequest, _: Context) -> _Answer:  # noqa: N802
        """Change the rest of its spec."""
        jail = self._own(request.name)
        return await self._answer(
            self._jails.configure(
                jail,
                await spec_in(request.spec, self._jails.render_template),
                etag=request.etag,
                validate_only=request.validate_only,
                caller=_asking(request),
                confirm_within=_confirm_within(request),
                stage=request.stage,
                force=request.force,
            )
        )

    async def RollbackJail(self, request: jails_pb2.RollbackJailRequest, _: Context) -> _Answer:  # noqa: N802
        """Go back to an older generation, on all axes or one."""
        jail = names.jail(request.name)
        axis = AXES.get(request.axis)
        if axis is None or request.generation < 0:
            raise InvalidArgumentError(
                "INVALID_ROLLBACK",
                f"axis {request.axis}, generation {request.generation}: there is no such thing",
                hint="name an axis of RollbackJailRequest.Axis, and a generation that is there or 0 for the last",
                resource=request.name,
            )
        caller = _asking(request)
        _may_apply(caller, self._jails, jail, Rollback(request.generation, Axis(axis)))
        return await self._answer(
            self._jails.rollback(
                jail,
                generation=request.generation,
                axis=axis,
                etag=request.etag,
                validate_only=request.validate_only,
                caller=caller,
                stage=request.stage,
            )
        )

    async def GetGeneration(  # noqa: N802
        self, request: jails_pb2.GetGenerationRequest, _: Context
    ) -> jails_pb2.Generation:
        """Return one generation."""
        jail, number = names.generation(request.name)
        active = self._active(jail)
        for generation in await self._jails.generations(jail):
            if generation.number == number:
                return generation_message(jail, generation, current(), active=number == active)
        raise NotFoundError(
            "GENERATION_NOT_FOUND",
            f"{request.name} does not exist",
            hint="see ListGenerations for those that do",
            resource=request.name,
        )

    async def ListGenerations(  # noqa: N802
        self, request: jails_pb2.ListGenerationsRequest, _: Context
    ) -> jails_pb2.ListGenerationsResponse:
        """Return a page of a jail's generations, newest first."""
        jail = names.jail(request.parent)
        active = self._active(jail)
        page = pages.page(
            request, await self._jails.generations(jail), lambda item: (-item.number,), f"{request.parent}/generations"
        )
        return jails_pb2.ListGenerationsResponse(
            generations=[
                generation_message(jail, item, current(), active=item.number == active) for item in page.items
            ],
            next_page_token=page.next_token,
        )

    async def ExecInJail(  # noqa: N802
        self, requests: AsyncIterator[jails_pb2.ExecInJailRequest], _: Context
    ) -> AsyncIterator[jails_pb2.ExecInJailResponse]:
        """Run a command in a running jail."""
        start: jails_pb2.ExecStart = await streams.first(requests, "start")
        jail = self._own(start.name)
        if not start.command:
            raise InvalidArgumentError("COMMAND_MISSING", "there is nothing to run", hint="give the command as argv")
        terminal = terminal_of(start)
        outputs = self._jails.exec(
            jail,
            tuple(start.command),
            environment=dict(start.environment),
            user=start.user if start.HasField("user") else None,
            inputs=inputs_of(requests, terminal=terminal is not None),
            terminal=terminal,
        )
        async with streams.closing(outputs) as stream:
            async for output in stream:
                yield jails_pb2.ExecInJailResponse(
                    stdout=output.stdout, stderr=output.stderr, exit_status=output.exit_status
                )

    async def TailLogs(  # noqa: N802
        self, request: jails_pb2.TailLogsRequest, _: Context
    ) -> AsyncIterator[jails_pb2.TailLogsResponse]:
        """Send what the jail wrote."""
        logs = self._jails.logs(names.jail(request.name), log_of(request), here=request.here)
        async with streams.closing(logs) as stream:
            async for piece in stream:
                after, by = moments.timestamp(piece.after), moments.timestamp(piece.by)
                yield jails_pb2.TailLogsResponse(data=piece.data, after=after, by=by)

    async def _answer(self, operation: Awaitable[Operation]) -> _Answer:
        return self._messages.of(await operation)

    def _own(self, name: str) -> str:
        """Return the jail in `name` if the caller may change it."""
        jail = names.jail(name)
        _may_change(current(), self._jails, jail)
        return jail

    def _active(self, jail: str) -> int:
        record = self._jails.get(jail).record
        return 0 if record is None else record.generation


class TemplatesServicer:
    """Answers for `jaild.v1.Templates`."""

    service = Service("jaild.v1.Templates", templates_pb2_grpc.add_TemplatesServicer_to_server)

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    async def ListTemplates(  # noqa: N802
        self, _request: templates_pb2.ListTemplatesRequest, _: Context
    ) -> templates_pb2.ListTemplatesResponse:
        """Return all, without their text."""
        found = await self._templates.list()
        return templates_pb2.ListTemplatesResponse(templates=[_template(each, "") for each in found])

    async def GetTemplate(  # noqa: N802
        self, request: templates_pb2.GetTemplateRequest, _: Context
    ) -> templates_pb2.JailTemplate:
        """Return one."""
        found = await self._templates.get(request.name.removeprefix("templates/"))
        return _template(found, found.text)


def _template(found: Template, text: str) -> templates_pb2.JailTemplate:
    return templates_pb2.JailTemplate(
        name=f"templates/{found.name}", description=found.description, variables=found.variables, yaml=text
    )


class ChangesServicer:
    """Answers for `jaild.v1.Changes`."""

    service = Service("jaild.v1.Changes", changes_pb2_grpc.add_ChangesServicer_to_server)

    def __init__(self, confirmations: Confirmations, staging: Staging, messages: OperationMessages) -> None:
        self._confirmations = confirmations
        self._staging = staging
        self._messages = messages

    async def ConfirmChange(self, request: changes_pb2.ConfirmChangeRequest, _: Context) -> _Answer:  # noqa: N802
        """Keep the last change."""
        jail, caller = names.jail(request.name), current(request.request_id)
        return self._messages.of(
            await self._confirmations.confirm(jail, validate_only=request.validate_only, caller=caller)
        )

    async def RevertChange(self, request: changes_pb2.RevertChangeRequest, _: Context) -> _Answer:  # noqa: N802
        """Undo it now."""
        jail, caller = names.jail(request.name), current(request.request_id)
        return self._messages.of(
            await self._confirmations.revert(jail, validate_only=request.validate_only, caller=caller)
        )

    async def CutOver(self, request: changes_pb2.CutOverRequest, _: Context) -> _Answer:  # noqa: N802
        """Carry out what is staged."""
        jail, caller = names.jail(request.name), current(request.request_id)
        return self._messages.of(await self._staging.cutover(jail, validate_only=request.validate_only, caller=caller))

    async def Unstage(self, request: changes_pb2.UnstageRequest, _: Context) -> _Answer:  # noqa: N802
        """Drop it."""
        jail, caller = names.jail(request.name), current(request.request_id)
        return self._messages.of(await self._staging.unstage(jail, validate_only=request.validate_only, caller=caller))


class VolumesServicer:
    """Answers for `jaild.v1.Volumes`."""

    service = Service("jaild.v1.Volumes", volumes_pb2_grpc.add_VolumesServicer_to_server)

    def __init__(self, volumes: Volumes, messages: OperationMessages) -> None:
        self._volumes = volumes
        self._messages = messages

    async def ListVolumes(  # noqa: N802
        self, request: volumes_pb2.ListVolumesRequest, _: Context
    ) -> volumes_pb2.ListVolumesResponse:
        """Return those of a jail, or of all."""
        found = await self._volumes.list("" if request.parent == "jails/-" else names.jail(request.parent))
        return volumes_pb2.ListVolumesResponse(volumes=map(volume_message, found))

    async def DeleteVolume(self, request: volumes_pb2.DeleteVolumeRequest, _: Context) -> _Answer:  # noqa: N802
        """Destroy one."""
        (jail, volume), caller = names.volume(request.name), current(request.request_id)
        return self._messages.of(
            await self._volumes.remove(jail, volume, validate_only=request.validate_only, caller=caller)
        )


class StatsServicer:
    """Answers for `jaild.v1.Stats`."""

    service = Service("jaild.v1.Stats", stats_pb2_grpc.add_StatsServicer_to_server)

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    async def ListJailStats(  # noqa: N802
        self, request: stats_pb2.ListJailStatsRequest, _: Context
    ) -> stats_pb2.ListJailStatsResponse:
        """Measure jails now."""
        measured = await self._stats.measure([names.jail(name) for name in request.names])
        return stats_pb2.ListJailStatsResponse(jails=map(stats_message, measured))


def _may_create(caller: Caller, jail: str, spec: JailSpec) -> None:
    """Raise `PermissionDeniedError` (APP_REQUIRED) unless the new jail runs an app of the caller's."""
    access.require_app(caller, _app(spec.app or ""), names.jail_name(jail))


def _may_change(caller: Caller, jails: Jails, jail: str) -> None:
    """Raise `PermissionDeniedError` (APP_REQUIRED) unless the jail runs an app of the caller's."""
    if Role.OPERATOR not in caller.roles:
        access.require_own(caller, jail, jails.get(jail).generation)


def _asking(request: Any) -> Caller:
    """Return who asks for a change, with what problems it accepts."""
    caller = current(request.request_id)
    return msgspec.structs.replace(caller, accepted=accepted_of(request.accept, caller.actor))


def _may_apply(caller: Caller, jails: Jails, jail: str, change: Change) -> None:
    """Raise `PermissionDeniedError` (AXIS_REQUIRED, APP_REQUIRED) unless the change is the caller's to ask for.

    What comes of it is looked at when it is applied: `jaild.model.access`.
    """
    if Role.OPERATOR not in caller.roles:
        access.require_change(caller, jail, jails.get(jail).generation, change)


def _app(release: str) -> str:
    return release.partition("/")[0]


def _confirm_within(
    request: jails_pb2.DeployReleaseRequest | jails_pb2.UpgradeBaseRequest | jails_pb2.ConfigureJailRequest,
) -> float:
    return moments.seconds(request.confirm_within, "confirm_within")
