"""Who may ask: whoever has the token, from a page of ours, under a name that is this machine's.

The address that is printed has the token. It is taken once for a cookie, so that it leaves the address bar:

/?token=T --right--> cookie, redirect to /PREFIX/ --cookie--> the page
    +--wrong, or neither--> 403

A cookie goes to every port of its host (RFC 6265, 8.5), so to what others serve on this machine's loopback, too. It is
therefore one for a PREFIX that each run makes up, which nobody else's server is asked for.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response

Asgi = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]
COOKIE = "jaild-web"
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_OURS = frozenset({"", "none", "same-origin"})  # Sec-Fetch-Site: typed, or of our own page; '' of an old browser


def _secret() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Keys:
    """One run's secrets. `prefix` is none: it keeps the cookie apart from other servers."""

    token: str = field(default_factory=_secret, repr=False)
    session: str = field(default_factory=_secret, repr=False)
    form: str = field(default_factory=_secret, repr=False)  # in every form: against requests forged by other pages
    prefix: str = field(default_factory=lambda: f"/{secrets.token_urlsafe(9)}")


# What a Host header says where a browser went to this machine's loopback. Its port may be a tunnel's; another name is
# one that somebody else had resolve to it (DNS rebinding).
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)


def refusal(method: str, headers: Mapping[str, str]) -> str:
    """Return why a request is refused whatever its token is, for people; '' if it is not."""
    host = headers.get("host", "")
    if _LOOPBACK.fullmatch(host) is None:
        return "this page is served to this machine only: ask for it by the address that `jailctl web` printed"
    if headers.get("sec-fetch-site", "") not in _OURS:
        return "another page asked for this one: type or paste the address that `jailctl web` printed"
    if method in {"GET", "HEAD"}:
        return ""
    if method != "POST" or headers.get("origin", "null") not in {"null", f"http://{host}"}:
        return "only this page's own forms are taken"
    return ""


def same(given: str, secret: str) -> bool:
    """Compare in a time that says nothing about the secret."""
    return hmac.compare_digest(given.encode(), secret.encode())


class Gate:
    """Lets a request through to `app`, which is asked for paths below the prefix, or refuses it."""

    def __init__(self, app: Asgi, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Answer one request; no other kind of connection is taken."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def sealed(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        answer = self._answer(scope)
        await (self._app if answer is None else answer)(scope, receive, sealed)

    def _answer(self, scope: MutableMapping[str, Any]) -> Response | None:
        headers = Headers(scope=scope)
        why = refusal(scope["method"], headers)
        if why:
            return PlainTextResponse(f"{why}\n", 403)
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and token:
            return self._let_in(token)
        if same(HTTPConnection(scope).cookies.get(COOKIE, ""), self._keys.session):
            return None
        return PlainTextResponse("the token is missing: open the address that `jailctl web` printed\n", 403)

    def _let_in(self, token: str) -> Response:
        if not same(token, self._keys.token):
            return PlainTextResponse("the token is wrong: `jailctl web` prints another one at each start\n", 403)
        answer = RedirectResponse(f"{self._keys.prefix}/", 303)
        answer.set_cookie(
            COOKIE, self._keys.session, path=f"{self._keys.prefix}/", httponly=True, samesite="strict", secure=False
        )
        return answer
