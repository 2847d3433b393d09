"""A daemon watched: what is asked of it, and what of it is known when it goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import click
import pytest
from google.longrunning import operations_pb2

from jaild import client
from jaild.v1 import events_pb2, jails_pb2, stats_pb2
from jaild.web import site as site_module
from jaild.web.site import News, Site, key_of
from jaild.web.views import jails
from tests.unit.cli.daemon import operation, status
from tests.unit.web.daemon import Daemon

JAIL = jails_pb2.Jail


@asynccontextmanager
async def watched(daemon: Daemon) -> AsyncIterator[Site]:
    site = Site("alpha", "alpha", partial(client.connect_aio, daemon.address), News())
    watching = asyncio.create_task(site.watch())
    try:
        await until(site, lambda: site.asked)
        yield site
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def until(site: Site, condition: Callable[[], object]) -> None:
    while not condition():
        await site.news.wait(10.0)


async def test_an_event_has_its_jail_asked_for_and_no_other(daemon: Daemon) -> None:
    async with watched(daemon) as site:
        daemon.answers["GetJail"] = JAIL(name="jails/web", state=JAIL.STATE_STOPPED)
        daemon.tell("jail.stopped", "jails/web")
        await until(site, lambda: site.jails["jails/web"].state == "stopped")
        assert [event.kind for event in site.events] == ["jail.stopped"]
        assert {asked.name for asked in daemon.requests(jails_pb2.GetJailRequest)} == {"jails/web"}
        assert len(daemon.requests(jails_pb2.ListJailsRequest)) == 1
        assert len(daemon.requests(events_pb2.WatchEventsRequest)) == 1


async def test_an_operation_that_begins_is_seen_though_it_is_no_event(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_module, "BUSY", 0.01)
    async with watched(daemon) as site:
        daemon.answers["ListOperations"] = operations_pb2.ListOperationsResponse(operations=[operation(phase="seed")])
        await until(site, lambda: site.works)
        daemon.answers["ListOperations"] = operations_pb2.ListOperationsResponse(
            operations=[operation(jails_pb2.Jail())]
        )
        await until(site, lambda: not site.works)
        assert len(daemon.requests(jails_pb2.ListJailsRequest)) == 1


async def test_an_operation_goes_on_being_told_though_many_were_begun_since(daemon: Daemon) -> None:
    daemon.answers["GetOperation"] = operation(phase="seed", name="operations/old")
    daemon.answers["ListJails"] = jails_pb2.ListJailsResponse(
        jails=[JAIL(name="jails/web", operation="operations/old")]
    )
    daemon.answers["GetJail"] = JAIL(name="jails/web", operation="operations/old")
    async with watched(daemon) as site:
        daemon.tell("jail.slow", "jails/web")
        await until(site, lambda: site.works)
        assert site.works[0].name == "operations/old"
        daemon.answers["GetOperation"] = status("NOT_FOUND", "OPERATION_NOT_FOUND", "forgotten")
        await until(site, lambda: not site.works)
        assert site.trouble is None


async def test_a_jail_is_asked_for_once_more_since_an_event_may_come_before_what_it_tells_of(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_module, "BUSY", 0.01)
    states = [JAIL.STATE_STARTING, JAIL.STATE_STOPPED]
    daemon.answers["GetJail"] = lambda _: JAIL(name="jails/web", state=states.pop(0))
    async with watched(daemon) as site:
        daemon.tell("jail.stopped", "jails/web")
        await until(site, lambda: site.jails["jails/web"].state == "stopped")
        assert states == []


async def test_a_jail_that_is_gone_goes(daemon: Daemon) -> None:
    async with watched(daemon) as site:
        daemon.answers["GetJail"] = status("NOT_FOUND", "JAIL_NOT_FOUND", "gone")
        daemon.tell("jail.deleted", "jails/web")
        await until(site, lambda: not site.jails)
        assert site.trouble is None


async def test_many_jails_that_change_at_once_are_listed(daemon: Daemon) -> None:
    async with watched(daemon) as site:
        listed = daemon.answers["ListJails"] = jails_pb2.ListJailsResponse()
        for number in range(30):
            listed.jails.add(name=f"jails/web-{number:02}", state=JAIL.STATE_RUNNING)
        for jail in listed.jails:
            daemon.tell("jail.started", jail.name)
        await until(site, lambda: len(site.jails) == 30)
        assert [row.name for row in site.rows] == [f"web-{number:02}" for number in range(30)]


async def test_pages_of_jails_are_read_to_the_last(daemon: Daemon) -> None:
    first = jails_pb2.ListJailsResponse(jails=[JAIL(name="jails/a")], next_page_token="more")
    last = jails_pb2.ListJailsResponse(jails=[JAIL(name="jails/b")])
    daemon.answers["ListJails"] = lambda request: last if request.page_token == "more" else first
    async with watched(daemon) as site:
        assert list(site.jails) == ["jails/a", "jails/b"]


async def test_a_daemon_that_goes_away_is_told_and_what_it_said_last_stays(daemon: Daemon, folder: Path) -> None:
    daemon.tell("jail.started", "jails/web")
    async with watched(daemon) as site:
        await until(site, lambda: site.events)
        daemon.stop()
        await until(site, lambda: site.trouble)
        assert site.row.state == "unreachable"
        assert [row.name for row in site.rows] == ["web"]
        again = Daemon(f"{folder}/alpha.sock")
        again.answers = daemon.answers
        again.told = [*daemon.told, events_pb2.Event(sequence=2, kind="host.ready", target="host")]
        again.start()
        try:
            await until(site, lambda: not site.trouble and len(site.events) == 2)
        finally:
            again.stop()
        (asked,) = again.requests(events_pb2.WatchEventsRequest)
        assert asked.after_sequence == 1  # none is lost, and none comes twice


async def test_what_the_role_may_not_is_told_with_its_reason_and_hint(daemon: Daemon) -> None:
    daemon.answers["GetHost"] = status("PERMISSION_DENIED", "ROLE_REQUIRED", "it needs a role", hint="ask for one")
    site = Site("alpha", "alpha", partial(client.connect_aio, daemon.address), News())
    watching = asyncio.create_task(site.watch())
    await until(site, lambda: site.trouble)
    watching.cancel()
    assert site.trouble is not None
    assert (site.trouble.reason, site.trouble.hint) == ("ROLE_REQUIRED", "ask for one")


async def test_a_context_whose_certificates_cannot_be_read_is_told_beside_the_others() -> None:
    def connect() -> client.AioApi:
        raise click.UsageError("cannot read the certificate file x")

    site = Site("alpha", "alpha", connect, News())
    watching = asyncio.create_task(site.watch())
    await until(site, lambda: site.trouble)
    watching.cancel()
    assert site.trouble is not None
    assert site.trouble.message == "cannot read the certificate file x"


async def test_a_defect_of_the_page_is_one_hosts_trouble(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_jail: jails_pb2.Jail) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(jails, "row", broken)
    site = Site("alpha", "alpha", partial(client.connect_aio, daemon.address), News())
    watching = asyncio.create_task(site.watch())
    await until(site, lambda: site.trouble)
    watching.cancel()
    assert site.trouble is not None
    assert site.trouble.message == "the page itself failed: ZeroDivisionError()"
    assert "ZeroDivisionError" in caplog.text


async def test_usage_that_cannot_be_measured_is_told_and_all_else_goes_on(daemon: Daemon) -> None:
    daemon.answers["ListJailStats"] = status("INTERNAL", "RCTL_FAILED", "rctl says no")
    async with watched(daemon) as site:
        await until(site, lambda: site.usage_trouble)
        assert site.usage_trouble == "rctl says no"
        assert site.trouble is None
        assert daemon.requests(stats_pb2.ListJailStatsRequest)


@pytest.mark.parametrize(
    ("name", "key"),
    [("alpha", "alpha"), ("ops@a.b-c_1", "ops@a.b-c_1"), ("a/b", "~3"), ("..", "~3"), ("é", "~3"), ("", "~3")],
)
def test_a_context_has_a_name_that_can_stand_in_an_address(name: str, key: str) -> None:
    assert key_of(name, 3) == key
