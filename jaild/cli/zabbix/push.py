"""What Zabbix has of jaild, made what it should be: the template, the host group, and each host.

What is there is looked at first, so that a second push finds nothing to do. A host of the same name that is there
already, for an agent say, keeps all that it has; it gets the template and a macro. Nothing is ever removed but
what an older version of this template had in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.cli.zabbix.api import Zabbix
from jaild.cli.zabbix.template import URL, template
from jaild.cli.zabbix.watched import TEMPLATE
from jaild.model.loopback import is_loopback

_PARTED = (6, 2)  # since then templates have groups of their own
_BY_PROXY = (7, 0)  # since then a host says what monitors it
_WHOLE = {"createMissing": True, "updateExisting": True, "deleteMissing": True}


class Done(StrEnum):
    """What became of a thing."""

    MADE = "made"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was done with one thing, or would be."""

    what: str
    name: str
    done: Done


class Push:
    """One push. `plan`: only look."""

    def __init__(self, zabbix: Zabbix, *, group: str, proxy: str = "", plan: bool = False) -> None:
        self._zabbix = zabbix
        self._group = group
        self._proxy = proxy
        self._plan = plan

    def template(self) -> Result:
        """Import the template unless it is there as it should be."""
        call, source = self._zabbix.call, json.dumps(template())
        there = call("template.get", filter={"host": [TEMPLATE]}, output=["templateid"])
        folders = "template_groups" if self._zabbix.version >= _PARTED else "groups"
        rules: dict[str, Any] = {
            folders: {"createMissing": True},
            "templates": {"createMissing": True, "updateExisting": True},
            **dict.fromkeys(("valueMaps", "items", "discoveryRules", "triggers", "graphs"), _WHOLE),
        }
        differs = _differs(call("configuration.importcompare", format="json", source=source, rules=rules))
        if differs and not self._plan:
            call("configuration.import", format="json", source=source, rules=rules)
        done = Done.MADE if not there else Done.CHANGED if differs else Done.UNCHANGED
        return Result(what="template", name=TEMPLATE, done=done)

    def group(self) -> Result:
        """Make the host group unless it is there."""
        there = self._zabbix.call("hostgroup.get", filter={"name": [self._group]}, output=["groupid"])
        if not there and not self._plan:
            self._zabbix.call("hostgroup.create", name=self._group)
        return Result(what="group", name=self._group, done=Done.UNCHANGED if there else Done.MADE)

    def host(self, name: str, url: str) -> Result:
        """Have a host watched at this URL."""
        call = self._zabbix.call
        found = call(
            "host.get",
            filter={"host": [name]},
            output=["hostid"],
            selectParentTemplates=["host"],
            selectMacros=["hostmacroid", "macro", "value"],
        )
        if not found:
            if not self._plan:
                call("host.create", host=name, macros=[{"macro": URL, "value": url}], **self._place())
            return Result(what="host", name=name, done=Done.MADE)
        (there,) = found
        linked = any(each["host"] == TEMPLATE for each in there["parentTemplates"])
        changes = _macro(there, url)
        if not self._plan:
            if not linked:
                hosts = [{"hostid": there["hostid"]}]
                call("host.massadd", hosts=hosts, templates=self._found("template.get", "host", TEMPLATE))
            for method, parameters in changes:
                call(method, **parameters)
        return Result(what="host", name=name, done=Done.CHANGED if changes or not linked else Done.UNCHANGED)

    def _place(self) -> dict[str, Any]:
        place: dict[str, Any] = {
            "groups": self._found("hostgroup.get", "name", self._group),
            "templates": self._found("template.get", "host", TEMPLATE),
        }
        if not self._proxy:
            return place
        if self._zabbix.version >= _BY_PROXY:
            ((_, proxy),) = self._found("proxy.get", "name", self._proxy)[0].items()
            return place | {"monitored_by": 1, "proxyid": proxy}
        ((_, proxy),) = self._found("proxy.get", "host", self._proxy)[0].items()
        return place | {"proxy_hostid": proxy}

    def _found(self, method: str, field: str, name: str) -> list[dict[str, str]]:
        """Return the id of the thing of this name, as other methods take it."""
        kind = method.partition(".")[0].removeprefix("host") or "host"
        key = f"{kind}id"
        found = self._zabbix.call(method, filter={field: [name]}, output=[key])
        if not found:
            raise Failure(
                f"Zabbix has no {kind} {name}, or the token's user may not see it",
                Exit.NOT_FOUND,
                hint="a group that was made by a super admin is seen by a user group that has rights on it",
            )
        return [{key: found[0][key]}]


def _differs(compared: Any) -> bool:
    """Say whether a comparison found anything: Zabbix also lists what differs in its order alone."""
    if isinstance(compared, list):
        return any(map(_differs, compared))
    if not isinstance(compared, dict):
        return False
    if compared.get("added") or compared.get("removed") or compared.get("before") != compared.get("after"):
        return True
    return any(_differs(each) for key, each in compared.items() if key not in {"before", "after"})


def _macro(there: Mapping[str, Any], url: str) -> list[tuple[str, dict[str, Any]]]:
    for macro in there["macros"]:
        if macro["macro"] == URL:
            changed = {"hostmacroid": macro["hostmacroid"], "value": url}
            return [] if macro.get("value") == url else [("usermacro.update", changed)]
    return [("usermacro.create", {"hostid": there["hostid"], "macro": URL, "value": url})]


def reachable(metrics: str, context: str) -> str:
    """Return the URL that Zabbix asks, of what a host tells and where jailctl found it (`unix:...`, `host:port`).

    An address that stands for any of the host's is replaced by the one that jailctl reached it at. `Failure` if there
    is none that others could ask.
    """
    if not metrics:
        raise Failure(
            "it has no metrics",
            Exit.REFUSED,
            hint="set `metrics` in its jaild.yaml: docs/monitoring.md, Let Prometheus in",
        )
    parts = urlsplit(metrics)
    if not parts.scheme.startswith("http") or parts.hostname is None:
        raise Failure(f"its metrics are at {metrics}, where Zabbix cannot ask", Exit.REFUSED, hint=_ADDRESS)
    host, local = parts.hostname, context.startswith(("/", "unix:"))
    if host not in {"0.0.0.0", "::"}:  # noqa: S104 -- what any address of the host is written as
        if is_loopback(host) and not local and not is_loopback(_host_of(context)):
            raise Failure(f"its metrics are at {metrics}, for that host alone", Exit.REFUSED, hint=_ADDRESS)
        return metrics
    if local:
        raise Failure(
            f"its metrics are at {metrics}, and which of its addresses Zabbix reaches is not known",
            Exit.REFUSED,
            hint="give `metrics` that address in jaild.yaml, or push from a context with the host's address",
        )
    seen = _host_of(context)
    return metrics.replace(parts.netloc, f"[{seen}]:{parts.port}" if ":" in seen else f"{seen}:{parts.port}", 1)


_ADDRESS = "give `metrics` in its jaild.yaml an address that Zabbix reaches, with tls"


def _host_of(address: str) -> str:
    return address.rpartition(":")[0].removeprefix("[").removesuffix("]")
