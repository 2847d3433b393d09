"""The jails of a real host are stopped for its shutdown, and only a boot or `start-jails` brings them back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf import duration_pb2

from jaild.model.errors import FailedPreconditionError
from jaild.v1 import host_pb2, jails_pb2
from tests.conftest import LINUX_HOST
from tests.e2e.client import Client, refused
from tests.e2e.node import Node

pytestmark = pytest.mark.real(*LINUX_HOST)
RUNNING, STOPPED = jails_pb2.Jail.STATE_RUNNING, jails_pb2.Jail.STATE_STOPPED


@pytest.fixture(autouse=True)
def clean_again(node: Node) -> Iterator[None]:
    yield
    node.api.done(node.api.call(node.api.host.StartJails, host_pb2.StartJailsRequest()))
    for name in node.api.names_of_jails():
        node.api.delete(name)


def stop_all(api: Client) -> None:
    request = host_pb2.StopJailsRequest(deadline=duration_pb2.Duration(seconds=30))
    api.done(api.call(api.host.StopJails, request))


def test_jails_stopped_for_the_shutdown_stay_so_over_a_restart_of_the_daemon(node: Node, jail: str) -> None:
    api = node.api
    api.sh(jail, "echo kept > /var/kept")
    stop_all(api)
    assert node.jail_processes(jail) == []
    assert api.jail(jail).state == STOPPED
    with refused(FailedPreconditionError, "HOST_SHUT_DOWN"):
        api.deploy(jail, "web/2")
    node.kill()
    api = node.start()
    assert api.jail(jail).state == STOPPED
    assert node.jail_processes(jail) == []
    api.done(api.call(api.host.StartJails, host_pb2.StartJailsRequest()))
    assert api.jail(jail).state == RUNNING
    assert api.sh(jail, "cat /var/kept") == "kept\n"
