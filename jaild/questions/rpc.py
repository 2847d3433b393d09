"""The services that answer questions about jails' past and content."""

from __future__ import annotations

from jaild.model.jails.history import Entry
from jaild.questions.history import Histories
from jaild.rpc import names, pages
from jaild.rpc.auth import Context
from jaild.rpc.moments import duration, timestamp
from jaild.rpc.services import Service
from jaild.v1 import histories_pb2, histories_pb2_grpc


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
