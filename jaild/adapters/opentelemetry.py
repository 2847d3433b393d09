"""Spans by OpenTelemetry's API (implements `jaild.rpc.spans.Tracer`). Imported where the configuration has `tracing`.

What becomes of them is for the operator's own packages: the SDK, and exporters, which are found by the entry points
that each brings. They read the standard variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_BSP_ ...,
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points, version
from typing import Any

from opentelemetry import context, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.contextvars import get_contextvars

from jaild.model.errors import UnavailableError
from jaild.rpc import correlation, spans

_KINDS = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
}
_EXPORTER = "otlp_proto_http"
_FIELDS = ("traceparent", "tracestate")
_PROPAGATOR = TraceContextTextMapPropagator()


def provider_of(variables: Mapping[str, str], host: str) -> trace.TracerProvider:
    """Set the SDK up by its variables. `UnavailableError` (TRACING_MISSING) if it is not there, or refuses them."""
    os.environ.setdefault("OTEL_SERVICE_NAME", "jaild")
    os.environ.update(variables)  # no program that the daemon starts inherits them
    exporters = [*_exporters(os.environ.get("OTEL_TRACES_EXPORTER", _EXPORTER).split(","))]
    try:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 -- the operator's, as the exporters
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        provider = TracerProvider(resource=Resource.create({"host.name": host, "service.version": version("jaild")}))
        for exporter in exporters:
            provider.add_span_processor(BatchSpanProcessor(exporter.load()()))
    except Exception as error:  # whatever packages and variables of the operator's make of it
        raise _missing(str(error)) from error
    return provider


def _exporters(names: Iterable[str]) -> Iterator[EntryPoint]:
    for name in names:
        found = entry_points(group="opentelemetry_traces_exporter", name=name)
        if not found and name != "none":
            raise _missing(f"no package has the exporter {name}")
        yield from [*found][:1]


def _missing(why: str) -> UnavailableError:
    return UnavailableError(
        "TRACING_MISSING",
        f"tracing cannot be set up: {why}",
        hint="install opentelemetry-sdk and an exporter (opentelemetry-exporter-otlp-proto-http), see their"
        " variables under `tracing`, or take that out",
    )


class _Span:
    def __init__(self, made: trace.Span) -> None:
        self.made = made

    def fail(self, why: str) -> None:
        """Say that it did not succeed."""
        self.made.set_status(trace.StatusCode.ERROR, why)

    def end(self) -> None:
        """Say that it is over."""
        if self.made.is_recording():
            self.made.end()


class OpenTelemetry:
    """Makes spans of a provider."""

    def __init__(self, provider: trace.TracerProvider) -> None:
        self._tracer = provider.get_tracer("jaild", version("jaild"))

    def start(self, name: str, kind: spans.Kind, parent: Any, attributes: Mapping[str, str]) -> spans.Span:
        """Begin a span, with the ids that lines of the log have, too."""
        bound = get_contextvars()
        ids = {f"jaild.{name}": str(bound[name]) for name in correlation.IDS if name in bound}
        return _Span(self._tracer.start_span(name, parent, _KINDS[kind], {**ids, **attributes}))

    def enter(self, span: Any) -> object:
        """Have this task be in a span."""
        return context.attach(trace.set_span_in_context(span.made))

    def leave(self, entered: Any) -> None:
        """Have it be where it was."""
        context.detach(entered)

    def here(self) -> object:
        """Return where this task is."""
        return context.get_current()

    def metadata(self) -> spans.Metadata:
        """Return what a call says of that."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return tuple(carrier.items())

    def received(self, metadata: spans.Received) -> object:
        """Return where a call came from."""
        carrier = {name: value for name, value in metadata if name in _FIELDS and isinstance(value, str)}
        return _PROPAGATOR.extract(carrier, context.Context())
