"""All fakes of use cases, and the services on them."""

from __future__ import annotations

from typing import Any

from jaild.adoption.rpc import ForeignJailsServicer
from jaild.backups.rpc import BackupsServicer, JailSnapshotsServicer
from jaild.copies.rpc import CopiesServicer
from jaild.engine.rpc import EventsServicer, OperationMessages, OperationsServicer
from jaild.evacuation.rpc import EvacuationsServicer
from jaild.host.rpc import HostServicer
from jaild.jailfiles.rpc import FilesServicer
from jaild.jailkeys.rpc import KeysServicer
from jaild.jails.rpc import (
    ChangesServicer,
    JailMessages,
    JailsServicer,
    StatsServicer,
    TemplatesServicer,
    VolumesServicer,
)
from jaild.layers.rpc import (
    AppsServicer,
    BaseMakingServicer,
    BasesServicer,
    BuildsServicer,
    ChannelsServicer,
    LayersServicer,
)
from jaild.migration.rpc import ClonesServicer, MigrationsServicer, PeerServicer, TestMigrationsServicer
from jaild.questions.rpc import ContentsServicer, HistoriesServicer
from jaild.replication.rpc import PromotionsServicer, StandbyServicer
from jaild.rollouts.rpc import RolloutsServicer
from jaild.rpc.services import Servicer, Services
from jaild.salvage.rpc import PeerSalvageServicer, SalvagesServicer
from jaild.sinks.rpc import EventSinksServicer
from tests.fakes.use_cases.backups import FakeBackups, FakeRestores, FakeSnapshots
from tests.fakes.use_cases.copies import FakeClones, FakeExports, FakeImports, FakeIncomingExports, FakeRenames
from tests.fakes.use_cases.host import FakeAudit, FakeBoot, FakeEvents, FakeHost, FakeOperations, FakeSinks
from tests.fakes.use_cases.jails import (
    FakeConfirmations,
    FakeJailFiles,
    FakeJailKeys,
    FakeJails,
    FakeStaging,
    FakeStats,
    FakeTemplates,
    FakeVolumes,
)
from tests.fakes.use_cases.layers import (
    FakeBaseMaking,
    FakeBases,
    FakeBuilds,
    FakeChannels,
    FakeFetch,
    FakePublishing,
    FakeReleases,
    FakeSharing,
)
from tests.fakes.use_cases.moves import FakeEvacuations, FakeIncoming, FakeMigrations, FakeRollouts
from tests.fakes.use_cases.questions import FakeComparisons, FakeFinding, FakeHistories, FakeSboms
from tests.fakes.use_cases.standby import (
    FakeAdoptions,
    FakeFiles,
    FakeParties,
    FakePromotions,
    FakeReplicas,
    FakeSalvages,
)


class Fakes:
    """All of them, and the services on them."""

    def __init__(self) -> None:
        self.bases = FakeBases()
        self.channels = FakeChannels()
        self.base_making = FakeBaseMaking()
        self.fetch = FakeFetch()
        self.sharing = FakeSharing()
        self.releases = FakeReleases()
        self.publishing = FakePublishing()
        self.builds = FakeBuilds()
        self.jails = FakeJails()
        self.confirmations = FakeConfirmations()
        self.staging = FakeStaging()
        self.migrations = FakeMigrations()
        self.operations = FakeOperations()
        self.events = FakeEvents()
        self.audit = FakeAudit()
        self.host = FakeHost()
        self.stats = FakeStats()
        self.histories = FakeHistories()
        self.comparisons = FakeComparisons()
        self.finding = FakeFinding()
        self.sboms = FakeSboms()
        self.templates = FakeTemplates()
        self.volumes = FakeVolumes()
        self.snapshots = FakeSnapshots()
        self.restores = FakeRestores()
        self.jail_files = FakeJailFiles()
        self.backups = FakeBackups()
        self.jail_keys = FakeJailKeys()
        self.boot = FakeBoot()
        self.evacuations = FakeEvacuations()
        self.adoptions = FakeAdoptions()
        self.rollouts = FakeRollouts()
        self.clones = FakeClones()
        self.exports = FakeExports()
        self.imports = FakeImports()
        self.uploads = FakeIncomingExports()
        self.renames = FakeRenames()
        self.sinks = FakeSinks()
        self.incoming = FakeIncoming()
        self.parties = FakeParties()
        self.replicas = FakeReplicas()
        self.promotions = FakePromotions()
        self.salvages = FakeSalvages()
        self.files = FakeFiles()

    def services(self) -> Services:
        """Register them as the rooms register their use cases; `test_fakes.py` compares the shapes of the two."""
        services, fakes = Services(), _untyped(self)
        messages = OperationMessages(services)
        bases = BasesServicer(fakes.bases, fakes.fetch, fakes.publishing, messages)
        apps = AppsServicer(fakes.releases, fakes.publishing, messages)
        jails, migrations = (
            JailsServicer(fakes.jails, JailMessages(), messages),
            MigrationsServicer(fakes.migrations, messages),
        )
        evacuations = EvacuationsServicer(fakes.evacuations, self.host.view, messages)
        every: list[Servicer] = [
            *(bases, apps, jails, migrations, evacuations),
            OperationsServicer(fakes.operations, messages),
            EventsServicer(fakes.events, fakes.operations, messages),
            ChannelsServicer(fakes.channels),
            BaseMakingServicer(fakes.base_making, messages),
            BuildsServicer(fakes.builds, messages),
            LayersServicer(fakes.sharing, services.parties),
            RolloutsServicer(fakes.rollouts, messages),
            CopiesServicer(fakes, messages),
            EventSinksServicer(fakes.sinks),
            ChangesServicer(fakes.confirmations, fakes.staging, messages),
            StatsServicer(fakes.stats),
            HistoriesServicer(fakes.histories),
            ContentsServicer(fakes.comparisons, fakes.finding, fakes.sboms),
            TemplatesServicer(fakes.templates),
            VolumesServicer(fakes.volumes, messages),
            BackupsServicer(fakes.backups, messages),
            JailSnapshotsServicer(fakes.snapshots, fakes.restores, messages),
            FilesServicer(fakes.jail_files),
            KeysServicer(fakes.jail_keys),
            TestMigrationsServicer(fakes.migrations, messages),
            PeerServicer(fakes.incoming, services.parties),
            ClonesServicer(fakes.incoming, services.parties),
            ForeignJailsServicer(fakes.adoptions, fakes.jails.render_template, messages),
            PromotionsServicer(fakes.promotions, messages),
            StandbyServicer(fakes.replicas, fakes.replicas, fakes.promotions, services.parties),
            SalvagesServicer(fakes.salvages, fakes.files, messages),
            PeerSalvageServicer(fakes.files, services.parties),
            HostServicer(fakes.host, fakes.audit, fakes.boot, messages),
        ]
        for each in every:
            services.add(each)
        services.show("bases", bases.shown)
        services.show("apps", apps.shown)
        services.show("jails", jails.shown)
        services.show("migrations", migrations.shown)
        services.show("evacuations", evacuations.shown)
        services.parties.decided_by(self.parties)
        return services


def _untyped(fakes: Fakes) -> Any:
    return fakes


SERVICES = Fakes().services().names
