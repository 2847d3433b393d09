"""A daemon of hand-written servicers on a unix socket: it answers what a test told it to and keeps what it got."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, NoReturn

import grpc
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf import descriptor_pool, empty_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection

from jaild.v1 import (
    apps_pb2,
    apps_pb2_grpc,
    base_making_pb2_grpc,
    bases_pb2,
    bases_pb2_grpc,
    builds_pb2,
    builds_pb2_grpc,
    changes_pb2_grpc,
    channels_pb2,
    channels_pb2_grpc,
    common_pb2,
    contents_pb2,
    contents_pb2_grpc,
    evacuations_pb2,
    evacuations_pb2_grpc,
    event_sinks_pb2_grpc,
    events_pb2,
    events_pb2_grpc,
    files_pb2_grpc,
    histories_pb2,
    histories_pb2_grpc,
    host_pb2,
    host_pb2_grpc,
    jails_pb2,
    jails_pb2_grpc,
    migrations_pb2,
    migrations_pb2_grpc,
    rollouts_pb2,
    rollouts_pb2_grpc,
    salvage_pb2,
    salvage_pb2_grpc,
    stats_pb2,
    stats_pb2_grpc,
    templates_pb2_grpc,
    test_migrations_pb2_grpc,
    volumes_pb2_grpc,
)
from tests.unit.cli import taken_over
from tests.unit.cli.files import Files
from tests.unit.cli.jails import Jails
from tests.unit.cli.questions import Contents, Histories
from tests.unit.cli.sinks import EventSinks
from tests.unit.cli.snapshots import serve
from tests.unit.cli.templates import Templates
from tests.unit.cli.volumes import Volumes


def status(code: str, reason: str, message: str, *, plan: common_pb2.Plan | None = None, **metadata: str) -> Any:
    """A google.rpc.Status as jaild sends it."""
    answer = status_pb2.Status(code=code_pb2.Code.Value(code), message=message)
    info = error_details_pb2.ErrorInfo(reason=reason, domain="jaild.dev", metadata=metadata)
    answer.details.add().Pack(info)
    if plan is not None:
        answer.details.add().Pack(plan)
    return answer


def operation(
    response: Message | None = None, *, error: Any = None, name: str = "operations/op-1", **about: Any
) -> Any:
    """An operation; done if it has a response or an error."""
    made = operations_pb2.Operation(name=name, done=response is not None or error is not None)
    made.metadata.Pack(common_pb2.OperationMetadata(**{"kind": "deploy", "target": "jails/web", **about}))
    if response is not None:
        made.response.Pack(response)
    if error is not None:
        made.error.CopyFrom(error)
    return made


def refuse(context: grpc.ServicerContext, told: Any) -> NoReturn:
    """End a call as jaild does, with the details in the trailers."""
    context.set_trailing_metadata((("grpc-status-details-bin", told.SerializeToString()),))
    code = next(code for code in grpc.StatusCode if code.value[0] == told.code)
    context.abort(code, told.message)


class Bases(bases_pb2_grpc.BasesServicer):  # type: ignore[misc]
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def ImportBase(self, request_iterator: Iterator[bases_pb2.ImportBaseRequest], context: Any) -> Any:  # noqa: N802
        self.daemon.uploads.extend(request_iterator)
        return self.daemon.change(self.daemon.uploads[0], context)

    def ListBases(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Two bases, one on each page unless the caller asks for larger pages."""
        bases = [
            bases_pb2.Base(name="bases/debian-12", abi="debian:12:amd64", size_bytes=3 << 29),
            bases_pb2.Base(name="bases/debian-13", used_by=["a", "b"]),
        ]
        first = int(request.page_token or 0)
        last = first + (request.page_size or 1)
        token = str(last) if last < len(bases) else ""
        return bases_pb2.ListBasesResponse(bases=bases[first:last], next_page_token=token)

    def GetBase(self, request: Any, context: Any) -> Any:  # noqa: N802
        refuse(context, status("NOT_FOUND", "BASE_NOT_FOUND", "no base", hint="see base ls", resource=request.name))

    def change(self, request: Any, context: Any) -> Any:
        return self.daemon.change(request, context)

    DeleteBase = PruneBases = PublishBase = change


