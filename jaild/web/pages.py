"""What each page shows: from what the sites know, and for one thing alone from its daemon."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.longrunning import operations_pb2
from starlette.requests import Request

from jaild.cli.client.waiting import metadata
from jaild.cli.output.failures import from_status
from jaild.cli.output.render import plain
from jaild.model.jails.redaction import REDACTED
from jaild.v1 import (
    contents_pb2,
    evacuations_pb2,
    events_pb2,
    histories_pb2,
    jails_pb2,
    migrations_pb2,
    rollouts_pb2,
)
from jaild.web.site import SECONDS, Fleet, News, Site
from jaild.web.views import charts, differences, hosts, jails, plans, table, work
from jaild.web.views.jails import COPIES
from jaild.web.views.words import short, state

_ROWS = 100  # jails on a page
_CONCERNS = 50
_EVENTS = 60


class NoSuchPageError(Exception):
    """The address names nothing that there is."""


@dataclass(frozen=True)
class Shown:
    """A page: its template, what is in it, what tells that it is to be looked at again, and what it is a part of.

    `trail`: name and address of each, the outermost first, below the overview. `still`: it does not change by itself.
    """

    template: str
    title: str
    news: News
    values: Mapping[str, Any]
    trail: tuple[tuple[str, str], ...] = ()
    status: int = 200
    log: str = ""
    still: bool = False


@dataclass(frozen=True)
class Pages:
    """The pages of a fleet."""

    fleet: Fleet
    clock: Callable[[], float] = field(default=time.time)

    async def overview(self, request: Request) -> Shown:
        """All hosts, what goes on, and a part of all jails."""
        query = request.query_params
        wanted = table.Wanted.of(query)
        sites = self.fleet.sites
        concerns = [(site, each) for site in sites for each in site.concerns]
        concerns.sort(key=lambda pair: pair[1].tone != "bad")
        rows = [(site, row) for site in sites for row in wanted.of_host(site.key, site.rows)]
        values = {
            "sites": sites,
            "concerns": concerns[:_CONCERNS],
            "more_concerns": max(0, len(concerns) - _CONCERNS),
            "works": _told_once([(site, each) for site in sites for each in site.works]),
            "running": sum(site.row.running for site in sites),
            "owned": sum(site.row.jails for site in sites),
            "curves": {site.key: _curves(site, width=110, height=22) for site in sites},
            "wanted": wanted,
            "part": table.part(rows, wanted.page, _ROWS),
        }
        return Shown("overview.html", "Overview", self.fleet.news, values)

    async def host(self, request: Request) -> Shown:
        """One host."""
        site = self.site(request)
        wanted = table.Wanted.of(request.query_params)
        rows = [(site, row) for row in wanted.of_host(site.key, site.rows)]
        values = {
            "site": site,
            "facts": hosts.facts(site.host) if site.asked else [],
            "concerns": [(site, each) for each in site.concerns[:_CONCERNS]],
            "more_concerns": max(0, len(site.concerns) - _CONCERNS),
            "works": [(site, each) for each in site.works],
            "curves": _curves(site),
            "wanted": wanted,
            "part": table.part(rows, wanted.page, _ROWS),
            "past": _past(site),
            "events": list(reversed(site.events))[:_EVENTS],
        }
        return Shown("host.html", site.name, site.news, values)

    async def jail(self, request: Request) -> Shown:
        """One jail: what it is, its generations, what was done with it, what it uses."""
        site, name = self.site(request), f"jails/{request.path_params['id']}"
        async with site.connect() as api:
            jail = await api.jails.GetJail(jails_pb2.GetJailRequest(name=name), timeout=SECONDS)
            listing = jails_pb2.ListGenerationsRequest(parent=name, page_size=50)
            generations = (await api.jails.ListGenerations(listing, timeout=SECONDS)).generations
            asked = histories_pb2.ListJailHistoryRequest(parent=name, page_size=50)
            entries = (await api.histories.ListJailHistory(asked, timeout=SECONDS)).entries
            told = events_pb2.WatchEventsRequest(target=name, no_follow=True)
            stream = api.events.WatchEvents(told, timeout=SECONDS)
            events = deque[events_pb2.Event](maxlen=_EVENTS)
            async for event in stream:  # a host keeps 100,000
                events.append(event)
        row = jails.row(jail)
        about = [each for each in site.operations if metadata(each).target == name]
        for key in jail.spec.environment:
            jail.spec.environment[key] = REDACTED  # a screen has onlookers: `jailctl jail show --secrets`
        values = {
            "site": site,
            "jail": jail,
            "row": row,
            "concerns": [(site, each) for each in row.concerns],
            "more_concerns": 0,
            "generations": [(each, each.number == jail.generation) for each in generations],
            "works": [(site, each) for each in map(work.of_operation, about) if not each.over],
            "past": [(site, work.of_entry(each)) for each in entries if each.outcome != "working"],
            "curves": _curves(site, name),
            "events": list(reversed(events)),
            "spec": plain(jail.spec),
        }
        trail = ((site.name, f"hosts/{site.key}"),)
        log = "" if row.state in COPIES else f"hosts/{site.key}/jails/{row.name}/log"
        return Shown("jail.html", row.name, site.news, values, trail, log=log)

    async def diff(self, request: Request) -> Shown:
        """Two generations of a jail compared."""
        site, name = self.site(request), f"jails/{request.path_params['id']}"
        numbers = [int(request.path_params[key]) for key in ("before", "after")]
        asked = contents_pb2.CompareGenerationsRequest(name=name, to=numbers[1], **{"from": numbers[0]})
        async with site.connect() as api:
            found = await api.contents.CompareGenerations(asked, timeout=3 * SECONDS)
        for each in found.spec:
            for side in ("before", "after"):
                if each.name.startswith("environment") and each.HasField(side):  # as on a jail's page
                    setattr(each, side, REDACTED)
        trail = ((site.name, f"hosts/{site.key}"), (short(name), f"hosts/{site.key}/{name}"))
        title = f"{short(name)}: generation {numbers[0]} to {numbers[1]}"
        return Shown(
            "diff.html", title, site.news, {"site": site, "sections": differences.of(found)}, trail, still=True
        )

    async def operation(self, request: Request) -> Shown:
        """One operation with its phases and its plan."""
        site, name = self.site(request), f"operations/{request.path_params['id']}"
        async with site.connect() as api:
            asked = operations_pb2.GetOperationRequest(name=name)
            operation = await api.operations.GetOperation(asked, timeout=SECONDS)
        about = metadata(operation)
        error = from_status(operation.error, of_operation=True) if operation.HasField("error") else None
        values = {
            "site": site,
            "work": work.of_operation(operation),
            "about": about,
            "error": error,
            "found": plans.problem_rows(error.found) if error else (),
            "phases": work.phases(about),
            "plan": plans.of_plan(about.plan) if about.HasField("plan") else None,
            "facts": sorted(about.facts.items()),
        }
        title = f"{about.kind} {short(about.target)}"
        return Shown("operation.html", title, site.news, values, ((site.name, f"hosts/{site.key}"),))

    async def rollout(self, request: Request) -> Shown:
        """One rollout with its jails."""
        site, name = self.site(request), f"rollouts/{request.path_params['id']}"
        async with site.connect() as api:
            found = await api.rollouts.GetRollout(rollouts_pb2.GetRolloutRequest(name=name), timeout=SECONDS)
        steps = [(step, state(step), plans.problem_rows(step.problems)) for step in found.steps]
        values = {"site": site, "work": work.of_rollout(found), "rollout": found, "steps": steps}
        return Shown(
            "rollout.html", work.of_rollout(found).what, site.news, values, ((site.name, f"hosts/{site.key}"),)
        )

    async def evacuation(self, request: Request) -> Shown:
        """One evacuation with its jails."""
        site, name = self.site(request), f"evacuations/{request.path_params['id']}"
        async with site.connect() as api:
            asked = evacuations_pb2.GetEvacuationRequest(name=name)
            found = await api.evacuations.GetEvacuation(asked, timeout=SECONDS)
        moves = [(move, state(move)) for move in found.moves]
        values = {"site": site, "work": work.of_evacuation(found), "moves": moves}
        title = work.of_evacuation(found).what
        return Shown("evacuation.html", title, site.news, values, ((site.name, f"hosts/{site.key}"),))

    async def migration(self, request: Request) -> Shown:
        """One migration with what its downtime was made of."""
        site, name = self.site(request), f"migrations/{request.path_params['id']}"
        async with site.connect() as api:
            asked = migrations_pb2.GetMigrationRequest(name=name)
            found = await api.migrations.GetMigration(asked, timeout=SECONDS)
        values = {"site": site, "work": work.of_migration(found), "migration": found, "parts": work.parts(found)}
        title = f"{short(found.jail)}: {found.source} → {found.target}"
        return Shown("migration.html", title, site.news, values, ((site.name, f"hosts/{site.key}"),))

    def site(self, request: Request) -> Site:
        """Return the site that an address names; `NoSuchPageError` if there is none."""
        site = self.fleet.site(request.path_params["site"])
        if site is None:
            raise NoSuchPageError
        return site


def _curves(site: Site, name: str = "", width: int = 460, height: int = 80) -> list[charts.Chart]:
    times = site.history.times
    found = (
        charts.cpu(site.history.cores(name), times, width, height),
        charts.memory(site.history.memory(name), times, width, height),
    )
    return [chart for chart in found if chart is not None]


def _told_once(works: list[tuple[Site, work.Work]]) -> list[tuple[Site, work.Work]]:
    """Leave out a migration that its source tells of, too."""
    leaving = {each.about for _, each in works if each.what == "migrate"}
    return [(site, each) for site, each in works if not (each.name.startswith("migrations/") and each.about in leaving)]


def _past(site: Site) -> list[tuple[Site, work.Work]]:
    """Return what is over, the newest first; an operation that is a rollout's or an evacuation's once."""
    large = [*map(work.of_rollout, site.rollouts), *map(work.of_evacuation, site.evacuations)]
    told = {short(each.name) for each in large}
    small = [each for each in map(work.of_operation, site.operations) if short(each.name) not in told]
    over = [each for each in (*large, *small) if each.over]
    return [(site, each) for each in sorted(over, key=lambda each: -each.started.ToNanoseconds())[:_EVENTS]]
