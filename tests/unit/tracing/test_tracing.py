"""Traces by OpenTelemetry's own SDK, into memory: a migration is one over both hosts. Without it none is imported."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jaild import config
from jaild.adapters.opentelemetry import OpenTelemetry
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import InvalidArgumentError
from jaild.rpc import spans
from jaild.v1 import host_pb2
from tests.fakes.host import FakeHost
from tests.fakes.use_cases import stubs
from tests.hosts.asking import create, deploy
from tests.hosts.migrating import migrate, two_hosts

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FROM = f"00-{TRACE}-{SPAN}-01"


class Traces:
    """The spans that have ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def above(self, span: ReadableSpan) -> ReadableSpan | None:
        """What it is below; None for a root, and for what is not ours."""
        return next((each for each in self.spans if span.parent and _id(each) == span.parent.span_id), None)

    def path(self, span: ReadableSpan) -> list[str]:
        """The names from the root to a span."""
        above = self.above(span)
        return [*(self.path(above) if above is not None else ()), span.name]


def _id(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def _trace(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


@pytest.fixture
def traces() -> Iterator[Traces]:
    found = Traces()
    spans.use(OpenTelemetry(found.provider))
    yield found
    spans.use(None)


async def test_a_migration_is_one_trace_over_both_hosts(tmp_path: Path, traces: Traces) -> None:
    alpha, beta = await two_hosts(tmp_path, back=False)
    traces.exporter.clear()
    operation = await alpha.end_of(await migrate(alpha, beta))
    assert operation.failure is None
    (root,) = traces.named("operation migrate")
    story = [span for span in traces.spans if _trace(span) == _trace(root)]
    for call in ("Begin", "Receive", "Prepare", "Activate"):
        sent = [span for span in story if span.name == f"jaild.peer.v1.Peer/{call}" and span.kind.name == "CLIENT"]
        served = [span for span in story if span.name == f"jaild.peer.v1.Peer/{call}" and span.kind.name == "SERVER"]
        assert sent
        assert len(served) == len(sent)
        for span in served:
            above = traces.above(span)
            assert above in sent
            assert span.parent is not None
            assert span.parent.is_remote
    prepared = next(span for span in story if span.name.endswith("/Prepare") and span.kind.name == "SERVER")
    call = "jaild.peer.v1.Peer/Prepare"
    assert traces.path(prepared) == ["operation migrate", "phase handover", call, call]
    phases = [span for span in story if span.name.startswith("phase ")]
    assert [span.name for span in phases][-4:] == ["phase handover", "phase commit", "phase activate", "phase fence"]
    for span in phases:
        assert traces.above(span) is root
        assert span.attributes is not None
        assert span.attributes["jaild.operation"] == operation.id
    for earlier, later in itertools.pairwise(phases):
        assert earlier.end_time is not None
        assert later.start_time is not None
        assert earlier.end_time <= later.start_time
    for each in (alpha, beta):
        await each.stop()


async def test_an_operation_that_fails_says_why_and_each_is_a_trace_of_its_own(host: FakeHost, traces: Traces) -> None:
    await create(host)
    assert (await deploy(host, "web/9")).failure is not None
    (made,) = traces.named("operation create")
    (failed,) = traces.named("operation deploy")
    assert made.status.is_unset
    assert not failed.status.is_ok
    assert "RELEASE_NOT_FOUND" in (failed.status.description or "")
    assert _trace(made) != _trace(failed)


async def test_a_call_is_part_of_the_trace_that_its_caller_is_in(local: grpc.aio.Channel, traces: Traces) -> None:
    ask = stubs.host(local).GetHost
    await ask(host_pb2.GetHostRequest(), metadata=(("traceparent", FROM),))
    await ask(host_pb2.GetHostRequest(), metadata=(("traceparent", "nonsense"),))
    first, second = traces.named("jaild.v1.Host/GetHost")
    assert (f"{_trace(first):032x}", f"{first.parent.span_id:016x}" if first.parent else "") == (TRACE, SPAN)
    assert second.parent is None


async def test_programs_are_spans_below_where_they_were_started(traces: Traces) -> None:
    processes = ProcessRunner()
    with spans.span("phase stage"):
        await processes.run(["true"])
        await asyncio.create_task(_fails(processes))
    (ran,), (failed,) = traces.named("run true"), traces.named("run false")
    assert traces.path(ran) == [*traces.path(failed)[:1], "run true"] == ["phase stage", "run true"]
    assert ran.attributes == {"process.command_line": "true"}
    assert (failed.status.is_ok, failed.status.description) == (False, "status 1")


async def _fails(processes: ProcessRunner) -> None:
    await processes.run(["false"], check=False)


def test_without_it_in_the_configuration_nothing_of_it_is_imported() -> None:
    program = (
        "import sys; from jaild import assembly, config; assembly.trace(config.Config()); "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("missing", ["opentelemetry", "opentelemetry.sdk"])
def test_where_it_is_wanted_and_missing_that_is_said(missing: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None; from jaild import assembly, config\n"
        "assembly.trace(config.Config(tracing={'OTEL_TRACES_EXPORTER': 'console'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert "(TRACING_MISSING) -- " in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("variables", "fails"), [({"OTEL_TRACES_EXPORTER": "none"}, ""), ({"OTEL_TRACES_EXPORTER": "pigeon"}, "pigeon")]
)
def test_the_sdk_is_set_up_by_its_own_variables(variables: dict[str, str], fails: str) -> None:
    program = (
        "import sys; from jaild import assembly, config; from jaild.rpc import spans\n"
        f"assembly.trace(config.Config(name='alpha', tracing={variables!r}))\n"
        "with spans.span('x') as span: print(span.made.resource.attributes['host.name'], spans.metadata()[0][0])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.stdout == ("" if fails else "alpha traceparent\n"), done.stderr
    assert ("TRACING_MISSING" in done.stderr and fails in done.stderr) is bool(fails)


@pytest.mark.parametrize("wrong", ["tracing: {PATH: /tmp}", "tracing: true"])
def test_only_variables_of_opentelemetry_are_taken(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "jaild.yaml").write_text(wrong)
    with pytest.raises(InvalidArgumentError, match="tracing"):
        config.load(tmp_path / "jaild.yaml", {})