class Apps(apps_pb2_grpc.AppsServicer):  # type: ignore[misc]
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def PushRelease(self, request_iterator: Iterator[apps_pb2.PushReleaseRequest], context: Any) -> Any:  # noqa: N802
        self.daemon.uploads.extend(request_iterator)
        return self.daemon.change(self.daemon.uploads[0], context)

    def ListReleases(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        names = ("apps/redis/releases/7.0", "apps/web/releases/1")
        return apps_pb2.ListReleasesResponse(releases=[apps_pb2.Release(name=name) for name in names])

    def change(self, request: Any, context: Any) -> Any:
        return self.daemon.change(request, context)

    PruneReleases = PublishRelease = change


class BaseMaking(base_making_pb2_grpc.BaseMakingServicer):  # type: ignore[misc]
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def change(self, request: Any, context: Any) -> Any:
        return self.daemon.change(request, context)

    InstallBase = PatchBase = change


class Builds(builds_pb2_grpc.BuildsServicer):  # type: ignore[misc]
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def BuildRelease(self, request_iterator: Iterator[builds_pb2.BuildReleaseRequest], context: Any) -> Any:  # noqa: N802
        self.daemon.uploads.extend(request_iterator)
        return self.daemon.change(self.daemon.uploads[0], context)

    def TailBuild(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self.daemon.requests.append(request)
        yield builds_pb2.TailBuildResponse(data=b"== step 1 of 1: run make\n")
        yield builds_pb2.TailBuildResponse(data=b"made\n")


class Channels(channels_pb2_grpc.ChannelsServicer):  # type: ignore[misc]
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def ListChannels(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return channels_pb2.ListChannelsResponse(channels=self.daemon.channels)

    def GetChannel(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return self.daemon.channels[0]

    def SetChannel(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self.daemon.requests.append(request)
        return self.daemon.channels[0]

    def DeleteChannel(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self.daemon.requests.append(request)
        return empty_pb2.Empty()


class Changes(changes_pb2_grpc.ChangesServicer):  # type: ignore[misc]
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def change(self, request: Any, context: Any) -> Any:
        return self.daemon.change(request, context)

    ConfirmChange = RevertChange = CutOver = Unstage = change


class Migrations(migrations_pb2_grpc.MigrationsServicer):  # type: ignore[misc]
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def MigrateJail(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self.daemon.change(request, context)

    def GetMigration(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        found = migrations_pb2.Migration(name=request.name, jail="jails/web", predicted_at_least=True)
        found.predicted_downtime.FromMilliseconds(1200)
        found.downtime.FromMilliseconds(15_200)
        parts = (
            ("before_stop", 40),
            ("stop", 5100),
            ("send", 1000),
            ("start", 7500),
            ("readiness", 300),
            ("after_start", 50),
        )
        for part, milliseconds in parts:
            getattr(found.downtime_parts, part).FromMilliseconds(milliseconds)
        return found

    def ListMigrations(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        asked = migrations_pb2.GetMigrationRequest(name="migrations/m")
        return migrations_pb2.ListMigrationsResponse(migrations=[self.GetMigration(asked, context)])

    def GetMigrationStats(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        stats = migrations_pb2.MigrationStats(moved=4, aborted=1)
        stats.median_downtime.FromMilliseconds(700)
        for below, count in ((100, 0), (500, 3), (1000, 0), (2000, 1), (5000, 0)):
            stats.downtimes.add(count=count).below.FromMilliseconds(below)
        stats.downtimes.add(count=0)
        return stats


class Salvages(salvage_pb2_grpc.SalvagesServicer):  # type: ignore[misc]
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def SalvageJail(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self.daemon.change(request, context)

    def GetSalvageReport(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return self.daemon.report


class TestMigrations(test_migrations_pb2_grpc.TestMigrationsServicer):  # type: ignore[misc]
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def TestMigration(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self.daemon.change(request, context)


class Host(host_pb2_grpc.HostServicer):  # type: ignore[misc]
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def change(self, request: Any, context: Any) -> Any:
        return self.daemon.change(request, context)

    StartJails = StopJails = change

    def GetHost(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        failing = host_pb2.FailingTask(name="supersede web", failures=3, error="beta is away")
        return host_pb2.HostInfo(
            name="alpha",
            zfs_capabilities={"bookmarks": True, "raw_send": False},
            peers=["beta"],
            peer_addresses=[host_pb2.PeerAddress(name="beta", address="10.0.0.2:8443")],
            background_tasks=5,
            failing_tasks=[failing],
            metrics_url=self.daemon.metrics_url,
        )

    def ReloadConfiguration(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self.daemon.change(request, context)

    def ListAuditEntries(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        entries = [host_pb2.AuditEntry(sequence=number, actor="local") for number in range(request.page_size + 7)]
        return host_pb2.ListAuditEntriesResponse(entries=entries, next_page_token="more")


class Evacuations(evacuations_pb2_grpc.EvacuationsServicer):  # type: ignore[misc]
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def EvacuateHost(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self.daemon.change(request, context)

    def GetEvacuation(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return self.daemon.evacuations[0]

    def ListEvacuations(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return evacuations_pb2.ListEvacuationsResponse(evacuations=self.daemon.evacuations)

    def DrainHost(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self.daemon.requests.append(request)
        return host_pb2.HostInfo(name="alpha", jails=3, drain=host_pb2.HostDrain(actor="ops", reason=request.reason))

    def UndrainHost(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self.daemon.requests.append(request)
        return host_pb2.HostInfo(name="alpha")


class Rollouts(rollouts_pb2_grpc.RolloutsServicer):  # type: ignore[misc]
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def change(self, request: Any, context: Any) -> Any:
        return self.daemon.change(request, context)

    def one(self, request: Any, context: Any) -> Any:  # noqa: ARG002 -- gRPC's
        self.daemon.requests.append(request)
        return self.daemon.rollouts[0]

    StartRollout = UndoRollout = change
    PlanRollout = GetRollout = PauseRollout = ResumeRollout = CancelRollout = one

    def ListRollouts(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return rollouts_pb2.ListRolloutsResponse(rollouts=self.daemon.rollouts)


class Stats(stats_pb2_grpc.StatsServicer):  # type: ignore[misc]
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def ListJailStats(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.daemon.requests.append(request)
        answer = self.daemon.stats.pop(0)
        if isinstance(answer, grpc.StatusCode):
            raise context.abort(answer, "away")
        return stats_pb2.ListJailStatsResponse(jails=answer)


class Events(events_pb2_grpc.EventsServicer):  # type: ignore[misc]
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def WatchOperation(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.daemon.requests.append(request)
        yield from self.daemon.watches.pop(0)(context)

    def WatchEvents(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.daemon.requests.append(request)
        first = request.after_sequence + 1
        if first > 4:
            os.kill(os.getpid(), signal.SIGINT)
            self.daemon.hang(context)
        for number in (first, first + 1):
            yield events_pb2.Event(sequence=number, kind="jail.started", target="jails/web", message="up")
        if not request.no_follow:
            context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")


class Operations(operations_pb2_grpc.OperationsServicer):  # type: ignore[misc]
    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def GetOperation(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.daemon.requests.append(request)
        answer = self.daemon.gets.pop(0)
        return context.abort(answer, "away") if isinstance(answer, grpc.StatusCode) else answer

    def ListOperations(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return operations_pb2.ListOperationsResponse(operations=self.daemon.listed)

    def CancelOperation(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.daemon.requests.append(request)
        self.daemon.cancelled.set()
        if self.daemon.cancel_refused is not None:
            refuse(context, self.daemon.cancel_refused)
        return empty_pb2.Empty()


class Daemon:
    """`answers` are taken by changes in turn, `watches` by WatchOperation, `gets` by GetOperation, `stats` by Stats."""

    def __init__(self, path: str) -> None:
        self.address = f"unix://{path}"
        self.jails: list[jails_pb2.Jail] = []
        self.statuses: dict[str, int | None] = {}  # of commands in jails, by their names; None: it hangs up
        self.files: list[Any] = []  # records of a tree
        self.metrics_url = ""
        self.away: list[grpc.StatusCode] = []
        self.channels: list[channels_pb2.Channel] = []
        self.evacuations: list[evacuations_pb2.Evacuation] = []
        self.rollouts: list[rollouts_pb2.Rollout] = []
        self.stats: list[list[stats_pb2.JailStats] | grpc.StatusCode] = []
        self.history: list[histories_pb2.HistoryEntry] = []
        self.comparison = contents_pb2.Comparison()
        self.found: list[contents_pb2.FindContentsResponse] = []
        self.report = salvage_pb2.SalvageReport()
        self.answers: list[Any] = []
        self.watches: list[Callable[[Any], Iterator[Any]]] = []
        self.gets: list[Any] = []
        self.listed: list[Any] = []
        self.requests: list[Any] = []
        self.uploads: list[Any] = []
        self.cancelled = threading.Event()
        self.cancel_refused: Any = None
        self.knows = descriptor_pool.Default()  # what it tells of the API's messages
        self.server = grpc.server(futures.ThreadPoolExecutor(4))

    def change(self, request: Any, context: Any) -> Any:
        """Answer a mutation with what the test prepared: an operation, or a status to refuse it with."""
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, status_pb2.Status):
            refuse(context, answer)
        return answer

    def hang(self, context: Any) -> None:
        """Keep a stream open until the client hangs up."""
        over = threading.Event()
        context.add_callback(over.set)
        over.wait(20)

    def asked(self, kind: type[Message]) -> list[Any]:
        """Return the requests of one kind."""
        return [request for request in self.requests if isinstance(request, kind)]

    def start(self) -> None:
        server = self.server
        apps_pb2_grpc.add_AppsServicer_to_server(Apps(self), server)
        base_making_pb2_grpc.add_BaseMakingServicer_to_server(BaseMaking(self), server)
        bases_pb2_grpc.add_BasesServicer_to_server(Bases(self), server)
        builds_pb2_grpc.add_BuildsServicer_to_server(Builds(self), server)
        channels_pb2_grpc.add_ChannelsServicer_to_server(Channels(self), server)
        changes_pb2_grpc.add_ChangesServicer_to_server(Changes(self), server)
        evacuations_pb2_grpc.add_EvacuationsServicer_to_server(Evacuations(self), server)
        event_sinks_pb2_grpc.add_EventSinksServicer_to_server(EventSinks(self), server)
        events_pb2_grpc.add_EventsServicer_to_server(Events(self), server)
        files_pb2_grpc.add_FilesServicer_to_server(Files(self), server)
        host_pb2_grpc.add_HostServicer_to_server(Host(self), server)
        jails_pb2_grpc.add_JailsServicer_to_server(Jails(self), server)
        migrations_pb2_grpc.add_MigrationsServicer_to_server(Migrations(self), server)
        test_migrations_pb2_grpc.add_TestMigrationsServicer_to_server(TestMigrations(self), server)
        operations_pb2_grpc.add_OperationsServicer_to_server(Operations(self), server)
        salvage_pb2_grpc.add_SalvagesServicer_to_server(Salvages(self), server)
        taken_over.serve(self, server)
        rollouts_pb2_grpc.add_RolloutsServicer_to_server(Rollouts(self), server)
        stats_pb2_grpc.add_StatsServicer_to_server(Stats(self), server)
        contents_pb2_grpc.add_ContentsServicer_to_server(Contents(self), server)
        histories_pb2_grpc.add_HistoriesServicer_to_server(Histories(self), server)
        templates_pb2_grpc.add_TemplatesServicer_to_server(Templates(), server)
        volumes_pb2_grpc.add_VolumesServicer_to_server(Volumes(self), server)
        serve(self, server)
        reflection.enable_server_reflection((reflection.SERVICE_NAME,), server, pool=self.knows)
        server.add_insecure_port(self.address)
        server.start()

    def stop(self) -> None:
        self.server.stop(None).wait()
