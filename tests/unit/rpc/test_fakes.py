"""The fakes of use cases have the shape of what they stand for: a servicer that suits the one suits the other."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from jaild.adoption.service import Adoptions
from jaild.backups.restores import Restores
from jaild.backups.service import Backups
from jaild.backups.snapshots import JailSnapshots
from jaild.copies.clones import Clones
from jaild.copies.exports import Exports
from jaild.copies.imports import Imports
from jaild.copies.incoming import Incoming
from jaild.copies.renames import Renames
from jaild.engine.events import Audit, Events
from jaild.engine.operations import Operations
from jaild.evacuation.service import Evacuations
from jaild.host.autostart import Boot
from jaild.host.service import Host
from jaild.jailfiles.service import JailFiles
from jaild.jailkeys.service import JailKeys
from jaild.jails.confirmation import Confirmations
from jaild.jails.service import Jails
from jaild.jails.staging import Staging
from jaild.jails.templates import Templates
from jaild.jails.usage import Stats
from jaild.jails.volumes import Volumes
from jaild.layers.base_builds import BaseMaking
from jaild.layers.bases import Bases
from jaild.layers.builds import Builds
from jaild.layers.channels import Channels
from jaild.layers.fetching import BaseFetch
from jaild.layers.publishing import Publishing
from jaild.layers.releases import Releases
from jaild.layers.sharing import LayerSharing
from jaild.migration.service import Migrations
from jaild.migration.target import TargetMigration
from jaild.questions.comparisons import Comparisons
from jaild.questions.finding import Finding
from jaild.questions.history import Histories
from jaild.questions.sboms import Sboms
from jaild.replication.fencing import Fencing
from jaild.replication.parties import Parties
from jaild.replication.replicas import ReplicaStore
from jaild.replication.service import Promotions
from jaild.rollouts.service import Rollouts
from jaild.salvage.source import SalvageOut
from jaild.salvage.target import SalvageIn
from jaild.sinks.service import EventSinks
from tests.fakes.use_cases.every import Fakes
from tests.fakes.use_cases.remembering import Fake

REAL: dict[str, tuple[type, ...]] = {
    "bases": (Bases,),
    "channels": (Channels,),
    "base_making": (BaseMaking,),
    "fetch": (BaseFetch,),
    "sharing": (LayerSharing,),
    "releases": (Releases,),
    "publishing": (Publishing,),
    "builds": (Builds,),
    "jails": (Jails,),
    "confirmations": (Confirmations,),
    "staging": (Staging,),
    "migrations": (Migrations,),
    "operations": (Operations,),
    "events": (Events,),
    "audit": (Audit,),
    "host": (Host,),
    "stats": (Stats,),
    "snapshots": (JailSnapshots,),
    "restores": (Restores,),
    "backups": (Backups,),
    "histories": (Histories,),
    "comparisons": (Comparisons,),
    "finding": (Finding,),
    "sboms": (Sboms,),
    "templates": (Templates,),
    "volumes": (Volumes,),
    "jail_files": (JailFiles,),
    "jail_keys": (JailKeys,),
    "boot": (Boot,),
    "evacuations": (Evacuations,),
    "adoptions": (Adoptions,),
    "rollouts": (Rollouts,),
    "clones": (Clones,),
    "exports": (Exports,),
    "imports": (Imports,),
    "uploads": (Incoming,),
    "renames": (Renames,),
    "sinks": (EventSinks,),
    "incoming": (TargetMigration,),
    "parties": (Parties,),
    "replicas": (ReplicaStore, Fencing),
    "promotions": (Promotions,),
    "salvages": (SalvageOut,),
    "files": (SalvageIn,),
}


def shape(function: Any) -> tuple[bool, int, frozenset[str]]:
    """Return how a method may be called: awaited or not, with how many by their place, with which by their name."""
    known = inspect.signature(function).parameters.values()
    by_name = frozenset(p.name for p in known if p.kind is p.KEYWORD_ONLY)
    return inspect.iscoroutinefunction(function), len(known) - len(by_name), by_name


def required(function: Any) -> int:
    """Return how many arguments it does not go without."""
    return sum(p.default is p.empty for p in inspect.signature(function).parameters.values())


def test_every_fake_stands_for_something() -> None:
    assert REAL.keys() == vars(Fakes()).keys()


@pytest.mark.parametrize("name", REAL)
def test_a_fake_is_called_as_what_it_stands_for(name: str) -> None:
    fake = type(getattr(Fakes(), name))
    methods = [m for m in vars(fake) if not m.startswith("_") and callable(getattr(fake, m)) and m not in vars(Fake)]
    assert methods
    for method in methods:
        (real,) = [getattr(each, method) for each in REAL[name] if hasattr(each, method)]
        assert shape(getattr(fake, method)) == shape(real), method
        assert required(getattr(fake, method)) >= required(real), method
