"""`jaild.client` on an event loop."""

from __future__ import annotations

from jaild import client
from jaild.v1 import events_pb2, jails_pb2
from tests.unit.cli.daemon import Daemon


async def test_calls_are_awaited_and_streams_iterated(daemon: Daemon) -> None:
    daemon.jails = [jails_pb2.Jail(name="jails/web")]
    async with client.connect_aio(daemon.address.removeprefix("unix://")) as api:
        assert api.endpoint == daemon.address
        found = await api.jails.ListJails(jails_pb2.ListJailsRequest())
        assert [jail.name for jail in found.jails] == ["jails/web"]
        request = events_pb2.WatchEventsRequest(no_follow=True)
        assert [event.sequence async for event in api.events.WatchEvents(request)] == [1, 2]
