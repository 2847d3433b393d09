"""What is printed for people and for programs."""

from __future__ import annotations

import json
from io import StringIO

import click
import pytest
import yaml
from google.longrunning import operations_pb2
from google.protobuf import descriptor_pool

from jaild.cli.main import command
from jaild.cli.output import listing, render
from jaild.v1 import common_pb2, jails_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation


def web(**fields: object) -> jails_pb2.Jail:
    spec = jails_pb2.JailSpec(base="debian-12", network=jails_pb2.Network(mode="vnet", addresses=["10.0.0.5/24"]))
    return jails_pb2.Jail(
        name="jails/web",
        state=jails_pb2.Jail.STATE_RUNNING,
        generation=3,
        base="bases/debian-12",
        release="apps/redis/releases/7.0",
        used_bytes=5 << 20,
        spec=spec,
        **fields,  # type: ignore[arg-type]
    )


def test_a_table_has_names_as_people_write_them(jailctl: Run, daemon: Daemon) -> None:
    daemon.jails = [web()]

    lines = jailctl("jail", "ls").stdout.splitlines()

    assert lines[0].split() == ["NAME", "STATE", "HEALTH", "BASE", "RELEASE", "UP", "NOTE"]
    assert lines[1].split() == ["web", "running", "-", "debian-12", "redis/7.0", "-", "-"]
    head, row = (line.split() for line in jailctl("jail", "ls", "-w").stdout.splitlines())
    wide = dict(zip(head, row, strict=True))
    assert (wide["GEN"], wide["ADDRESS"], wide["USED"]) == ("3", "10.0.0.5/24", "5M")


def test_a_list_has_the_same_columns_whatever_is_in_it(jailctl: Run, daemon: Daemon) -> None:
    daemon.jails = [web()]
    head, row = (line.split() for line in jailctl("jail", "ls").stdout.splitlines())
    assert (head[-1], row[-1], len(row)) == ("NOTE", "-", len(head))
    wide = jailctl("jail", "ls", "--wide").stdout.split()
    assert {"OWNER", "LABELS"} <= set(wide)


def test_columns_are_chosen_in_their_order_and_without_heads(jailctl: Run, daemon: Daemon) -> None:
    daemon.jails = [web()]
    assert jailctl("jail", "ls", "--columns", "state,name,labels", "--no-headers").stdout == "running  web  -\n"
    refused = jailctl("jail", "ls", "--columns", "nmae")
    assert (refused.exit_code, "there are name,state,health" in refused.stderr) == (2, True)


def test_an_id_is_shown_by_its_beginning_and_found_by_it(jailctl: Run, daemon: Daemon) -> None:
    first, second, third = ("0123456789ab" + "c" * 20, "0123456789ad" + "e" * 20, "f" * 32)
    assert listing.shortened([first, second, third]) == ["0123456789ab", "0123456789ad", "f" * 12]
    assert listing.shortened([first, first]) == ["01234567"] * 2
    daemon.listed = [operation(web(), name=f"operations/{each}") for each in (first, second, third)]
    assert jailctl("operation", "ls", "--columns", "id", "--no-headers").stdout.split() == [
        "0123456789ab",
        "0123456789ad",
        "f" * 12,
    ]
    assert jailctl("operation", "ls", "--columns", "id", "--no-headers", "-w").stdout.split()[0] == first
    daemon.gets = [daemon.listed[1]]
    jailctl("operation", "show", "0123456789ad")
    assert daemon.asked(operations_pb2.GetOperationRequest)[-1].name == f"operations/{second}"
    several = jailctl("operation", "show", "01234567")
    assert (several.exit_code, "2 of the operations begin with 01234567" in several.stderr) == (2, True)


def test_how_a_jail_is_stands_beside_its_state_and_its_last_failure_on_its_card(jailctl: Run, daemon: Daemon) -> None:
    sick = jails_pb2.HealthStatus.STATE_UNHEALTHY
    health = jails_pb2.HealthStatus(state=sick, failures=4, flaps=2, output="connection refused")
    daemon.jails = [web(health=health)]

    head, row = (line.split() for line in jailctl("jail", "ls").stdout.splitlines())
    assert row[head.index("HEALTH")] == "unhealthy"
    shown = jailctl("jail", "show", "web").stdout
    assert "unhealthy, failures in a row: 4, flaps: 2" in shown
    assert "last failure: connection refused" in shown


def test_a_crash_loop_is_a_state_and_the_card_says_how_often_it_ended(jailctl: Run, daemon: Daemon) -> None:
    jail = web(restarts=jails_pb2.RestartStatus(ends=6))
    jail.state = jails_pb2.Jail.STATE_CRASH_LOOP
    daemon.jails = [jail]

    assert "crash-loop" in jailctl("jail", "ls").stdout
    assert "ends of late: 6" in jailctl("jail", "show", "web").stdout


def test_json_has_the_apis_names_and_also_empty_fields(jailctl: Run, daemon: Daemon) -> None:
    daemon.jails = [web()]

    (jail,) = json.loads(jailctl("jail", "ls", "-o", "json").stdout)["jails"]

    assert jail["usedBytes"] == str(5 << 20)
    assert jail["state"] == "running"
    assert jail["operation"] == ""
    assert jail["standbys"] == []


