"""What `jaild doctor` says of event sinks, and of what the daemon warns of."""

from __future__ import annotations

from pathlib import Path

import grpc

from jaild.adapters.sinks.making import SinkAdapters
from jaild.adapters.system.process import ProcessRunner
from jaild.doctor.checks import sinks as checks
from jaild.doctor.facts import sinks as facts
from jaild.model.sinks.settings import Command, SinkSettings, Webhook
from jaild.model.views import HostView
from jaild.server import ApiServer
from tests.fakes.use_cases.every import Fakes

COMMAND = SinkSettings(command=Command(argv=("true",)))


def codes(settings: dict[str, SinkSettings]) -> list[str]:
    found = checks.check(facts.sinks(settings, SinkAdapters(ProcessRunner())))
    return [problem.code for check in found for problem in check.problems]


def test_a_sink_that_cannot_be_made_is_an_error_and_a_secret_that_others_read_a_warning(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    hook = SinkSettings(webhook=Webhook(url="https://pager.example/", secret=secret))
    assert codes({}) == []
    assert codes({"a": COMMAND, "b": hook}) == ["SINK_UNUSABLE"]
    secret.write_bytes(b"s" * 32)
    secret.chmod(0o644)
    assert codes({"b": hook}) == ["KEY_EXPOSED"]
    (readable,) = checks.check([checks.SinkFacts(name="b", secret="/s", uid=0, mode=0o600)])
    assert readable.problems == ()


async def test_what_the_daemon_warns_of_is_told(server: ApiServer, fakes: Fakes, tmp_path: Path) -> None:
    import msgspec

    view: HostView = await fakes.host.view()
    warned = msgspec.structs.replace(view, warnings=("event sink pager was not given 1 event",))

    async def say() -> HostView:
        return warned

    fakes.host.view = say  # type: ignore[method-assign]
    (problem,) = checks.warned(await facts.warnings(tmp_path / "s"))
    assert (problem.code, problem.message) == ("DAEMON_WARNS", "event sink pager was not given 1 event")
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/nobody"):
        assert await facts.warnings(tmp_path / "nobody") == []
    assert server is not None
