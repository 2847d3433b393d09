"""One context's daemon, watched: what it said last, and why it does not answer if it does not.

asking --answered--> watching --broke--> asking, later and later

One stream of events says which jails to ask for again; no jail is polled. Of operations there are no events: every two
seconds the daemon is asked for its newest one, and where something goes on for all of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import click
import grpc
from google.longrunning import operations_pb2

from jaild.cli.client.waiting import metadata
from jaild.cli.output.failures import from_rpc
from jaild.client import AioApi
from jaild.v1 import evacuations_pb2, events_pb2, host_pb2, jails_pb2, migrations_pb2, rollouts_pb2, stats_pb2
from jaild.web.history import History, measured
from jaild.web.views import hosts, jails, work
from jaild.web.views.hosts import Trouble
from jaild.web.views.words import Tone

SECONDS = 10.0  # for one answer from memory
BUSY = 2.0  # seconds from one look to the next if something goes on; else it is only asked whether something does
_IDLE = 15.0  # seconds from one look to the next if nothing does
_WHOLE = 60.0  # seconds after which all jails are asked for again, whatever the events said
_SOON = 0.3  # at least between two looks: what happens together is looked at together
_LONGEST = 15.0  # between attempts to reach a daemon
_MANY = 20  # jails: more are not asked for one by one
_LISTED = 50  # migrations, operations, rollouts that are shown
_EVENTS = 300  # kept
_SPARING = 20  # a measurement is made so many times rarer than it takes


class News:
    """That something is new, for all who wait."""

    def __init__(self, upward: Callable[[], None] | None = None) -> None:
        self._event = asyncio.Event()
        self._upward = upward

    def tell(self) -> None:
        """Wake all who wait, here and where this is a part of."""
        event, self._event = self._event, asyncio.Event()
        event.set()
        if self._upward is not None:
            self._upward()

    def coming(self) -> asyncio.Event:
        """Return what is set as soon as something is new from now on, whoever waits for it by then."""
        return self._event

    async def wait(self, within: float) -> None:
        """Return when something is new, or after so many seconds."""
        await until(self.coming(), within)


async def until(event: asyncio.Event, within: float) -> None:
    """Return when an event is set, or after so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()


