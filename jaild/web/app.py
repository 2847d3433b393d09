"""The page as an ASGI application: addresses, templates, errors."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs

import click
import grpc
import jinja2
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from jaild.cli.output import render
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure, from_rpc, not_held_back
from jaild.cli.output.human import printable
from jaild.model.quantity import count, size
from jaild.restraints import NotHeldBackError
from jaild.web import live
from jaild.web.actions import ACTIONS, Action
from jaild.web.gate import Asgi, Gate, Keys, same
from jaild.web.pages import NoSuchPageError, Pages, Shown
from jaild.web.site import Fleet, Site
from jaild.web.views import plans, table, words
from jaild.web.views.words import short

_HERE = Path(__file__).parent
_FORM = 4096  # bytes that a form has at most
_STATUS = {
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.UNAUTHENTICATED: 403,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.ALREADY_EXISTS: 409,
}
_EVENTS = "text/event-stream"
Look = Callable[[Request], Awaitable[Shown]]


def build(fleet: Fleet, keys: Keys, clock: Callable[[], float] = time.time) -> Asgi:
    """Return the application, behind its gate. The fleet is watched as long as it runs."""
    answers = _Answers(fleet, keys, clock)
    pages = answers.pages
    below = "/hosts/{site}"
    named = {
        f"{below}": pages.host,
        f"{below}/jails/{{id}}": pages.jail,
        f"{below}/jails/{{id}}/diff/{{before:int}}/{{after:int}}": pages.diff,
        f"{below}/operations/{{id}}": pages.operation,
        f"{below}/rollouts/{{id}}": pages.rollout,
        f"{below}/evacuations/{{id}}": pages.evacuation,
        f"{below}/migrations/{{id}}": pages.migration,
    }
    routes = [
        Route("/", partial(answers.show, look=pages.overview)),
        *(Route(path, partial(answers.show, look=look)) for path, look in named.items()),
        Route(f"{below}/jails/{{id}}/log", answers.log),
        Route(f"{below}/do/{{action}}/{{id}}", answers.plan, methods=["GET"]),
        Route(f"{below}/do/{{action}}/{{id}}", answers.act, methods=["POST"]),
        Mount("/static", StaticFiles(directory=_HERE / "static")),
    ]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(fleet.watch())
            yield
            watching.cancel()

    return Gate(Starlette(routes=[Mount(keys.prefix, routes=routes)], lifespan=lifespan), keys)


class _Answers:
    """Answers requests."""

    def __init__(self, fleet: Fleet, keys: Keys, clock: Callable[[], float]) -> None:
        self.pages = Pages(fleet, clock)
        self._keys = keys
        self._templates = _templates(keys, fleet, clock)

    async def show(self, request: Request, look: Look) -> Response:
        """Return a page; or, asked for as events, the page's content each time that it changes."""
        if _EVENTS in request.headers.get("accept", ""):
            stream = live.updates(partial(self._look, request, look), self._content)
            return StreamingResponse(stream, media_type=_EVENTS)
        return self._answer(await self._look(request, look))

    async def log(self, request: Request) -> Response:
        """Return what a jail writes, as events."""
        try:
            site = self.pages.site(request)
        except NoSuchPageError as error:
            return self._answer(self._failed(request, error))
        return StreamingResponse(live.log(site, f"jails/{request.path_params['id']}"), media_type=_EVENTS)

    async def plan(self, request: Request) -> Response:
        """Return what an action would do, with the form that asks for it."""
        return self._answer(await self._look(request, self._planned))

    async def act(self, request: Request) -> Response:
        """Do what was planned and agreed to; then show what came of it."""
        try:
            return await self._act(request)
        except _TOLD as error:
            return self._answer(self._failed(request, error))

    async def _act(self, request: Request) -> Response:
        site, action, name = self._asked(request)
        form = parse_qs((await _body(request)).decode("utf-8", "replace"))
        if not same(form.get("form", [""])[0], self._keys.form):
            raise Failure("the form is not of this page, or of an earlier run", Exit.REFUSED, hint="open the page anew")
        async with site.connect() as api:
            result = await action.act(api, name, form.get("request_id", [""])[0][:100])
        site.stir()
        return RedirectResponse(f"{self._keys.prefix}/hosts/{site.key}/{result}", 303)

    async def _planned(self, request: Request) -> Shown:
        site, action, name = self._asked(request)
        async with site.connect() as api:
            preview = await action.plan(api, name)
        values = {
            "site": site,
            "action": action,
            "about": name,
            "preview": preview,
            "form": self._keys.form,
            "request_id": f"web-{secrets.token_hex(8)}",
        }
        trail = ((site.name, f"hosts/{site.key}"), (short(name), f"hosts/{site.key}/{name}"))
        return Shown("plan.html", f"{action.label} {action.kind} {short(name)}", site.news, values, trail, still=True)

    def _asked(self, request: Request) -> tuple[Site, Action, str]:
        action = ACTIONS.get(request.path_params["action"])
        if action is None:
            raise NoSuchPageError
        return self.pages.site(request), action, f"{action.collection}/{request.path_params['id']}"

    async def _look(self, request: Request, look: Look) -> Shown:
        try:
            return await look(request)
        except _TOLD as error:
            return self._failed(request, error)

    def _failed(self, request: Request, error: Exception) -> Shown:
        site = self.pages.fleet.site(request.path_params.get("site", ""))
        news = site.news if site else self.pages.fleet.news
        trail = ((site.name, f"hosts/{site.key}"),) if site else ()
        failure, status = _failure(error, site.name if site else "")
        values = {"failure": failure, "problems": plans.problem_rows(failure.found)}
        return Shown("error.html", "Not found" if status == _NOT_FOUND else "Refused", news, values, trail, status)

    def _answer(self, shown: Shown) -> Response:
        text = self._templates.get_template(shown.template).render(**shown.values, shown=shown)
        return HTMLResponse(text, shown.status)

    def _content(self, shown: Shown) -> str:
        template = self._templates.get_template(shown.template)
        return "".join(template.blocks["content"](template.new_context({**shown.values, "shown": shown})))


_NOT_FOUND = 404
_TOLD = (grpc.RpcError, click.ClickException, NoSuchPageError, NotHeldBackError)


def _failure(error: Exception, name: str) -> tuple[Failure, int]:
    """Return a failure as jailctl tells it, and the status of HTTP that is nearest."""
    if isinstance(error, grpc.RpcError):
        return from_rpc(error, name), _STATUS.get(error.code(), 502)
    if isinstance(error, NotHeldBackError):
        return not_held_back(error), 403
    if isinstance(error, Failure):
        return error, 403
    if isinstance(error, click.ClickException):  # a context that cannot be used
        return Failure(error.message, Exit.USAGE, hint="see `jailctl context ls`"), 502
    return Failure("there is no such page", Exit.NOT_FOUND, hint="begin at the overview"), _NOT_FOUND


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _FORM:
            raise Failure("the form is too large", Exit.USAGE)
    return body


def _shown(value: object) -> object:
    """Return what stands in a page for a value: of what others said, control characters are written out."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _templates(keys: Keys, fleet: Fleet, clock: Callable[[], float]) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"short": short, "plain": words.plain, "size": size, "count": count}
    made.globals |= {
        "root": f"{keys.prefix}/",
        "fleet": fleet,
        "shows": table.SHOWS,
        "actions": ACTIONS,
        "moment": lambda stamp: words.moment(stamp, clock()),
        "step_tone": words.step_tone,
        "span": render.span,
    }
    made.globals["ui"] = made.get_template("parts.html").module  # after what it uses
    return made
