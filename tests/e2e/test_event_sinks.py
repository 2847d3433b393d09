"""Events on their way to a real HTTP server and a real program, while the daemon is killed again and again."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild import client
from jaild.adapters.certificates import CertificateAuthority
from jaild.adapters.system.process import ProcessRunner
from jaild.rpc.tls import TlsFiles
from jaild.v1 import evacuations_pb2, event_sinks_pb2, events_pb2, host_pb2
from tests.conftest import LINUX_HOST
from tests.e2e.client import Client, until
from tests.e2e.node import Node, hosted
from tests.hosts.receiving import SECRET, receiving

pytestmark = pytest.mark.real("openssl", *LINUX_HOST)
KILLS = 5
EVENTS = 6  # between two kills


@pytest.fixture
def tls(tmp_path: Path) -> TlsFiles:
    authority = CertificateAuthority(ProcessRunner(), tmp_path / "tls")
    return asyncio.run(authority.issue("pager", ["127.0.0.1"]))


@pytest.fixture
def node(tmp_path: Path, tls: TlsFiles) -> Iterator[Node]:
    """A host whose events go to the port in `hook`, and into the file `told`."""
    (tmp_path / "secret").write_bytes(SECRET)
    made = Node("sinks")
    hook = {"url": "https://127.0.0.1:1/", "secret": str(tmp_path / "secret"), "authority": str(tls.authority)}
    made.config["event_sinks"] = {
        "hook": {"webhook": hook, "give_up_after": 2},
        "file": {"command": {"argv": ["tee", "-a", str(tmp_path / "told")]}, "filter": "kind = host.undrained"},
    }
    with hosted(made):
        yield made


def drained(api: Client, times: int) -> None:
    """Let so many events of two happen."""
    for _ in range(times):
        api.evacuations.DrainHost(evacuations_pb2.DrainHostRequest(reason="test"), timeout=60)
        api.evacuations.UndrainHost(evacuations_pb2.UndrainHostRequest(), timeout=60)


def happened(api: Client) -> list[events_pb2.Event]:
    return list(api.events.WatchEvents(events_pb2.WatchEventsRequest(no_follow=True), timeout=60))


def test_every_event_arrives_in_order_and_what_was_given_up_when_it_is_asked_for(
    node: Node, tmp_path: Path, tls: TlsFiles
) -> None:
    api = node.api
    first = happened(api)[-1].sequence + 1
    drained(api, EVENTS)

    def sink(name: str = "hook") -> event_sinks_pb2.EventSink:
        with client.connect(f"unix:{node.folder}/jaild.sock") as its:
            request = event_sinks_pb2.GetEventSinkRequest(name=f"eventSinks/{name}")
            found: event_sinks_pb2.EventSink = its.event_sinks.GetEventSink(request)
            return found

    until(lambda: sink().dead_letter_count > 2 * EVENTS - 1)  # nobody listens at port 1
    until(lambda: sink("file").delivered_count >= EVENTS)
    assert sink().state == sink().STATE_FAILING
    (warning,) = node.api.host.GetHost(host_pb2.GetHostRequest()).warnings
    assert "event sink hook was not given" in warning

    with receiving(tls) as received:
        node.config["event_sinks"]["hook"]["webhook"]["url"] = f"https://127.0.0.1:{received.port}/"
        (node.folder / "jaild.yaml").write_text(json.dumps(node.config))
        done = api.host.ReloadConfiguration(host_pb2.ReloadConfigurationRequest(), timeout=60)
        assert (list(done.applied), list(done.needs_restart)) == (["event_sinks.hook"], [])
        received.wait(1)
        for _ in range(KILLS):
            drained(node.api, EVENTS)
            node.signal(signal.SIGKILL)
            node.start()
        drained(node.api, 1)
        last = happened(node.api)[-1]
        with received.came:
            assert received.came.wait_for(lambda: received.events[-1]["sequence"] == last.sequence, 60)
        given = [event["sequence"] for event in received.events]
        assert given == sorted(given)
        letters = _letters(node)
        assert {*given, *letters} == set(range(first, last.sequence + 1))
        assert {event["missed"] for event in received.events} == {0, len(letters)}
        assert len({*received.keys}) == len({*given})

        with client.connect(f"unix:{node.folder}/jaild.sock") as its:
            its.event_sinks.ReplayDeadLetters(event_sinks_pb2.ReplayDeadLettersRequest(name="eventSinks/hook"))
        until(lambda: sink().dead_letter_count == 0)
        assert {event["sequence"] for event in received.events} == set(range(first, last.sequence + 1))
        told = {event["sequence"]: (event["kind"], event["target"]) for event in received.events}
        assert told == {
            each.sequence: (each.kind, each.target) for each in happened(node.api) if each.sequence >= first
        }

    undrained = [event.sequence for event in happened(node.api) if event.kind == "host.undrained"]
    until(lambda: sink("file").cursor >= undrained[-1])
    lines = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    assert [key for key, _ in itertools.groupby(line["sequence"] for line in lines)] == undrained


def _letters(node: Node) -> list[int]:
    with client.connect(f"unix:{node.folder}/jaild.sock") as its:
        request = event_sinks_pb2.ListDeadLettersRequest(parent="eventSinks/hook")
        return [letter.event.sequence for letter in its.event_sinks.ListDeadLetters(request).dead_letters]
