"""`jailctl find` and `sbom`: what a row says, and that nothing is left out in silence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jaild import client
from jaild.cli.output.exits import Exit
from jaild.v1 import contents_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon


def use(jail: str, generation: int, *, active: bool) -> contents_pb2.LayerUse:
    return contents_pb2.LayerUse(jail=f"jails/{jail}", generation=generation, active=active, state="running")


def match(**fields: Any) -> contents_pb2.ContentMatch:
    return contents_pb2.ContentMatch(**fields)


def found(layer: str = "bases/deb-1", **fields: Any) -> contents_pb2.FindContentsResponse:
    return contents_pb2.FindContentsResponse(layer=layer, **fields)


SSL = match(name="libssl.so.3", version="3.0.11", path="/usr/lib/libssl.so.3", package="libssl3")


def test_each_generation_on_a_layer_that_matches_is_a_row(jailctl: Run, daemon: Daemon) -> None:
    daemon.found = [
        found(matches=[SSL], uses=[use("web", 2, active=True)]),
        found(uses=[use("web", 1, active=False)]),
        found("bases/deb-0", matches=[match(name="libssl.so.3", path="/l", unsure=True)]),
    ]
    head, *rows = (line.split() for line in jailctl("find", "--library", "libssl.so.3<3.0.15").stdout.splitlines())
    assert head == ["JAIL", "GEN", "ACTIVE", "STATE", "IN", "FOUND"]
    assert rows == [
        ["web", "2", "yes", "running", "deb-1", "libssl.so.3", "3.0.11", "(libssl3)"],
        ["web", "1", "-", "running", "deb-1", "libssl.so.3", "3.0.11", "(libssl3)"],
        ["-", "-", "-", "-", "deb-0", "libssl.so.3", "version", "not", "known"],
    ]
    assert daemon.requests[-1].library == "libssl.so.3<3.0.15"


def test_active_generations_alone_can_be_asked_for(jailctl: Run, daemon: Daemon) -> None:
    daemon.found = [found(matches=[SSL], uses=[use("web", 2, active=True), use("db", 1, active=False)])]
    said = jailctl("find", "--library", "libssl.so.3", "--active", "--columns", "jail", "--no-headers").stdout
    assert said.split() == ["web"]


def test_a_layer_that_no_active_generation_is_on_is_not_told_with_active_ones(jailctl: Run, daemon: Daemon) -> None:
    daemon.found = [
        found(matches=[SSL], uses=[use("web", 1, active=False)]),
        found("bases/deb-2", matches=[SSL], problems=["more than 9 files"]),
        found("bases/deb-3", matches=[SSL], uses=[use("web", 2, active=True)]),
    ]
    said = jailctl("find", "--library", "libssl.so.3", "--active", "--columns", "jail,in", "--no-headers")
    assert said.stdout.split() == ["web", "deb-3"]
    assert "deb-2: more than 9 files" in said.stderr
    layers = json.loads(jailctl("find", "--library", "libssl.so.3", "--active", "-o", "json").stdout)["layers"]
    assert [layer["layer"] for layer in layers] == ["bases/deb-2", "bases/deb-3"]


def test_many_matches_are_cut_in_a_row_and_whole_for_programs(jailctl: Run, daemon: Daemon) -> None:
    daemon.found = [
        found(matches=[match(name=f"lib{n}", version="1") for n in range(5)], uses=[use("a", 1, active=True)])
    ]
    assert "lib2 1 and 2 more" in jailctl("find", "--package", "lib*").stdout
    (layer,) = json.loads(jailctl("find", "--package", "lib*", "-o", "json").stdout)["layers"]
    assert len(layer["matches"]) == 5
    daemon.found = [found(matches=[match(name="sha256:ab", path="/bin/sh")])]
    assert "/bin/sh" in jailctl("find", "--file", "/bin/sh").stdout


def test_a_layer_that_was_not_looked_at_is_told_and_is_the_exit_status(jailctl: Run, daemon: Daemon) -> None:
    daemon.found = [found(not_indexed="what it holds is not in an index yet"), found("bases/b", problems=["too much"])]
    result = jailctl("find", "--package", "openssl")
    assert result.exit_code == Exit.UNAVAILABLE
    assert "deb-1: what it holds is not in an index yet" in result.stderr
    assert "b: too much" in result.stderr
    assert len(result.stdout.splitlines()) == 1


def test_all_contexts_are_asked_and_one_that_is_silent_is_told(jailctl: Run, daemon: Daemon) -> None:
    for name, address in (("here", daemon.address), ("away", "/nowhere.sock")):
        assert jailctl("context", "add", name, "--address", address).exit_code == 0
    daemon.found = [found(matches=[SSL], uses=[use("web", 2, active=True)])]
    result = jailctl("find", "--library", "libssl.so.3", "-A")
    assert result.stdout.splitlines()[1].split()[:2] == ["here", "web"]
    assert "away" in result.stderr
    assert result.exit_code == Exit.UNAVAILABLE
    (layer,) = json.loads(jailctl("find", "--library", "libssl.so.3", "-A", "-o", "json").stdout)["layers"]
    assert layer["context"] == "here"


def test_that_nothing_is_found_is_said_and_the_table_stays_one(jailctl: Run) -> None:
    ended = jailctl("find", "--file", "/nowhere")
    assert (ended.exit_code, ended.stderr, len(ended.stdout.splitlines())) == (0, "nothing is found by that\n", 1)


@pytest.mark.parametrize("asked", [(), ("--library", "a", "--package", "b")])
def test_one_thing_is_asked_for(jailctl: Run, asked: tuple[str, ...]) -> None:
    assert jailctl("find", *asked).exit_code == Exit.USAGE


def test_a_bill_of_materials_is_printed_as_it_is(jailctl: Run, daemon: Daemon) -> None:
    for noun, name, asked in (("base", "deb-1", "bases/deb-1"), ("app", "web/1", "apps/web/releases/1")):
        assert json.loads(jailctl(noun, "sbom", name).stdout) == {"bomFormat": "CycloneDX"}
        assert daemon.requests[-1].name == asked
    assert jailctl("base", "sbom", "deb-1", "-o", "yaml").stdout == "bomFormat: CycloneDX\n"


def test_an_answer_may_be_as_large_as_a_daemon_sends_it(daemon: Daemon) -> None:
    """gRPC's own bound is 4 MiB: a bill of materials with 12,000 packages would not come."""
    daemon.comparison = contents_pb2.Comparison(notes=["x" * (5 << 20)])
    with client.connect(daemon.address) as api:
        found = api.contents.CompareGenerations(contents_pb2.CompareGenerationsRequest(name="jails/web"))
    assert len(found.notes[0]) == 5 << 20
