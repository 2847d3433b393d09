"""A spec as a request has it: as a message, as YAML, or as a template with its values."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from jaild.model.errors import InvalidArgumentError
from jaild.model.jails import specfile
from jaild.model.jails.spec import JailSpec
from jaild.rpc.messages.jails import require_sendable, spec_of
from jaild.v1 import jails_pb2

Render = Callable[[str, Mapping[str, str]], Awaitable[str]]  # a template's name, and values for its variables


async def spec_in(source: jails_pb2.SpecSource, render: Render) -> JailSpec:
    """Return it. `InvalidArgumentError` (SPEC_MISSING, INVALID_SPEC), and what the template is refused with."""
    form = source.WhichOneof("source")
    if form == "spec":
        return spec_of(source.spec)
    if form == "yaml":
        return require_sendable(await asyncio.to_thread(specfile.parse, source.yaml, "request"), "request")
    if form == "template":
        name = source.template.name
        text = await render(name, dict(source.template.values))
        return require_sendable(await asyncio.to_thread(specfile.parse, text, f"template {name}"), f"template {name}")
    raise InvalidArgumentError(
        "SPEC_MISSING", "the request has no spec", hint="give it as a message, as YAML or as a template"
    )
