"""The services that answer questions about jails' past and content."""

from __future__ import annotations

from collections.abc import AsyncIterator

from jaild.model.contents import comparison as model
from jaild.model.contents.question import Kind, Match, question
from jaild.model.contents.sbom import MEDIA_TYPE
from jaild.model.errors import InvalidArgumentError
from jaild.model.jails.history import Entry
from jaild.questions.comparisons import Comparisons
from jaild.questions.finding import Finding, Use
from jaild.questions.history import Histories
from jaild.questions.sboms import Sboms
from jaild.rpc import names, pages, streams
from jaild.rpc.auth import Context, current
from jaild.rpc.moments import duration, timestamp
from jaild.rpc.services import Service
from jaild.v1 import contents_pb2, contents_pb2_grpc, histories_pb2, histories_pb2_grpc

_CHANGES = {
    model.ADDED: contents_pb2.FileChange.CHANGE_ADDED,
    model.REMOVED: contents_pb2.FileChange.CHANGE_REMOVED,
    model.CHANGED: contents_pb2.FileChange.CHANGE_CHANGED,
}


class HistoriesServicer:
    """Answers `jaild.v1.Histories`."""

    service = Service("jaild.v1.Histories", histories_pb2_grpc.add_HistoriesServicer_to_server)

    def __init__(self, histories: Histories) -> None:
        self._histories = histories

    async def ListJailHistory(  # noqa: N802  # gRPC's names
        self, request: histories_pb2.ListJailHistoryRequest, _: Context
    ) -> histories_pb2.ListJailHistoryResponse:
        """Return a page of a jail's history, newest first."""
        found = await self._histories.of_jail(names.jail(request.parent))
        page = pages.page(request, found, lambda entry: (-entry.time, entry.key), f"{request.parent}/history")
        return histories_pb2.ListJailHistoryResponse(
            entries=map(_history_message, page.items), next_page_token=page.next_token
        )


class ContentsServicer:
    """Answers `jaild.v1.Contents`."""

    service = Service("jaild.v1.Contents", contents_pb2_grpc.add_ContentsServicer_to_server)

    def __init__(self, comparisons: Comparisons, finding: Finding, sboms: Sboms) -> None:
        self._comparisons = comparisons
        self._finding = finding
        self._sboms = sboms

    async def CompareGenerations(  # noqa: N802
        self, request: contents_pb2.CompareGenerationsRequest, _: Context
    ) -> contents_pb2.Comparison:
        """Return what differs between two generations."""
        before, after = _number(getattr(request, "from")), _number(request.to)
        return _comparison_message(await self._comparisons.of(names.jail(request.name), before, after, current()))

    async def FindContents(  # noqa: N802
        self, request: contents_pb2.FindContentsRequest, _: Context
    ) -> AsyncIterator[contents_pb2.FindContentsResponse]:
        """Send the layers that hold what is asked for, with the generations on them."""
        kind = request.WhichOneof("question") or Kind.PACKAGE.value
        asked = question(Kind(kind), getattr(request, kind))
        async with streams.closing(self._finding.find(asked)) as stream:
            async for found in stream:
                yield contents_pb2.FindContentsResponse(
                    layer=found.layer,
                    matches=map(_match_message, found.matches),
                    uses=map(_use_message, found.uses),
                    not_indexed=found.not_indexed,
                    problems=found.problems,
                )

    async def GetSbom(self, request: contents_pb2.GetSbomRequest, _: Context) -> contents_pb2.Sbom:  # noqa: N802
        """Return the bill of materials of a layer."""
        if request.name.startswith("apps/"):
            text = await self._sboms.of_release(*names.release(request.name))
        else:
            text = await self._sboms.of_base(names.base(request.name))
        return contents_pb2.Sbom(media_type=MEDIA_TYPE, document=text)


def _number(generation: int) -> int:
    if generation < 0:
        raise InvalidArgumentError(
            "INVALID_NAME", f"{generation} is no generation's number", hint="give a generation's number, or none"
        )
    return generation


def _comparison_message(found: model.Comparison) -> contents_pb2.Comparison:
    message = contents_pb2.Comparison(
        to=found.after.number,
        from_base=names.base_name(found.before.base),
        to_base=names.base_name(found.after.base),
        from_release=names.release_name(found.before.release),
        to_release=names.release_name(found.after.release),
        spec=map(_change_message, found.spec),
        packages=map(_change_message, found.packages),
        libraries=map(_change_message, found.libraries),
        release_files=map(_file_message, found.files),
        release_file_counts=_counts_message(found.release_files),
        base_file_counts=_counts_message(found.base_files),
        configuration=map(_file_message, found.etc),
        notes=found.notes,
    )
    setattr(message, "from", found.before.number)  # a keyword of Python's
    return message


def _change_message(change: model.Change) -> contents_pb2.ContentChange:
    return contents_pb2.ContentChange(
        name=change.name, before=change.before, after=change.after, ecosystem=change.ecosystem
    )


def _file_message(file: model.FileChange) -> contents_pb2.FileChange:
    return contents_pb2.FileChange(path=file.path, change=_CHANGES[file.change], diff=file.diff, reason=file.why)


def _counts_message(counts: model.Counts) -> contents_pb2.FileCounts:
    return contents_pb2.FileCounts(added=counts.added, removed=counts.removed, changed=counts.changed)


def _match_message(match: Match) -> contents_pb2.ContentMatch:
    return contents_pb2.ContentMatch(
        name=match.name,
        version=match.version,
        path=match.path,
        package=match.package,
        ecosystem=match.ecosystem.value,
        unsure=match.unsure,
    )


def _use_message(use: Use) -> contents_pb2.LayerUse:
    return contents_pb2.LayerUse(
        jail=names.jail_name(use.jail), generation=use.generation, active=use.active, state=use.state
    )


def _history_message(entry: Entry) -> histories_pb2.HistoryEntry:
    return histories_pb2.HistoryEntry(
        time=timestamp(entry.time),
        end_time=timestamp(entry.end),
        kind=entry.kind,
        actor=entry.actor,
        request_id=entry.request_id,
        outcome=entry.outcome,
        message=entry.message,
        operation=entry.operation,
        predicted_downtime=duration(entry.predicted),
        predicted_at_least=entry.predicted_at_least,
        downtime=duration(entry.downtime),
        from_generation=entry.from_generation,
        to_generation=entry.to_generation,
        base=names.base_name(entry.base),
        release=names.release_name(entry.release),
        migration=names.migration_name(entry.migration) if entry.migration else "",
        source=entry.source,
        target=entry.target,
    )
