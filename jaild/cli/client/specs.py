"""A jail's spec with some of its fields changed, as `jail configure --set` says it; the daemon judges it."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import click
import yaml

from jaild.cli.output import render
from jaild.v1 import jails_pb2


def changed(spec: jails_pb2.JailSpec, values: Sequence[tuple[str, str]], gone: Sequence[str]) -> str:
    """Return a spec as YAML, with `values` at their paths (`limits.memory`, `labels.team`) and none at those of `gone`.

    What stands where the spec has a text is one; anything else is read as YAML: 2, true, [a, b], {port: 80, kind: tcp}.
    """
    document: dict[str, Any] = yaml.safe_load(render.plain(spec)) or {}
    for path, text in values:
        *way, last = path.split(".")
        _into(document, way, path)[last] = text if _is_text(path) else _read(path, text)
    for path in gone:
        *way, last = path.split(".")
        _into(document, way, path).pop(last, None)
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _into(document: dict[str, Any], way: Sequence[str], path: str) -> dict[str, Any]:
    here = document
    for step in way:
        here = here.setdefault(step, {})
        if not isinstance(here, dict):
            raise click.BadParameter(f"{path}: {step} is no object in this spec; edit it whole: jailctl jail edit")
    return here


def _read(path: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise click.BadParameter(f"{path}: {text!r} is no value of YAML: {error}") from error


def _is_text(path: str) -> bool:
    """Whether the API has a text there; False also for what it does not know, which the daemon refuses."""
    here: Any = jails_pb2.JailSpec()
    for step in path.split("."):
        here = here[step] if isinstance(here, MutableMapping) else getattr(here, step, None)
    return isinstance(here, str)