def test_enums_are_words_in_json_wherever_they_stand(jailctl: Run, daemon: Daemon) -> None:
    problem = common_pb2.Problem(severity=common_pb2.SEVERITY_WARNING, code="X", message="m", hint="h")
    phases = [common_pb2.PhaseReport(name="plan", outcome=common_pb2.PHASE_OUTCOME_DONE)]
    jail = web(restarts=jails_pb2.RestartStatus(ends=6))
    jail.state = jails_pb2.Jail.STATE_CRASH_LOOP
    done = operation(jail, plan=common_pb2.Plan(problems=[problem]), phases=phases, facts={"a": "STATE_RUNNING"})
    daemon.gets = [done]
    shown = json.loads(jailctl("operation", "show", "op-1", "-o", "json").stdout)
    assert shown["response"]["state"] == "crash-loop"
    found = shown["metadata"]["plan"]["problems"]
    assert (found[0]["severity"], found[0]["hint"]) == ("warning", "h")
    assert (shown["metadata"]["plan"]["findings"], found[0]["remedy"]) == (found, "h")  # by their former names
    assert [descriptor_pool.Default().FindFieldByName(name).full_name for name in render.FORMERLY] == [*render.FORMERLY]
    assert shown["metadata"]["phases"][0]["outcome"] == "done"
    assert shown["metadata"]["facts"] == {"a": "STATE_RUNNING"}
    daemon.jails = [jails_pb2.Jail(name="jails/web")]
    assert json.loads(jailctl("jail", "show", "web", "-o", "json").stdout)["state"] == ""


def test_yaml_says_the_same_as_json(jailctl: Run, daemon: Daemon) -> None:
    daemon.jails = [web()]

    as_yaml = yaml.safe_load(jailctl("-o", "yaml", "jail", "show", "web").stdout)

    assert as_yaml == json.loads(jailctl("jail", "show", "jails/web", "-o", "json").stdout)


def test_an_empty_list_is_a_header_for_people_and_an_empty_list_for_programs(jailctl: Run) -> None:
    assert jailctl("jail", "ls").stdout.split()[:2] == ["NAME", "STATE"]
    assert json.loads(jailctl("jail", "ls", "-o", "json").stdout) == {"jails": []}


def test_all_pages_of_a_list_are_read(jailctl: Run) -> None:
    lines = jailctl("base", "ls").stdout.splitlines()

    assert [line.split()[0] for line in lines] == ["NAME", "debian-12", "debian-13"]
    assert "1.5G" in lines[1]


def test_a_limited_list_asks_for_no_more_and_shows_no_more(jailctl: Run) -> None:
    entries = json.loads(jailctl("host", "audit", "-n", "3", "-o", "json").stdout)["entries"]

    assert [entry["sequence"] for entry in entries] == ["0", "1", "2"]


def test_a_card_shows_the_spec_with_the_specs_own_field_names(jailctl: Run, daemon: Daemon) -> None:
    daemon.jails = [web(exit_status=0)]

    shown = jailctl("jail", "show", "web").stdout

    assert "addresses:" in shown
    assert "exit status: 0" in shown


def test_what_a_host_cannot_do_is_told_apart_from_what_it_can(jailctl: Run) -> None:
    shown = jailctl("host", "show").stdout
    assert "5 tasks" in shown
    assert "supersede web" in shown
    assert "3 times): beta is away" in shown

    assert "zfs can:     bookmarks\n" in shown
    assert "zfs cannot:  raw_send\n" in shown


def test_control_characters_of_others_never_reach_the_terminal(jailctl: Run, daemon: Daemon) -> None:
    daemon.jails = [web(message="gone\x1b[2J\nbad")]

    shown = jailctl("jail", "ls").stdout

    assert "\x1b" not in shown
    assert "gone\\x1b[2J bad" in shown


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_gets_colours_unless_no_color_is_set(
    monkeypatch: pytest.MonkeyPatch,
    no_color: str,
    coloured: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    with click.Context(command).scope():
        command.callback()  # type: ignore[misc]
        render.table(("NAME", "STATE"), [("[bold]web", "running")])
    assert ("\x1b[32m" in screen.getvalue()) is coloured
    assert "[bold]web" in screen.getvalue()


def test_the_downtimes_of_a_host_are_shown_as_bars_from_the_first_to_the_last_that_there_were(
    jailctl: Run,
) -> None:
    shown = jailctl("migration", "stats").stdout
    assert "median downtime: 700 ms" in shown
    table = shown[shown.index("DOWNTIME") :].splitlines()
    assert [line.split() for line in table] == [
        ["DOWNTIME", "MIGRATIONS"],
        ["0.1", "to", "0.5", "s", "3", "#" * 30],
        ["0.5", "to", "1", "s", "0"],
        ["1", "to", "2", "s", "1", "#" * 10],
    ]
    assert "LONGER THAN PREDICTED" not in shown


def test_a_migration_shows_what_its_downtime_was_made_of_and_that_its_prediction_was_a_lower_bound(
    jailctl: Run,
) -> None:
    shown = jailctl("migration", "show", "m").stdout
    parts = "stop 5.10 s, send 1.00 s, start 7.50 s"
    assert f"after before_stop 40 ms, {parts}, then readiness 300 ms, then after_start 50 ms" in shown
    assert "at least 1.20 s" in shown
    assert "at least 1.20 s" in jailctl("migration", "ls", "--wide").stdout


def test_a_card_has_no_values_of_the_environment_unless_they_are_asked_for(jailctl: Run, daemon: Daemon) -> None:
    jail = web()
    jail.spec.environment["PASSWORD"] = "hunter2"
    daemon.jails = [jail]

    assert "hunter2" not in jailctl("jail", "show", "web").stdout
    assert "PASSWORD: (redacted)" in jailctl("jail", "show", "web").stdout
    assert "PASSWORD: hunter2" in jailctl("jail", "show", "web", "--secrets").stdout
    assert "hunter2" in jailctl("jail", "show", "web", "-o", "yaml").stdout
