"""The parts of a daemon's rooms that tests look at, by short names: the one place that a new wiring changes."""

from __future__ import annotations

from jaild.daemon import Core


class UseCases:
    """What callers may ask, without the API before it."""

    def __init__(self, core: Core) -> None:
        self.bases = core.layers.bases
        self.base_making = core.layers.base_making
        self.fetch = core.layers.fetch
        self.channels = core.layers.channels
        self.releases = core.layers.releases
        self.builds = core.layers.builds
        self.jails = core.jails.jails
        self.confirmations = core.jails.confirmations
        self.staging = core.jails.staging
        self.stats = core.jails.stats
        self.volumes = core.jails.volumes
        self.jail_files = core.jail_files
        self.jail_keys = core.jail_keys
        self.migrations = core.migration.migrations
        self.incoming = core.migration.target
        self.promotions = core.replication.promotions
        self.parties = core.replication.parties
        self.salvages = core.salvage.salvages
        self.files = core.salvage.files
        self.adoptions = core.adoptions
        self.evacuations = core.evacuations
        self.rollouts = core.rollouts
        self.snapshots = core.backups.snapshots
        self.restores = core.backups.restores
        self.backups = core.backups.backups
        self.copies = core.copies
        self.histories = core.questions.histories
        self.sinks = core.sinks
        self.host = core.host.host
        self.boot = core.host.boot
        self.operations = core.engine.operations
        self.events = core.engine.events
        self.audit = core.engine.audit


class HostCore:
    """A daemon's rooms."""

    def __init__(self, core: Core) -> None:
        self.rooms = core
        self.use_cases = UseCases(core)
        self.inventory = core.engine.inventory
        self.supervisor = core.engine.supervisor
        self.dispatcher = core.engine.dispatcher
        self.deleted = core.engine.deleted
        self.journals = core.transfer.journals
        self.fencing = core.replication.fencing
        self.start_guard = core.replication.start_guard
        self.replica_store = core.replication.replica_store
        self.standbys = core.replication.standbys
        self.host = core.host.host
        self.schedule = core.backups.schedule
        self.recovery = core.engine.recovery
        self.start = core.start
        self.resume = core.resume
        self.stop = core.stop
