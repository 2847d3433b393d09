"""The API as a caller uses it: every call bounded, every refusal as the typed error that travelled in its status."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf import duration_pb2
from google.rpc import status_pb2

from jaild.model.errors import JaildError
from jaild.rpc import status
from jaild.v1 import (
    apps_pb2,
    apps_pb2_grpc,
    backups_pb2_grpc,
    base_making_pb2_grpc,
    bases_pb2,
    bases_pb2_grpc,
    builds_pb2,
    builds_pb2_grpc,
    changes_pb2,
    changes_pb2_grpc,
    channels_pb2_grpc,
    common_pb2,
    contents_pb2_grpc,
    copies_pb2_grpc,
    evacuations_pb2_grpc,
    events_pb2,
    events_pb2_grpc,
    foreign_jails_pb2_grpc,
    histories_pb2_grpc,
    host_pb2,
    host_pb2_grpc,
    jails_pb2,
    jails_pb2_grpc,
    migrations_pb2,
    migrations_pb2_grpc,
    promotions_pb2,
    promotions_pb2_grpc,
    rollouts_pb2_grpc,
    salvage_pb2_grpc,
    snapshots_pb2_grpc,
    test_migrations_pb2_grpc,
    volumes_pb2_grpc,
)
from tests.patience import patient

SECONDS = patient(60.0)  # that any one call may take
CHUNK = 1 << 20
_OPTIONS = (("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200))


class Client:
    """One connection to one daemon."""

    def __init__(self, socket: Path) -> None:
        self.channel = grpc.insecure_channel(f"unix:{socket}", options=_OPTIONS)
        if sys.platform.startswith("freebsd"):
            # gRPC's poll engine looks at a connection only while something is under way: one that was idle for a minute
            # has not answered the daemon's pings, is closed, and in grpcio 1.72.1 never made again.
            self.channel.subscribe(lambda _: None)
        self.bases = bases_pb2_grpc.BasesStub(self.channel)
        self.base_making = base_making_pb2_grpc.BaseMakingStub(self.channel)
        self.apps = apps_pb2_grpc.AppsStub(self.channel)
        self.builds = builds_pb2_grpc.BuildsStub(self.channel)
        self.jails = jails_pb2_grpc.JailsStub(self.channel)
        self.changes = changes_pb2_grpc.ChangesStub(self.channel)
        self.migrations = migrations_pb2_grpc.MigrationsStub(self.channel)
        self.contents = contents_pb2_grpc.ContentsStub(self.channel)
        self.histories = histories_pb2_grpc.HistoriesStub(self.channel)
        self.evacuations = evacuations_pb2_grpc.EvacuationsStub(self.channel)
        self.channels = channels_pb2_grpc.ChannelsStub(self.channel)
        self.rollouts = rollouts_pb2_grpc.RolloutsStub(self.channel)
        self.test_migrations = test_migrations_pb2_grpc.TestMigrationsStub(self.channel)
        self.host = host_pb2_grpc.HostStub(self.channel)
        self.events = events_pb2_grpc.EventsStub(self.channel)
        self.foreign_jails = foreign_jails_pb2_grpc.ForeignJailsStub(self.channel)
        self.copies = copies_pb2_grpc.CopiesStub(self.channel)
        self.salvages = salvage_pb2_grpc.SalvagesStub(self.channel)
        self.promotions = promotions_pb2_grpc.PromotionsStub(self.channel)
        self.volumes = volumes_pb2_grpc.VolumesStub(self.channel)
        self.backups = backups_pb2_grpc.BackupsStub(self.channel)
        self.snapshots = snapshots_pb2_grpc.JailSnapshotsStub(self.channel)
        self.operations = operations_pb2_grpc.OperationsStub(self.channel)

    # -- operations

    def watch(self, operation: Any) -> Iterator[tuple[Any, Any]]:
        """Yield the operation with its metadata each time it changes."""
        request = events_pb2.WatchOperationRequest(name=operation.name)
        with explained():
            for message in self.events.WatchOperation(request, timeout=SECONDS):
                yield message, metadata(message)

    def end(self, operation: Any) -> Any:
        """Wait for the end; return the operation whatever its result."""
        for message, _ in self.watch(operation):
            operation = message
        assert operation.done
        return operation

    def done(self, operation: Any) -> Any:
        """Wait for a good end; raise the error otherwise."""
        operation = self.end(operation)
        if operation.HasField("error"):
            raise _error(operation.error)
        return operation

    def until_phase(self, operation: Any, *phases: str) -> str:
        """Wait until the operation is in one of the phases; return it, or "done"."""
        for message, data in self.watch(operation):
            if data.phase in phases or message.done:
                return "done" if message.done else str(data.phase)
        raise AssertionError("the watch ended before the operation")

    def cancel(self, operation: Any) -> None:
        with explained():
            self.operations.CancelOperation(operations_pb2.CancelOperationRequest(name=operation.name), timeout=SECONDS)

    # -- layers

    def import_begin(self, name: str, archive: Path, **header: Any) -> Any:
        sent = bases_pb2.ImportBaseHeader(base_id=name, **header)
        requests = [bases_pb2.ImportBaseRequest(header=sent)]
        if not (sent.path or sent.peer):
            requests += [bases_pb2.ImportBaseRequest(chunk=chunk) for chunk in chunks(archive)]
        with explained():
            return self.bases.ImportBase(iter(requests), timeout=SECONDS)

    def import_base(self, name: str, archive: Path, **header: Any) -> bases_pb2.Base:
        base: bases_pb2.Base = response(self.done(self.import_begin(name, archive, **header)), bases_pb2.Base())
        return base

    def push_begin(self, release: str, archive: Path, **header: Any) -> Any:
        app, _, version = release.partition("/")
        sent = apps_pb2.PushReleaseHeader(parent=f"apps/{app}", release_id=version, **header)
        requests = [apps_pb2.PushReleaseRequest(header=sent)]
        requests += [apps_pb2.PushReleaseRequest(chunk=chunk) for chunk in chunks(archive)]
        with explained():
            return self.apps.PushRelease(iter(requests), timeout=SECONDS)

    def push(self, release: str, archive: Path, **header: Any) -> Any:
        return self.done(self.push_begin(release, archive, **header))

    def build_begin(self, release: str, recipe: str, files: Path | None = None, **header: Any) -> Any:
        """Build by a recipe; `files` is the archive for its copy steps."""
        app, _, version = release.partition("/")
        sent = builds_pb2.BuildReleaseHeader(parent=f"apps/{app}", release_id=version, recipe_yaml=recipe, **header)
        requests = [builds_pb2.BuildReleaseRequest(header=sent)]
        requests += [builds_pb2.BuildReleaseRequest(chunk=chunk) for chunk in (chunks(files) if files else ())]
        with explained():
            return self.builds.BuildRelease(iter(requests), timeout=SECONDS)

    def build(self, release: str, recipe: str, files: Path | None = None, **header: Any) -> Any:
        return self.done(self.build_begin(release, recipe, files, **header))

    def build_log(self, operation: Any, *, follow: bool = False) -> str:
        request = builds_pb2.TailBuildRequest(name=operation.name, follow=follow)
        with explained():
            return b"".join(piece.data for piece in self.builds.TailBuild(request, timeout=SECONDS)).decode()

    def names_of_bases(self) -> list[str]:
        listed = self.call(self.bases.ListBases, bases_pb2.ListBasesRequest())
        return [base.name.partition("/")[2] for base in listed.bases]

    # -- jails

    def create_begin(self, name: str, yaml: str, **more: Any) -> Any:
        spec = jails_pb2.SpecSource(yaml=yaml)
        return self.call(self.jails.CreateJail, jails_pb2.CreateJailRequest(jail_id=name, spec=spec, **more))

    def create(self, name: str, yaml: str, **more: Any) -> jails_pb2.Jail:
        jail: jails_pb2.Jail = response(self.done(self.create_begin(name, yaml, **more)), jails_pb2.Jail())
        return jail

    def jail(self, name: str) -> jails_pb2.Jail:
        jail: jails_pb2.Jail = self.call(self.jails.GetJail, jails_pb2.GetJailRequest(name=f"jails/{name}"))
        return jail

    def names_of_jails(self) -> list[str]:
        return list(self.all_jails())

    def all_jails(self) -> dict[str, jails_pb2.Jail]:
        """All jails by name, as they were at one moment."""
        listed = self.call(self.jails.ListJails, jails_pb2.ListJailsRequest())
        return {jail.name.partition("/")[2]: jail for jail in listed.jails}

    def deploy_begin(self, name: str, release: str, **more: Any) -> Any:
        app, _, version = release.partition("/")
        request = jails_pb2.DeployReleaseRequest(name=f"jails/{name}", release=f"apps/{app}/releases/{version}", **more)
        return self.call(self.jails.DeployRelease, request)

    def deploy(self, name: str, release: str, **more: Any) -> Any:
        return self.done(self.deploy_begin(name, release, **more))

    def upgrade_begin(self, name: str, base: str, **more: Any) -> Any:
        request = jails_pb2.UpgradeBaseRequest(name=f"jails/{name}", base=f"bases/{base}", **more)
        return self.call(self.jails.UpgradeBase, request)

    def upgrade(self, name: str, base: str, **more: Any) -> Any:
        return self.done(self.upgrade_begin(name, base, **more))

    def configure(self, name: str, yaml: str, **more: Any) -> Any:
        spec = jails_pb2.SpecSource(yaml=yaml)
        request = jails_pb2.ConfigureJailRequest(name=f"jails/{name}", spec=spec, **more)
        return self.done(self.call(self.jails.ConfigureJail, request))

    def rollback(self, name: str, **more: Any) -> Any:
        return self.done(
            self.call(self.jails.RollbackJail, jails_pb2.RollbackJailRequest(name=f"jails/{name}", **more))
        )

    def confirm_change(self, name: str) -> Any:
        request = changes_pb2.ConfirmChangeRequest(name=f"jails/{name}")
        return self.done(self.call(self.changes.ConfirmChange, request))

    def start(self, name: str) -> Any:
        return self.done(self.call(self.jails.StartJail, jails_pb2.StartJailRequest(name=f"jails/{name}")))

    def stop(self, name: str) -> Any:
        return self.done(self.call(self.jails.StopJail, jails_pb2.StopJailRequest(name=f"jails/{name}")))

    def delete(self, name: str, *, force: bool = True, **more: Any) -> Any:
        request = jails_pb2.DeleteJailRequest(name=f"jails/{name}", force=force, **more)
        return self.done(self.call(self.jails.DeleteJail, request))

    def exec(self, name: str, *command: str, check: bool = True, stdin: bytes = b"") -> str:
        """Run a command in a jail; return its stdout and stderr."""
        start = jails_pb2.ExecStart(name=f"jails/{name}", command=command)
        requests = [jails_pb2.ExecInJailRequest(start=start)]
        requests += [jails_pb2.ExecInJailRequest(stdin=stdin)] if stdin else []
        output, result = b"", None
        with explained():
            for piece in self.jails.ExecInJail(iter(requests), timeout=SECONDS):
                output += piece.stdout + piece.stderr
                result = piece.exit_status if piece.HasField("exit_status") else result
        assert result is not None, "a command without an end"
        if check:
            assert result == 0, f"{command}: status {result}: {output.decode()}"
        return output.decode() if check else f"{result}: {output.decode()}"

    def sh(self, name: str, script: str) -> str:
        return self.exec(name, "/bin/sh", "-c", script)

    def generations(self, name: str) -> list[int]:
        request = jails_pb2.ListGenerationsRequest(parent=f"jails/{name}")
        return [generation.number for generation in self.call(self.jails.ListGenerations, request).generations]

    def wait_for(self, name: str, wanted: Callable[[jails_pb2.Jail], bool]) -> jails_pb2.Jail:
        """Wait until a jail is as wanted, looking at it whenever something happened to it."""
        request = events_pb2.WatchEventsRequest(target=f"jails/{name}")
        with explained():
            stream = self.events.WatchEvents(request, timeout=SECONDS)
            for _ in self._now_and_after(stream):
                found = self.all_jails().get(name)
                if found is not None and wanted(found):
                    stream.cancel()
                    return found
        raise AssertionError(f"jail {name} never came to be as it should")

    @staticmethod
    def _now_and_after(stream: Any) -> Iterator[None]:
        yield
        for _ in stream:
            yield

    # -- migrations and the host

    def migrate_begin(self, name: str, target: str, *, seconds: float = patient(30), **more: Any) -> Any:
        budget = duration_pb2.Duration()
        budget.FromNanoseconds(int(seconds * 1e9))
        request = migrations_pb2.MigrateJailRequest(
            name=f"jails/{name}", target=target, max_downtime=budget, proceed_over_budget=True, **more
        )
        return self.call(self.migrations.MigrateJail, request)

    def migrate(self, name: str, target: str, **more: Any) -> Any:
        return self.done(self.migrate_begin(name, target, **more))

    def promote(self, name: str, **more: Any) -> Any:
        request = promotions_pb2.PromoteJailRequest(name=f"jails/{name}", **more)
        return self.done(self.call(self.promotions.PromoteJail, request))

    def info(self) -> host_pb2.HostInfo:
        info: host_pb2.HostInfo = self.call(self.host.GetHost, host_pb2.GetHostRequest())
        return info

    def call(self, method: Callable[..., Any], request: Any) -> Any:
        with explained():
            return method(request, timeout=SECONDS)


@contextmanager
def explained() -> Iterator[None]:
    """Raise a failed call's error as the one it was in the daemon; a call that failed otherwise as it is."""
    try:
        yield
    except grpc.RpcError as error:
        failed: Any = error  # the stubs do not say that it is a call too
        trailers = dict(failed.trailing_metadata() or ())
        if status.DETAILS not in trailers:
            raise
        sent = status_pb2.Status.FromString(trailers[status.DETAILS])
        told = failed.code().value[0]
        raise _error(sent) if sent.code == told else AssertionError(f"{told} and {sent.code}") from error


