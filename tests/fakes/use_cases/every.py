"""All fakes of use cases, and as the server takes them."""

from __future__ import annotations

from jaild.rpc.use_cases import UseCases
from tests.fakes.use_cases.host import FakeAudit, FakeBoot, FakeEvents, FakeHost, FakeOperations
from tests.fakes.use_cases.jails import FakeJails, FakeStats
from tests.fakes.use_cases.layers import FakeBaseMaking, FakeBases, FakeBuilds, FakeReleases
from tests.fakes.use_cases.moves import FakeEvacuations, FakeIncoming, FakeMigrations
from tests.fakes.use_cases.standby import FakeFiles, FakeParties, FakePromotions, FakeReplicas, FakeSalvages


class Fakes:
    """All of them, and as the server takes them."""

    def __init__(self) -> None:
        self.bases = FakeBases()
        self.base_making = FakeBaseMaking()
        self.releases = FakeReleases()
        self.builds = FakeBuilds()
        self.jails = FakeJails()
        self.migrations = FakeMigrations()
        self.operations = FakeOperations()
        self.events = FakeEvents()
        self.audit = FakeAudit()
        self.host = FakeHost()
        self.stats = FakeStats()
        self.boot = FakeBoot()
        self.evacuations = FakeEvacuations()
        self.incoming = FakeIncoming()
        self.parties = FakeParties()
        self.replicas = FakeReplicas()
        self.promotions = FakePromotions()
        self.salvages = FakeSalvages()
        self.files = FakeFiles()

    def use_cases(self) -> UseCases:
        return UseCases(
            bases=self.bases,
            base_making=self.base_making,
            releases=self.releases,
            builds=self.builds,
            jails=self.jails,
            migrations=self.migrations,
            operations=self.operations,
            events=self.events,
            audit=self.audit,
            host=self.host,
            stats=self.stats,
            boot=self.boot,
            evacuations=self.evacuations,
            incoming=self.incoming,
            parties=self.parties,
            replicas=self.replicas,
            promotions=self.promotions,
            salvages=self.salvages,
            files=self.files,
        )
