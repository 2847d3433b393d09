"""Everything that changes something can be planned first, and a plan changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.json_format import ParseDict

from jaild.model.jails.spec import ExecCheck, JailSpec, Readiness
from jaild.model.operation import Operation
from jaild.model.rollouts.decision import RolloutState
from jaild.model.rollouts.policy import RolloutPolicy
from jaild.model.rollouts.record import RolloutSpec
from jaild.rpc.policy import RULES
from jaild.v1 import common_pb2
from tests.fakes.edge import CallContext, Server
from tests.fakes.host import FakeHost, caller
from tests.fakes.use_cases.stubs import error_in
from tests.hosts.asking import create, deploy, reason_of
from tests.hosts.fleet import until
from tests.hosts.picture import picture
from tests.hosts.standbys import hosts_with, stop

# What changes something and has no plan of its own, and why.
UNPLANNED = {
    "jaild.v1.Files/ReadFiles": "it changes nothing; who took which file is in the audit log",
    "jaild.v1.Jails/ExecInJail": "what a command does is not ours to tell",
    "jaild.v1.Rollouts/StartRollout": "PlanRollout is its plan, with each jail's own",
    "jaild.v1.Rollouts/UndoRollout": "PlanRollout with `undoes` is its plan",
    "google.longrunning.Operations/CancelOperation": "its request is Google's; it only asks, or is refused",
    "google.longrunning.Operations/DeleteOperation": "its request is Google's; it forgets what is over",
}
READS = {
    *("datasets", "dataset", "mounted", "settings", "snapshots", "bookmarks", "holds", "clones", "capabilities"),
    *("pool_features", "facts", "runs", "examine", "free_memory", "resume_token", "is_unchanged", "usage", "texts"),
}
CHECKED = JailSpec(
    base="deb-1", app="web/1", health=(ExecCheck(command=("check",)),), readiness=Readiness(deadline=1.0)
)
SPEC = {"yaml": "base: deb-1\napp: web/1\n"}
OTHER = {"yaml": "base: deb-1\napp: web/1\nhostname: other\n"}
WEB = {"name": "jails/web"}


def changing() -> Iterator[str]:
    """Yield what changes something, of what people and their programs ask."""
    for path, rule in RULES.items():
        method = path.lstrip("/")
        if rule.target is not None and not method.startswith("jaild.peer."):
            yield method


def first(request: Any) -> str:
    """Return the field that says what a stream is about; '' if the request is no message of a stream."""
    return next((name for name in ("header", "start") if name in request.DESCRIPTOR.fields_by_name), "")


def request_of(method: str) -> Any:
    service, _, name = method.partition("/")
    found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    return message_factory.GetMessageClass(found.input_type)()


def test_all_that_changes_something_takes_validate_only() -> None:
    without = set()
    for method in changing():
        request = request_of(method)
        fields = request.DESCRIPTOR.fields_by_name
        told = fields[first(request)].message_type.fields_by_name if first(request) else fields
        if "validate_only" not in told:
            without.add(method)
    assert without == UNPLANNED.keys()


@dataclass
class Looked:
    """A host whose API is asked as root asks it, and what was written there since."""

    host: FakeHost
    written: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server = Server(self.host, local=True)
        self.host.life.counting = True
        store: Any = self.host.store
        for name in dir(store):
            if name.startswith(("put_", "delete_", "append_", "forget_")):
                setattr(store, name, self._noting(getattr(store, name)))

    def _noting(self, method: Any) -> Any:
        @wraps(method)
        async def noted(*args: Any) -> Any:
            self.written.append(f"store.{method.__name__}")
            return await method(*args)

        return noted

    def changes(self) -> list[str]:
        """Return the calls that changed something, and forget them."""
        calls = [call for call in self.host.life.calls if call.split()[0].partition(".")[2] not in READS]
        found = [*calls, *self.written]
        self.host.life.calls.clear()
        self.written.clear()
        return found

    async def ask(self, method: str, **fields: Any) -> Any:
        """Call a method; return its answer, or the reason that it was refused with."""
        request = ParseDict(fields, request_of(method))
        given: Any = request.SerializeToString()
        if first(request):
            given = one(given)
        service, _, name = method.partition("/")
        told = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
        try:
            if told.server_streaming:
                answer = await anext(self.server.answers(f"/{method}", given, CallContext("root")))
            else:
                answer = await self.server.serve(f"/{method}", given, CallContext("root"))
        except grpc.aio.AioRpcError as error:
            return error_in(error).reason
        return message_factory.GetMessageClass(told.output_type).FromString(answer)

    async def plan(self, method: str, **fields: Any) -> Any:
        """Ask for a plan only."""
        if stream := first(request_of(method)):
            return await self.ask(method, **{stream: {**fields, "validate_only": True}})
        return await self.ask(method, **fields, validate_only=True)


async def one(message: bytes) -> AsyncIterator[bytes]:
    yield message


def plan_in(answer: Any) -> common_pb2.Plan | None:
    """Return the plan that an operation carries; None for another answer."""
    plan = common_pb2.Plan()
    if isinstance(answer, operations_pb2.Operation):
        assert answer.done, answer
        assert answer.response.Unpack(plan), answer
        return plan
    return None


async def world(folder: Path) -> tuple[Looked, Looked, dict[str, str]]:
    """Return two hosts that have something for every verb, and the names of what came into being."""
    alpha, beta = await hosts_with(folder, "beta")
    for layer in ("deb-2", "deb-3"):
        await alpha.add_base(layer)
    for layer in ("web/2", "web/3"):
        await alpha.add_release(layer)
    use = alpha.core.use_cases
    await create(alpha, name="idle", stopped=True)
    for name in ("staged", "waiting", "moved"):
        await create(alpha, name=name)
    await create(alpha, CHECKED, name="ill")
    assert reason_of(await deploy(alpha, "web/2", name="staged", stage=True)) == ""
    assert reason_of(await deploy(alpha, "web/2", name="waiting", confirm_within=3600.0)) == ""
    assert reason_of(await deploy(alpha, "web/2")) == ""
    how: dict[str, Any] = {"max_downtime": 10.0, "proceed_over_budget": True, "etag": "", "validate_only": False}
    moved = await alpha.end_of(await use.migrations.migrate("moved", "beta", **how, caller=caller()))
    await use.channels.set("stable", "deb-1", caller=caller())
    policy = RolloutPolicy(min_healthy_time=5.0, healthy_deadline=30.0)
    alpha.runtime.say("ill", 2, status=1)
    rollout = await use.rollouts.start(RolloutSpec(base="deb-2", jails=("ill",), policy=policy), caller=caller())
    await until(alpha, rollout, lambda: use.rollouts.get(rollout.id).state is RolloutState.PAUSED)
    await alpha.core.dispatcher.idle()
    names = {"migration": moved.facts["migration"], "rollout": rollout.id}
    return Looked(alpha), Looked(beta), names


def asked(migration: str, rollout: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield each method with a request, and the reason it is refused with on a host such as alpha; '' for none."""
    jails, changes = "jaild.v1.Jails", "jaild.v1.Changes"
    yield f"{jails}/CreateJail", {"jail_id": "new", "spec": SPEC}, ""
    yield f"{jails}/DeleteJail", {**WEB, "force": True}, ""
    yield f"{jails}/StartJail", {"name": "jails/idle"}, ""
    yield f"{jails}/StopJail", WEB, ""
    yield f"{jails}/StopJail", {**WEB, "force": True}, ""
    yield f"{jails}/RestartJail", WEB, ""
    yield f"{jails}/DeployRelease", {**WEB, "release": "apps/web/releases/3"}, ""
    yield f"{jails}/UpgradeBase", {**WEB, "base": "bases/deb-2"}, ""
    yield f"{jails}/ConfigureJail", {"name": "jails/idle", "spec": OTHER, "stage": True}, ""
    yield f"{jails}/RollbackJail", WEB, ""
    yield f"{changes}/ConfirmChange", {"name": "jails/waiting"}, ""
    yield f"{changes}/RevertChange", {"name": "jails/waiting"}, ""
    yield f"{changes}/CutOver", {"name": "jails/staged"}, ""
    yield f"{changes}/Unstage", {"name": "jails/staged"}, ""
    yield "jaild.v1.Migrations/MigrateJail", {**WEB, "target": "beta"}, ""
    yield "jaild.v1.Migrations/FinalizeMigration", {"name": f"migrations/{migration}"}, ""
    yield "jaild.v1.TestMigrations/TestMigration", {**WEB, "target": "beta"}, ""
    yield "jaild.v1.Salvages/SalvageJail", {**WEB, "target": "beta"}, ""
    yield "jaild.v1.Promotions/ForceStartJail", WEB, ""
    yield "jaild.v1.Promotions/PromoteJail", WEB, "JAIL_NOT_STANDBY"
    yield "jaild.v1.Promotions/AdoptJail", {"name": "jails/moved"}, "NOT_ADOPTABLE"
    yield "jaild.v1.Bases/ImportBase", {"base_id": "deb-9"}, ""
    yield "jaild.v1.Bases/ImportBase", {"base_id": "deb-9", "path": "/"}, ""
    yield "jaild.v1.Bases/DeleteBase", {"name": "bases/deb-3"}, ""
    yield "jaild.v1.Bases/PruneBases", {"min_age": "0s"}, ""
    yield (
        "jaild.v1.BaseMaking/InstallBase",
        {"base_id": "n", "repository": "r", "abi": "FreeBSD:15:amd64"},
        "FREEBSD_ONLY",
    )
    yield "jaild.v1.BaseMaking/PatchBase", {"base_id": "n", "parent": "bases/deb-1"}, "FREEBSD_ONLY"
    release = {"parent": "apps/web", "release_id": "9", "from": "apps/web/releases/1"}
    yield "jaild.v1.Apps/PushRelease", {**release, "manifest_yaml": "command: [x]\n"}, ""
    yield "jaild.v1.Apps/DeleteRelease", {"name": "apps/web/releases/3"}, ""
    yield "jaild.v1.Apps/PruneReleases", {"parent": "apps/-", "min_age": "0s"}, ""
    recipe = "base: deb-1\nmanifest: {command: [x]}\nsteps: [{run: [make]}]\n"
    yield "jaild.v1.Builds/BuildRelease", {"parent": "apps/web", "release_id": "9", "recipe_yaml": recipe}, ""
    yield "jaild.v1.Channels/SetChannel", {"name": "channels/stable", "base": "bases/deb-2"}, ""
    yield "jaild.v1.Channels/DeleteChannel", {"name": "channels/stable"}, ""
    yield "jaild.v1.Volumes/DeleteVolume", {"name": "jails/web/volumes/none"}, "VOLUME_NOT_FOUND"
    yield "jaild.v1.Host/ReloadConfiguration", {}, ""
    yield "jaild.v1.Host/StartJails", {}, ""
    yield "jaild.v1.Host/StopJails", {}, ""
    yield "jaild.v1.Evacuations/EvacuateHost", {"targets": ["beta"]}, ""
    yield "jaild.v1.Evacuations/DrainHost", {"reason": "disk 2"}, ""
    yield "jaild.v1.Evacuations/UndrainHost", {}, ""
    yield from asked_of_copies()
    yield "jaild.v1.Migrations/SetMigrationBandwidth", {"name": f"migrations/{migration}"}, "MIGRATION_NOT_UNDER_WAY"
    for verb in ("Replay", "Discard"):
        yield f"jaild.v1.EventSinks/{verb}DeadLetters", {"name": "eventSinks/none"}, "SINK_NOT_FOUND"
    for verb in ("Pause", "Resume", "Cancel"):
        yield f"jaild.v1.Rollouts/{verb}Rollout", {"name": f"rollouts/{rollout}"}, ""


