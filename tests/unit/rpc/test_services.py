"""What the frame does with the services that rooms register."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import empty_pb2

from jaild.model.errors import PermissionDeniedError
from jaild.model.migration.party import Arriving
from jaild.rpc.services import Services
from tests.fakes.host import FakeHost
from tests.fakes.network import Network
from tests.fakes.use_cases.every import SERVICES
from tests.fakes.use_cases.standby import FakeParties


async def test_no_host_may_speak_about_anything_as_long_as_nobody_decides_which() -> None:
    services, parties = Services(), FakeParties()
    with pytest.raises(PermissionDeniedError, match="NOT_A_PARTY"):
        await services.require_party("beta", Arriving("m"))
    services.decided_by(parties)
    await services.require_party("beta", Arriving("m"))
    assert parties.calls == [("require_party", ("beta", Arriving("m")), {})]


def test_what_came_of_an_operation_is_shown_by_the_room_of_its_collection() -> None:
    services = Services()
    services.show("jails", lambda name: empty_pb2.Empty.FromString(b"") if name == "jails/web" else pytest.fail(name))
    assert services.resource("jails/web") == empty_pb2.Empty()
    assert services.resource("host") == empty_pb2.Empty()


async def test_a_daemon_serves_what_the_tests_of_its_services_look_at(tmp_path: Path) -> None:
    alpha = FakeHost(tmp_path, "alpha", Network())
    await alpha.start()
    assert sorted(alpha.core.rooms.engine.services.names) == sorted(SERVICES)
    await alpha.stop()