@contextmanager
def refused(kind: type[JaildError], reason: str) -> Iterator[pytest.ExceptionInfo[JaildError]]:
    """Expect exactly this status and reason, with something that one can do about it."""
    with pytest.raises(JaildError) as caught:
        yield caught
    assert (type(caught.value), caught.value.reason) == (kind, reason), str(caught.value)
    assert caught.value.hint


def codes(error: JaildError) -> list[str]:
    """The problems of a refused plan."""
    return [problem.code for problem in error.problems]


def metadata(operation: Any) -> common_pb2.OperationMetadata:
    found = common_pb2.OperationMetadata()
    assert operation.metadata.Unpack(found)
    return found


def response(operation: Any, message: Any) -> Any:
    assert operation.response.Unpack(message), operation
    return message


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def chunks(path: Path) -> Sequence[bytes]:
    content = path.read_bytes()
    return [content[start : start + CHUNK] for start in range(0, len(content), CHUNK)]


def until(what: Callable[[], bool], seconds: float = patient(30.0)) -> None:
    """Wait for something that nobody tells: what other hosts and processes do."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(patient(0.02))


def _error(sent: status_pb2.Status) -> JaildError:
    error = status.error_of(sent)
    assert error is not None, f"not an error of jaild's: {sent}"
    return error