def asked_of_copies() -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the same of what copies a jail, a layer or a part of them elsewhere, or brings one in."""
    copies, snapshots, backups = "jaild.v1.Copies", "jaild.v1.JailSnapshots", "jaild.v1.Backups"
    yield f"{copies}/CloneJail", {**WEB, "jail_id": "new"}, ""
    yield f"{copies}/RenameJail", {"name": "jails/idle", "jail_id": "new"}, ""
    yield f"{copies}/ExportJail", WEB, ""
    yield f"{copies}/ImportJail", {"jail_id": "new", "path": "/none"}, "NOT_AN_EXPORT"
    yield (
        "jaild.v1.ForeignJails/AdoptForeignJail",
        {"tool": "iocage", "foreign_name": "old", "jail_id": "new"},
        "FOREIGN_JAIL_NOT_FOUND",
    )
    yield f"{snapshots}/TakeJailSnapshot", {"parent": "jails/web", "snapshot_id": "mine"}, ""
    yield f"{snapshots}/DeleteJailSnapshot", {"name": "jails/web/snapshots/none"}, "SNAPSHOT_NOT_FOUND"
    yield f"{snapshots}/RestoreJail", {**WEB, "snapshot": "none"}, "SNAPSHOT_NOT_FOUND"
    yield f"{backups}/BackUpJail", {**WEB, "target": "none"}, "BACKUP_TARGET_NOT_FOUND"
    backup = {"target": "none", "jail": "jails/web", "jail_id": "new"}
    yield f"{backups}/RestoreBackup", backup, "BACKUP_TARGET_NOT_FOUND"
    for verb, name in (("Bases/PublishBase", "bases/deb-1"), ("Apps/PublishRelease", "apps/web/releases/1")):
        yield f"jaild.v1.{verb}", {"name": name, "image": "docker://registry.example.org/x:1"}, "REGISTRY_NOT_ALLOWED"
    for verb in ("Load", "Unload"):
        yield f"jaild.v1.Keys/{verb}JailKey", WEB, "NOT_ENCRYPTED"
    yield "jaild.v1.Files/WriteFiles", {**WEB, "path": "/var/x"}, ""


REFUSED = (
    ("jaild.v1.Jails/StartJail", {"name": "jails/moved"}, "JAIL_MOVED"),
    ("jaild.v1.Jails/StopJail", {"name": "jails/moved"}, "JAIL_MOVED"),
    ("jaild.v1.Jails/RestartJail", {"name": "jails/none"}, "JAIL_NOT_FOUND"),
    ("jaild.v1.Changes/ConfirmChange", WEB, "NOTHING_TO_CONFIRM"),
    ("jaild.v1.Changes/Unstage", WEB, "NOTHING_STAGED"),
    ("jaild.v1.Bases/ImportBase", {"base_id": "deb-1"}, "BASE_EXISTS"),
    ("jaild.v1.Apps/PushRelease", {"parent": "apps/web", "release_id": "1"}, "RELEASE_EXISTS"),
    ("jaild.v1.Channels/SetChannel", {"name": "channels/stable", "base": "bases/none"}, "BASE_NOT_FOUND"),
    ("jaild.v1.Channels/DeleteChannel", {"name": "channels/none"}, "CHANNEL_NOT_FOUND"),
    ("jaild.v1.Migrations/FinalizeMigration", {"name": "migrations/none"}, "MIGRATION_NOT_FOUND"),
    ("jaild.v1.Rollouts/PauseRollout", {"name": "rollouts/none"}, "ROLLOUT_NOT_FOUND"),
    ("jaild.v1.TestMigrations/TestMigration", {"name": "jails/moved", "target": "beta"}, "JAIL_MOVED"),
    ("jaild.v1.Promotions/ForceStartJail", {"name": "jails/moved"}, "JAIL_MOVED"),
)


async def test_a_plan_writes_nothing_anywhere_and_is_refused_as_what_it_is_of(quick_path: Path) -> None:
    alpha, beta, names = await world(quick_path)
    before = [await picture(alpha.host), await picture(beta.host)]
    operations = alpha.host.core.use_cases.operations.list()
    alpha.changes(), beta.changes()
    told = {}
    for method, fields, reason in asked(**names):
        answer = await alpha.plan(method, **fields)
        assert (method, answer if isinstance(answer, str) else "") == (method, reason)
        assert (method, alpha.changes(), beta.changes()) == (method, [], [])
        if (plan := plan_in(answer)) is not None:
            assert (method, bool(plan.steps) is not plan.unchanged) == (method, True)
            told[method.partition("/")[2]] = tuple(plan.steps)
    assert {method for method, _, _ in asked(**names)} == {*changing()} - UNPLANNED.keys()
    assert [await picture(alpha.host), await picture(beta.host)] == before
    assert alpha.host.core.use_cases.operations.list() == operations
    assert told["StartJail"][1:] == ("start generation 1", "health checks")
    assert told["RestartJail"] == ("stop generation 2", "start generation 2", "health checks")
    for method, fields, reason in REFUSED:
        assert (method, await alpha.plan(method, **fields)) == (method, reason)
        real = {stream: fields} if (stream := first(request_of(method))) else fields
        answer = await alpha.ask(method, **real)
        if not isinstance(answer, str):
            answer = reason_of(await alpha.host.core.use_cases.operations.wait(answer.name.removeprefix("operations/")))
        assert (method, answer) == (method, reason)
    await stop((alpha.host, beta.host))


async def test_a_plan_of_what_has_to_wait_is_refused_as_that_would_be(host: FakeHost) -> None:
    await create(host)
    jails, target = host.core.use_cases.jails, "jails/web"

    async def work(_: object) -> str:
        with pytest.raises(Exception, match="has to wait") as caught:
            await jails.restart("web", validate_only=True, caller=caller())
        return caught.value.reason  # type: ignore[attr-defined, no-any-return]

    moving: Operation = await host.core.dispatcher.submit(target, "migrate", caller(), work)
    assert (await host.end_of(moving)).result == "JAIL_MIGRATING"