class Site:
    """What the page knows of a daemon. `key` is its part of an address, `name` the context's.

    Attributes are read by whoever shows them; only `watch` changes them, and tells `news`.
    """

    def __init__(
        self, key: str, name: str, connect: Callable[[], AioApi], news: News, *, interval: float = 30.0
    ) -> None:
        self.key = key
        self.name = name
        self.connect = connect
        self.news = news
        self._interval = interval
        self._dirty: set[str] = set()  # what events told of since the last look
        self._changed: set[str] = set()  # what they had told of by then
        self._stirred = asyncio.Event()
        self._listed = 0.0
        self._sequence = 0
        self._endpoint = name
        self.asked = False
        self.heard = 0.0
        self.trouble: Trouble | None = None
        self.usage_trouble = ""
        self.host = host_pb2.HostInfo()
        self.jails: dict[str, jails.JailRow] = {}
        self.operations: list[Any] = []
        self.rollouts: list[rollouts_pb2.Rollout] = []
        self.evacuations: list[evacuations_pb2.Evacuation] = []
        self.migrations: list[migrations_pb2.Migration] = []
        self.events: deque[events_pb2.Event] = deque(maxlen=_EVENTS)
        self.history = History()
        self._sum_up()

    async def watch(self) -> None:
        """Watch the daemon until this is cancelled."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                async with self.connect() as api, asyncio.TaskGroup() as tasks:
                    self._endpoint = api.endpoint
                    tasks.create_task(self._hear(api))
                    tasks.create_task(self._look(api))
                    tasks.create_task(self._measure(api))
            except* Exception as group:  # noqa: BLE001 -- whatever it is, it is shown as this host's trouble, beside the others
                self._lost(group.exceptions[0])
            failures = 1 if time.monotonic() - began > _LONGEST else failures + 1
            await asyncio.sleep(min(_LONGEST, 0.5 * 2**failures))

    def stir(self) -> None:
        """Look at the daemon soon: somebody changed something."""
        self._stirred.set()

    def _lost(self, error: BaseException) -> None:
        if not isinstance(error, grpc.RpcError | click.UsageError):
            logging.getLogger(__name__).error("a defect in what watches %s", self.name, exc_info=error)
        self.trouble = trouble(error, self._endpoint)
        self._sum_up()

    async def _hear(self, api: AioApi) -> None:
        request = events_pb2.WatchEventsRequest(after_sequence=self._sequence)
        async for event in api.events.WatchEvents(request):
            self._sequence = event.sequence
            self.events.append(event)
            self._dirty.add(event.target)
            self._stirred.set()

    async def _look(self, api: AioApi) -> None:
        while True:
            self._stirred.clear()
            before, self._changed, self._dirty = self._changed, self._dirty, set()
            await self._refresh(api, self._changed | before)  # once more: an event may come before what it tells of
            self.asked, self.trouble, self.heard = True, None, time.time()
            self._sum_up()
            await self._until_new(api)
            await asyncio.sleep(_SOON)

    async def _until_new(self, api: AioApi) -> None:
        """Return when an event came, an operation began, which is no event, or it is time to look again."""
        end = time.monotonic() + _IDLE
        while time.monotonic() < end:
            await until(self._stirred, BUSY)
            if self._stirred.is_set() or self._changed or any(each.tone is Tone.BUSY for each in self.works):
                return
            newest = operations_pb2.ListOperationsRequest(name="operations", page_size=1)
            found = (await api.operations.ListOperations(newest, timeout=SECONDS)).operations
            if [each.name for each in found] != [each.name for each in self.operations[:1]]:
                return

    async def _refresh(self, api: AioApi, changed: set[str]) -> None:
        self.host = await api.host.GetHost(host_pb2.GetHostRequest(), timeout=SECONDS)
        before = {metadata(each).target for each in self.operations if not each.done}
        self.operations = await self._operations(api)
        rollouts = rollouts_pb2.ListRolloutsRequest(page_size=_LISTED)
        self.rollouts = list((await api.rollouts.ListRollouts(rollouts, timeout=SECONDS)).rollouts)
        evacuations = evacuations_pb2.ListEvacuationsRequest(page_size=_LISTED)
        self.evacuations = list((await api.evacuations.ListEvacuations(evacuations, timeout=SECONDS)).evacuations)
        migrations = migrations_pb2.ListMigrationsRequest(page_size=_LISTED)
        self.migrations = list((await api.migrations.ListMigrations(migrations, timeout=SECONDS)).migrations)
        after = {metadata(each).target for each in self.operations if not each.done}
        await self._refresh_jails(api, {name for name in changed | before | after if name.startswith("jails/")})

    async def _operations(self, api: AioApi) -> list[Any]:
        """Return the newest operations, and older ones that still go on."""
        listing = operations_pb2.ListOperationsRequest(name="operations", page_size=_LISTED)
        found = list((await api.operations.ListOperations(listing, timeout=SECONDS)).operations)
        going = {each.name for each in self.operations if not each.done} | {
            row.operation for row in self.jails.values()
        }
        for name in sorted(going - {each.name for each in found} - {""})[:_MANY]:
            try:
                asked = operations_pb2.GetOperationRequest(name=name)
                found.append(await api.operations.GetOperation(asked, timeout=SECONDS))
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
        return found

    async def _refresh_jails(self, api: AioApi, names: set[str]) -> None:
        if len(names) > _MANY or not self._listed or time.monotonic() - self._listed > _WHOLE:
            self.jails = {jail.name: jails.row(jail) for jail in await _all_jails(api)}
            self._listed = time.monotonic()
            return
        for name in names:
            try:
                self.jails[name] = jails.row(
                    await api.jails.GetJail(jails_pb2.GetJailRequest(name=name), timeout=SECONDS)
                )
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
                self.jails.pop(name, None)

    async def _measure(self, api: AioApi) -> None:
        before: dict[str, stats_pb2.JailStats] = {}
        while True:
            began = time.monotonic()
            try:
                answer = await api.stats.ListJailStats(stats_pb2.ListJailStatsRequest(), timeout=3 * SECONDS)
            except grpc.RpcError as error:  # what is shown beside it does not depend on it
                self.usage_trouble = from_rpc(error, api.endpoint).message
            else:
                self.usage_trouble = ""
                self.history.add(time.time(), measured(before, answer.jails))
                before = {jail.name: jail for jail in answer.jails}
                self.news.tell()
            soon = min(5.0, self._interval) if len(self.history.times) < _MANY else self._interval
            await asyncio.sleep(max(soon, _SPARING * (time.monotonic() - began)))

    def _sum_up(self) -> None:
        """Work out what the pages of all hosts ask for, once for each change."""
        self.works = work.under_way(self.operations, self.rollouts, self.evacuations, self.migrations)
        self.rows = sorted(self.jails.values(), key=lambda each: each.name)
        self.row = hosts.row(self.host, self.rows, self.trouble, asked=self.asked)
        self.concerns = hosts.concerns(self.host, self.rows, self.works, self.trouble)
        self.news.tell()


async def _all_jails(api: AioApi) -> list[jails_pb2.Jail]:
    request, found = jails_pb2.ListJailsRequest(page_size=1000), list[jails_pb2.Jail]()
    while True:
        answer = await api.jails.ListJails(request, timeout=3 * SECONDS)
        found += answer.jails
        request.page_token = answer.next_page_token
        if not request.page_token:
            return found


def trouble(error: BaseException, endpoint: str) -> Trouble:
    """Return why a daemon did not answer, in jailctl's words."""
    if isinstance(error, grpc.RpcError):
        failure = from_rpc(error, endpoint)
        return Trouble(failure.message, failure.reason, failure.hint)
    if isinstance(error, click.UsageError):
        return Trouble(error.message, "", "see `jailctl context ls`")
    return Trouble(
        f"the page itself failed: {error!r}", "", "this is a defect: report it with what `jailctl web` wrote"
    )


def key_of(name: str, number: int) -> str:
    """Return a context's part of an address: its name, where that can stand in one."""
    plain = name and all(each.isalnum() or each in "-_.@" for each in name) and name.isascii() and name.strip(".")
    return name if plain else f"~{number}"


class Fleet:
    """All sites, and the news that one has changed."""

    def __init__(self, daemons: Iterable[tuple[str, Callable[[], AioApi]]], interval: float = 30.0) -> None:
        """`daemons`: what connects to each, by the name of its context. `interval`: seconds between measurements."""
        self.news = News()
        self.sites = [
            Site(key_of(name, number), name, connect, News(self.news.tell), interval=interval)
            for number, (name, connect) in enumerate(daemons)
        ]

    def site(self, key: str) -> Site | None:
        """Return the site of a part of an address."""
        return next((site for site in self.sites if site.key == key), None)

    async def watch(self) -> None:
        """Watch all of them until this is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for site in self.sites:
                tasks.create_task(site.watch())
