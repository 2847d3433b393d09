"""All fakes of use cases, and the services on them."""

from __future__ import annotations

from typing import Any

from jaild.engine import rpc as engine
from jaild.evacuation import rpc as evacuation
from jaild.host import rpc as host
from jaild.jails import rpc as jails
from jaild.layers import rpc as layers
from jaild.migration import rpc as migration
from jaild.replication import rpc as replication
from jaild.rpc.services import Services
from jaild.salvage import rpc as salvage
from tests.fakes.use_cases.host import FakeAudit, FakeBoot, FakeEvents, FakeHost, FakeOperations
from tests.fakes.use_cases.jails import FakeJails, FakeStats
from tests.fakes.use_cases.layers import FakeBaseMaking, FakeBases, FakeBuilds, FakeReleases
from tests.fakes.use_cases.moves import FakeEvacuations, FakeIncoming, FakeMigrations
from tests.fakes.use_cases.standby import FakeFiles, FakeParties, FakePromotions, FakeReplicas, FakeSalvages


class Fakes:
    """All of them, and the services on them."""

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

    def services(self) -> Services:
        """Register them as the rooms register their use cases; `test_fakes.py` compares the shapes of the two."""
        services, all_of_them = Services(), _untyped(self)
        engine.register(services, all_of_them.operations, all_of_them.events)
        layers.register(services, all_of_them.bases, all_of_them.base_making, all_of_them.releases, all_of_them.builds)
        jails.register(services, all_of_them.jails, all_of_them.stats)
        migration.register(services, all_of_them.migrations, all_of_them.incoming)
        replication.register(services, all_of_them.replicas, all_of_them.replicas, all_of_them.promotions)
        salvage.register(services, all_of_them.salvages, all_of_them.files)
        host.register(services, all_of_them.host, all_of_them.audit, all_of_them.boot)
        evacuation.register(services, all_of_them.evacuations, self.host.view)
        services.decided_by(self.parties)
        return services


def _untyped(fakes: Fakes) -> Any:
    return fakes


SERVICES = Fakes().services().names
