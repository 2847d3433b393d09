"""Zabbix's API: JSON-RPC over HTTP, asked with a token.

https://www.zabbix.com/documentation/6.0/en/manual/api: up to 6.2 a token goes into the request (`auth`), from 6.4 on
into a header; 7.2 takes no other.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.model.loopback import is_loopback

OLDEST = (6, 0)
_BY_HEADER = (6, 4)
_SECONDS = 60.0  # an import of a template onto many hosts takes long
_PATH = "/api_jsonrpc.php"
_HINT = "--url is that of Zabbix's web pages, such as https://zabbix.example.com or https://example.com/zabbix"


class _Here(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: the token is for the server that was named."""

    def redirect_request(self, *_words: Any) -> None:
        """Take the redirection for the refusal that it is."""


class Zabbix:
    """One server's API. Every call raises `Failure`: what cannot be reached, and what Zabbix refuses."""

    def __init__(self, url: str, token: str, authority: ssl.SSLContext | None = None) -> None:
        self._url = url.rstrip("/").removesuffix(_PATH) + _PATH
        self._token = token
        handlers: list[urllib.request.BaseHandler] = []
        if authority is not None:
            handlers.append(urllib.request.HTTPSHandler(context=authority))
        if is_loopback(urlsplit(url).hostname or ""):  # without TLS: a proxy would be shown the token
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(_Here, *handlers)
        self._version: tuple[int, ...] = ()

    @property
    def version(self) -> tuple[int, ...]:
        """Its version, such as (6, 0, 14), asked once. `Failure` if it is too old."""
        if not self._version:
            told = str(self._ask("apiinfo.version", [], {}))
            self._version = tuple(int(number) for number in re.findall(r"\d+", told))
            if self._version < OLDEST:
                raise Failure(f"{self._url} is Zabbix {told}; 6.0 is the oldest that is known here", Exit.REFUSED)
        return self._version

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method; return its result."""
        if self.version < _BY_HEADER:
            return self._ask(method, parameters, {}, auth=self._token)
        return self._ask(method, parameters, {"Authorization": f"Bearer {self._token}"})

    def _ask(self, method: str, parameters: Any, headers: dict[str, str], **more: str) -> Any:
        told = {"jsonrpc": "2.0", "method": method, "params": parameters, "id": 1, **more}
        request = urllib.request.Request(  # noqa: S310 -- the command took http and https alone
            self._url, json.dumps(told).encode(), {"Content-Type": "application/json-rpc", **headers}
        )
        try:
            with self._opener.open(request, timeout=_SECONDS) as answer:
                said = json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            raise Failure(f"{self._url} answers {error.code} {error.reason}", Exit.UNAVAILABLE, hint=_HINT) from error
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            why = getattr(error, "reason", error)
            raise Failure(f"cannot reach Zabbix at {self._url}: {why}", Exit.UNAVAILABLE, hint=_HINT) from error
        except ValueError as error:
            raise Failure(f"{self._url} does not answer as Zabbix does", Exit.UNAVAILABLE, hint=_HINT) from error
        if not isinstance(said, dict) or not {"result", "error"} & said.keys():
            raise Failure(f"{self._url} does not answer as Zabbix does", Exit.UNAVAILABLE, hint=_HINT)
        if "error" in said:
            refusal = said["error"]
            words = " ".join(filter(None, (refusal.get("message"), refusal.get("data"))))
            raise Failure(
                f"Zabbix refuses {method}: {words}",
                Exit.REFUSED,
                hint="the token's user must be allowed to do this: a super admin may import templates",
            )
        return said["result"]
