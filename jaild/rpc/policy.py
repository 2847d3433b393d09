"""Every method there is: which roles may call it, and for one that changes something, what resource it is about.

A method that is not in this table cannot be called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaild.model import bounds
from jaild.model.access import Role


@dataclass(frozen=True)
class Rule:
    """Who may call a method. Methods with a `target` are audited; it is taken from the (first) request.

    `endless` marks streams that go on until the caller or the daemon ends them. `limit`: bytes that a message may have
    which is no part of a stream. `ended` returns how what was asked for came to its end, of a response of a stream that
    tells it, for the audit log; '' of the others.
    """

    roles: frozenset[Role]
    target: Callable[[Any], str] | None = None
    endless: bool = False
    limit: int = bounds.REQUEST
    ended: Callable[[Any], str] = lambda _: ""


_READERS = frozenset({Role.VIEWER, Role.PRODUCT, Role.SOURCE, Role.OPERATOR})
_ACTORS = frozenset({Role.PRODUCT, Role.SOURCE, Role.OPERATOR})
_PRODUCT = frozenset({Role.PRODUCT, Role.OPERATOR})
_SOURCE = frozenset({Role.SOURCE, Role.OPERATOR})
_OPERATOR = frozenset({Role.OPERATOR})
_PEER = frozenset({Role.PEER})
_ALL = frozenset(Role) - {Role.METRICS}
METRICS = _READERS | {Role.METRICS}  # who may read them, at an endpoint that is no gRPC


def _name(request: Any) -> str:
    return str(request.name)


def _migration(request: Any) -> str:
    return f"migrations/{request.migration}"


def _host(_request: Any) -> str:
    return "host"


def _exit(response: Any) -> str:
    if not response.HasField("exit_status"):
        return ""
    return f"EXIT {response.exit_status}" if response.exit_status else "OK"


def _reads(service: str, *methods: str) -> dict[str, Rule]:
    return {f"/{service}/{method}": Rule(_READERS) for method in methods}


def _peers(target: Callable[[Any], str] | None = None) -> Rule:
    """Return the rule of what other hosts' daemons alone may call: a salvage's report names each file that is lost."""
    return Rule(_PEER, target, limit=bounds.STREAM_MESSAGE)


RULES: dict[str, Rule] = {
    **_reads("jaild.v1.Bases", "GetBase", "ListBases"),
    "/jaild.v1.Bases/ImportBase": Rule(_SOURCE, lambda r: f"bases/{r.header.base_id}"),
    "/jaild.v1.Bases/PublishBase": Rule(_SOURCE, _name),
    "/jaild.v1.Bases/DeleteBase": Rule(_SOURCE, _name),
    "/jaild.v1.Bases/PruneBases": Rule(_SOURCE, lambda _: "bases"),
    **_reads("jaild.v1.Channels", "GetChannel", "ListChannels"),
    "/jaild.v1.Channels/SetChannel": Rule(_SOURCE, _name),
    "/jaild.v1.Channels/DeleteChannel": Rule(_SOURCE, _name),
    "/jaild.v1.BaseMaking/InstallBase": Rule(_SOURCE, lambda r: f"bases/{r.base_id}"),
    "/jaild.v1.BaseMaking/PatchBase": Rule(_SOURCE, lambda r: f"bases/{r.base_id}"),
    **_reads("jaild.v1.Apps", "GetRelease", "ListReleases", "ListApps"),
    "/jaild.v1.Apps/PushRelease": Rule(_PRODUCT, lambda r: f"{r.header.parent}/releases/{r.header.release_id}"),
    "/jaild.v1.Apps/PublishRelease": Rule(_PRODUCT, _name),
    "/jaild.v1.Apps/DeleteRelease": Rule(_PRODUCT, _name),
    "/jaild.v1.Apps/PruneReleases": Rule(_PRODUCT, lambda r: str(r.parent)),
    "/jaild.v1.Builds/BuildRelease": Rule(_PRODUCT, lambda r: f"{r.header.parent}/releases/{r.header.release_id}"),
    "/jaild.v1.Builds/TailBuild": Rule(_READERS, endless=True),
    **_reads("jaild.v1.Jails", "GetJail", "ListJails", "GetGeneration", "ListGenerations"),
    "/jaild.v1.Jails/TailLogs": Rule(_READERS, endless=True),
    "/jaild.v1.Jails/CreateJail": Rule(_PRODUCT, lambda r: f"jails/{r.jail_id}"),
    "/jaild.v1.Jails/DeleteJail": Rule(_OPERATOR, _name),
    "/jaild.v1.Jails/StartJail": Rule(_PRODUCT, _name),
    "/jaild.v1.Jails/StopJail": Rule(_PRODUCT, _name),
    "/jaild.v1.Jails/RestartJail": Rule(_PRODUCT, _name),
    "/jaild.v1.Jails/DeployRelease": Rule(_PRODUCT, _name),
    "/jaild.v1.Jails/UpgradeBase": Rule(_SOURCE, _name),
    "/jaild.v1.Jails/ConfigureJail": Rule(_PRODUCT, _name),
    "/jaild.v1.Jails/RollbackJail": Rule(_ACTORS, _name),  # each on its own axis
    "/jaild.v1.Jails/ExecInJail": Rule(_PRODUCT, lambda r: str(r.start.name), endless=True, ended=_exit),
    "/jaild.v1.Copies/CloneJail": Rule(_PRODUCT, lambda r: f"jails/{r.jail_id}"),
    "/jaild.v1.Copies/RenameJail": Rule(_OPERATOR, _name),
    "/jaild.v1.Copies/ExportJail": Rule(_OPERATOR, _name, endless=True),
    "/jaild.v1.Copies/ImportJail": Rule(_OPERATOR, lambda r: f"jails/{r.header.jail_id}"),
    "/jaild.v1.Copies/GetUpload": Rule(_OPERATOR),
    "/jaild.v1.Files/ReadFiles": Rule(_PRODUCT, _name),
    "/jaild.v1.Files/WriteFiles": Rule(_PRODUCT, lambda r: str(r.start.name)),
    "/jaild.v1.Changes/ConfirmChange": Rule(_ACTORS, _name),  # whose axis the change moved
    "/jaild.v1.Changes/RevertChange": Rule(_ACTORS, _name),
    "/jaild.v1.Changes/CutOver": Rule(_ACTORS, _name),
    "/jaild.v1.Changes/Unstage": Rule(_ACTORS, _name),
    **_reads("jaild.v1.Migrations", "GetMigration", "ListMigrations", "GetMigrationStats"),
    "/jaild.v1.Migrations/MigrateJail": Rule(_OPERATOR, _name),
    "/jaild.v1.Migrations/SetMigrationBandwidth": Rule(_OPERATOR, _name),
    "/jaild.v1.TestMigrations/TestMigration": Rule(_OPERATOR, _name),
    "/jaild.v1.Migrations/FinalizeMigration": Rule(_OPERATOR, _name),
    **_reads("jaild.v1.Stats", "ListJailStats"),
    **_reads("jaild.v1.Histories", "ListJailHistory"),
    **_reads("jaild.v1.Contents", "CompareGenerations", "FindContents", "GetSbom"),
    **_reads("jaild.v1.Volumes", "ListVolumes"),
    "/jaild.v1.Volumes/DeleteVolume": Rule(_OPERATOR, _name),
    **_reads("jaild.v1.Backups", "ListBackupTargets", "ListBackups"),
    "/jaild.v1.Backups/BackUpJail": Rule(_PRODUCT, _name),  # of jails of its own apps
    "/jaild.v1.Backups/RestoreBackup": Rule(_OPERATOR, lambda r: f"jails/{r.jail_id}" if r.jail_id else str(r.jail)),
    **_reads("jaild.v1.JailSnapshots", "ListJailSnapshots"),
    # Of jails of its own apps.
    **_reads("jaild.v1.Keys", "GetJailKeys"),
    "/jaild.v1.Keys/LoadJailKey": Rule(_OPERATOR, _name),
    "/jaild.v1.Keys/UnloadJailKey": Rule(_OPERATOR, _name),
    "/jaild.v1.JailSnapshots/TakeJailSnapshot": Rule(_PRODUCT, lambda r: str(r.parent)),
    "/jaild.v1.JailSnapshots/DeleteJailSnapshot": Rule(_PRODUCT, _name),
    "/jaild.v1.JailSnapshots/RestoreJail": Rule(_PRODUCT, _name),
    **_reads("jaild.v1.Templates", "ListTemplates", "GetTemplate"),
    **_reads("jaild.v1.Host", "GetHost", "ListAuditEntries"),
    "/jaild.v1.Host/ReloadConfiguration": Rule(_OPERATOR, _host),
    "/jaild.v1.Host/StartJails": Rule(_OPERATOR, _host),
    "/jaild.v1.Host/StopJails": Rule(_OPERATOR, _host),
    **_reads("jaild.v1.Evacuations", "GetEvacuation", "ListEvacuations"),
    "/jaild.v1.Evacuations/EvacuateHost": Rule(_OPERATOR, _host),
    "/jaild.v1.Evacuations/DrainHost": Rule(_OPERATOR, _host),
    "/jaild.v1.Evacuations/UndrainHost": Rule(_OPERATOR, _host),
    **_reads("jaild.v1.Rollouts", "GetRollout", "ListRollouts"),
    # Each on its own axis.
    "/jaild.v1.Rollouts/PlanRollout": Rule(_ACTORS),
    "/jaild.v1.Rollouts/StartRollout": Rule(_ACTORS, _host),
    "/jaild.v1.Rollouts/PauseRollout": Rule(_ACTORS, _name),
    "/jaild.v1.Rollouts/ResumeRollout": Rule(_ACTORS, _name),
    "/jaild.v1.Rollouts/CancelRollout": Rule(_ACTORS, _name),
    "/jaild.v1.Rollouts/UndoRollout": Rule(_ACTORS, _name),
    **_reads("jaild.v1.EventSinks", "GetEventSink", "ListEventSinks", "ListDeadLetters"),
    "/jaild.v1.EventSinks/ReplayDeadLetters": Rule(_OPERATOR, _name),
    "/jaild.v1.EventSinks/DiscardDeadLetters": Rule(_OPERATOR, _name),
    "/jaild.v1.Events/WatchEvents": Rule(_READERS, endless=True),
    "/jaild.v1.Events/WatchOperation": Rule(_READERS, endless=True),
    **_reads("google.longrunning.Operations", "GetOperation", "ListOperations"),
    "/google.longrunning.Operations/WaitOperation": Rule(_READERS, endless=True),
    "/google.longrunning.Operations/CancelOperation": Rule(_ACTORS, _name),  # its own, or the operator
    "/google.longrunning.Operations/DeleteOperation": Rule(_ACTORS, _name),
    "/jaild.peer.v1.Peer/Hello": Rule(
        frozenset({Role.PEER, Role.OPERATOR})
    ),  # an operator may ask whether a host answers
    "/jaild.peer.v1.Peer/Preflight": _peers(),
    "/jaild.peer.v1.Peer/Begin": _peers(lambda r: f"migrations/{r.offer.migration}"),
    # Not audited by stream: they belong to the Begin, and the last ones are part of the downtime.
    "/jaild.peer.v1.Peer/Receive": _peers(),
    "/jaild.peer.v1.Peer/Prepare": _peers(_migration),
    "/jaild.peer.v1.Peer/Activate": _peers(_migration),
    "/jaild.peer.v1.Peer/Abort": _peers(_migration),
    "/jaild.peer.v1.Peer/Resolve": _peers(),
    "/jaild.peer.v1.Layers/GetLayer": _peers(),
    "/jaild.peer.v1.Layers/SendLayer": Rule(_PEER, lambda r: str(r.path), endless=True),
    **_reads("jaild.v1.Salvages", "GetSalvageReport"),
    "/jaild.v1.Salvages/SalvageJail": Rule(_OPERATOR, _name),
    "/jaild.peer.v1.Salvage/ReceiveFiles": _peers(),
    "/jaild.peer.v1.Salvage/FinishFiles": _peers(_migration),
    "/jaild.v1.ForeignJails/AdoptForeignJail": Rule(_OPERATOR, lambda r: f"jails/{r.jail_id}"),
    "/jaild.v1.Promotions/PromoteJail": Rule(_OPERATOR, _name),
    "/jaild.v1.Promotions/AdoptJail": Rule(_OPERATOR, _name),
    "/jaild.v1.Promotions/ForceStartJail": Rule(_OPERATOR, _name),
    # Rounds are not audited: there is one every few seconds.
    "/jaild.peer.v1.Standby/OfferReplica": _peers(),
    "/jaild.peer.v1.Standby/ReceiveReplica": _peers(),
    "/jaild.peer.v1.Standby/CompleteRound": _peers(),
    "/jaild.peer.v1.Standby/GetOwnership": _peers(),
    "/jaild.peer.v1.Standby/RollBackReplica": _peers(lambda r: f"jails/{r.jail}"),
    "/jaild.peer.v1.Standby/WithdrawReplica": _peers(lambda r: f"jails/{r.jail}"),
    "/jaild.peer.v1.Standby/HandOver": _peers(lambda r: f"jails/{r.jail}"),
    "/jaild.peer.v1.Standby/GetHandOver": _peers(),
    "/jaild.peer.v1.Standby/Supersede": _peers(lambda r: f"jails/{r.jail}"),
    "/jaild.peer.v1.Rehearsals/Rehearse": _peers(_migration),
    "/grpc.health.v1.Health/Check": Rule(_ALL),
    "/grpc.health.v1.Health/List": Rule(_ALL),
    "/grpc.health.v1.Health/Watch": Rule(_ALL, endless=True),
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Rule(_ALL, endless=True),
}

# What clients of the first version call methods that have another name now; answered for one version.
FORMERLY = {
    "/jaild.v1.Promotions/ConfirmJail": "/jaild.v1.Promotions/ForceStartJail",
    "/jaild.v1.Rehearsals/RehearseJail": "/jaild.v1.TestMigrations/TestMigration",
}
