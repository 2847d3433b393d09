"""The template, in Zabbix's own format of configuration (version 6.0, which later ones import, too).

Every object has a uuid made of its name, so that a template which is imported again updates what is there. Zabbix puts
a trigger with one item beside that item and others beside all; so does this, and `configuration.importcompare` finds no
difference in a template that is there already.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from jaild.cli.zabbix.kinds import Discovery, Graph, Item, Trigger
from jaild.cli.zabbix.watched import METRICS, TEMPLATE, TEXT, WATCHED

Node = dict[str, Any]

VERSION = "6.0"
URL, CERTIFICATE, KEY = "{$JAILD.URL}", "{$JAILD.TLS.CERT}", "{$JAILD.TLS.KEY}"  # macros
# What Zabbix itself brings, with its uuid.
_FOLDER = {"uuid": "a571c0d144b14fd4a87a9d9b2aa9fcd6", "name": "Templates/Applications"}
_PAGE = "docs/monitoring.md"
_MACROS = (
    (URL, "http://127.0.0.1:9464/metrics", "Where the daemon answers; `jailctl zabbix push` sets it for each host."),
    (CERTIFICATE, "jaild.pem", "Certificate with the role metrics, in SSLCertLocation of Zabbix's server or proxy."),
    (KEY, "jaild.key", "Its key, in SSLKeyLocation."),
    ("{$JAILD.INTERVAL}", "1m", "How often it is asked."),
    ("{$JAILD.DOWN.AFTER}", "3m", "How long it may be silent."),
    ("{$JAILD.JAIL.DOWN}", "5m", "How long a jail that is to run may not run."),
)
_PLACE = re.compile(r"\{(@?[a-z][\w.]*)((?:,[^{}]+|,\{\$[\w.]+\})?)\}")  # of an item in an expression
_COLOURS = ("1A7C11", "2774A4", "F63100")


def template() -> Node:
    """Return the document that `configuration.import` takes."""
    host = {item.key: item for item in WATCHED.items}
    alone, joint = _sorted_out(map(partial(_trigger, items=host, scope=""), WATCHED.triggers))
    items = [_metrics(), *(_item(item, triggers=alone.get(item.key, [])) for item in WATCHED.items)]
    found: Node = {
        "version": VERSION,
        "groups": [_FOLDER],
        "templates": [
            {
                "uuid": _uuid("template"),
                "template": TEMPLATE,
                "name": TEMPLATE,
                "description": f"Hosts of jaild and their jails. What each alert means and what to do: {_PAGE}.",
                "groups": [{"name": _FOLDER["name"]}],
                "items": items,
                "discovery_rules": [_discovery(each) for each in WATCHED.discoveries],
                "macros": [
                    {"macro": name, "value": value, "description": told} for name, value, told in sorted(_MACROS)
                ],
                "valuemaps": [
                    {
                        "uuid": _uuid("words", name),
                        "name": name,
                        "mappings": [{"value": value, "newvalue": word} for value, word in words.items()],
                    }
                    for name, words in WATCHED.words.items()
                ],
            }
        ],
        "triggers": joint,
        "graphs": [_graph(graph, "", "jaild: ") for graph in WATCHED.graphs],
    }
    return {"zabbix_export": found}


def _uuid(*words: str) -> str:
    """Return a name's uuid, in the form of a random one: Zabbix takes no other."""
    return uuid.UUID(bytes=uuid.uuid5(uuid.NAMESPACE_URL, "/".join(("jaild", *words))).bytes, version=4).hex


def _step(kind: str, *parameters: str) -> Node:
    return {"type": kind, "parameters": list(parameters)}


def _tags(scope: str) -> list[Node]:
    tags = [{"tag": "component", "value": scope or "host"}]
    return [*tags, {"tag": "jail", "value": "{#JAIL}"}] if scope in {"jail", "replica"} else tags


def _metrics() -> Node:
    return {
        "uuid": _uuid("item", METRICS),
        "name": "jaild: metrics",
        "type": "HTTP_AGENT",
        "key": METRICS,
        "delay": "{$JAILD.INTERVAL}",
        "history": "0",
        "trends": "0",
        "value_type": "TEXT",
        "description": "All that the daemon tells; every other item is cut out of it.",
        "timeout": "15s",
        "url": URL,
        "verify_peer": "YES",
        "verify_host": "YES",
        "ssl_cert_file": CERTIFICATE,
        "ssl_key_file": KEY,
        "tags": _tags(""),
    }


