"""What the frame does with the services that rooms register."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import empty_pb2

from jaild.rpc.services import Services
from tests.fakes.host import FakeHost
from tests.fakes.network import Network
from tests.fakes.use_cases.every import SERVICES


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