def _item(item: Item, scope: str = "", labels: Sequence[str] = (), triggers: Sequence[Node] = ()) -> Node:
    kind, which = ("label", item.label) if item.label else ("function", "sum") if item.total else ("value", "")
    cut = _step("PROMETHEUS_PATTERN", item.series, kind, which)
    if item.absent is None:
        cut["error_handler"] = "DISCARD_VALUE"
    else:
        cut |= {"error_handler": "CUSTOM_VALUE"} | ({"error_handler_params": item.absent} if item.absent else {})
    steps = [cut]
    steps += [_step("CHANGE_PER_SECOND", "")] if item.rate else []
    steps += [_step("DISCARD_UNCHANGED_HEARTBEAT", "1h")] if item.keep else []
    what = " ".join(_macro(label) for label in labels)
    made: Node = {
        "uuid": _uuid("item", scope, item.key),
        "name": f"{scope} {what}: {item.name}" if scope else f"jaild: {item.name}",
        "type": "DEPENDENT",
        "key": _key(item.key, scope, labels),
        "delay": "0",
        "value_type": TEXT if item.label else "FLOAT",
        "preprocessing": steps,
        "master_item": {"key": METRICS},
        "tags": _tags(scope),
    }
    made |= {"trends": "0"} if item.label else {}
    made |= {"units": item.units} if item.units else {}
    made |= {"valuemap": {"name": item.words}} if item.words else {}
    return made | ({"trigger_prototypes" if scope else "triggers": list(triggers)} if triggers else {})


def _macro(label: str) -> str:
    return f"{{#{label.upper()}}}"


def _key(key: str, scope: str, labels: Sequence[str]) -> str:
    """Return an item's key, such as jaild.memory or jaild.jail.memory[{#JAIL}]."""
    return f"jaild.{scope}.{key}[{','.join(map(_macro, labels))}]" if scope else f"jaild.{key}"


def _trigger(trigger: Trigger, items: Iterable[str], scope: str, labels: Sequence[str] = ()) -> tuple[set[str], Node]:
    """Return the items that a trigger looks at, a `@` before those of the host, and what Zabbix takes."""
    looked_at = set[str]()

    def placed(found: re.Match[str]) -> str:
        name, period = found[1], found[2]
        looked_at.add(name)
        key = _key(name[1:], "", ()) if name.startswith("@") else _key(name, scope, labels)
        return f"/{TEMPLATE}/{key}{period}"

    expression = _PLACE.sub(placed, trigger.when)
    unknown = {name for name in looked_at if not name.startswith("@")} - set(items)
    if unknown:
        raise ValueError(f"{trigger.name} looks at {unknown}, which there is not")
    return looked_at, {
        "uuid": _uuid("trigger", trigger.name),
        "expression": expression,
        "name": trigger.says,
        "priority": "HIGH" if trigger.page else "WARNING",
        "description": f"{_PAGE}#{trigger.name.lower()}",
        "tags": [{"tag": "alert", "value": trigger.name}, *_tags(scope)],
    }


def _sorted_out(triggers: Iterable[tuple[set[str], Node]]) -> tuple[dict[str, list[Node]], list[Node]]:
    """Part triggers into those of one item, by its key, and those of several."""
    alone, joint = dict[str, list[Node]](), []
    for items, node in triggers:
        if len(items) == 1:
            alone.setdefault(min(items), []).append(node)
        else:
            joint.append(node)
    return alone, joint


def _graph(graph: Graph, scope: str, before: str, labels: Sequence[str] = ()) -> Node:
    lines = [
        ({"sortorder": str(number)} if number else {})
        | {"color": colour, "item": {"host": TEMPLATE, "key": _key(key, scope, labels)}}
        for number, (key, colour) in enumerate(zip(graph.keys, _COLOURS, strict=False))
    ]
    made: Node = {"uuid": _uuid("graph", scope, graph.name), "name": f"{before}{graph.name}", "graph_items": lines}
    return made | ({"type": "STACKED"} if graph.stacked else {})


def _discovery(each: Discovery) -> Node:
    scope, labels = each.key, each.labels
    what = " ".join(map(_macro, labels))
    known = {item.key for item in each.items}
    alone, joint = _sorted_out(_trigger(trigger, known, scope, labels) for trigger in each.triggers)
    made: Node = {
        "uuid": _uuid("discovery", scope),
        "name": each.name,
        "type": "DEPENDENT",
        "key": f"jaild.{scope}.discovery",
        "delay": "0",
        "lifetime": "7d",
        "item_prototypes": [_item(item, scope, labels, alone.get(item.key, [])) for item in each.items],
        "master_item": {"key": METRICS},
        "lld_macro_paths": [{"lld_macro": _macro(label), "path": f"$.labels['{label}']"} for label in labels],
        "preprocessing": [
            _step("PROMETHEUS_TO_JSON", each.series)
            | {"error_handler": "CUSTOM_VALUE", "error_handler_params": "[]"},  # there is none
        ],
    }
    if each.without:
        conditions = [
            {"macro": _macro(label), "value": f"^{value}$", "operator": "NOT_MATCHES_REGEX", "formulaid": "A"}
            for label, value in each.without
        ]
        made["filter"] = {"conditions": conditions}
    made |= {"trigger_prototypes": joint} if joint else {}
    graphs = [_graph(graph, scope, f"{scope} {what}: ", labels) for graph in each.graphs]
    return made | ({"graph_prototypes": graphs} if graphs else {})
