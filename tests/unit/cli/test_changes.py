"""Changes: planned, carried out, watched, told, and what their exit status says."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import grpc
import pytest
import yaml
from google.longrunning import operations_pb2
from google.protobuf import duration_pb2, empty_pb2

from jaild.cli.client import waiting
from jaild.v1 import changes_pb2, common_pb2, events_pb2, jails_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation, status

DEPLOY = ("jail", "deploy", "web", "redis/7.2")
JAIL = jails_pb2.Jail(
    name="jails/web",
    state=jails_pb2.Jail.STATE_RUNNING,
    generation=4,
    base="bases/b",
    release="apps/redis/releases/7.2",
)


def plan(*severities: Any) -> common_pb2.Plan:
    problems = [
        common_pb2.Problem(
            severity=severity,
            code=f"CODE_{severity}",
            message="needs a symbol",
            subject="bin/redis",
            hint="push another",
            evidence=["memcpy@GLIBC_2.38"],
        )
        for severity in severities
    ]
    return common_pb2.Plan(kind="deploy", target="jails/web", steps=["cut over"], problems=problems, to_generation=4)


def test_a_change_is_watched_to_its_end_and_told_with_what_was_measured(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(phase="plan")]

    def watch(_context: Any) -> Iterator[Any]:
        yield operation(phase="stage", message="tree mounted")
        downtime = duration_pb2.Duration(nanos=312_000_000)
        yield operation(
            JAIL,
            phase="done",
            message="tree mounted",
            downtime=downtime,
            facts={"added_bytes": str(3 << 20), "files": "7"},
        )

    daemon.watches = [watch]
    result = jailctl(*DEPLOY)

    assert result.exit_code == 0
    assert result.stdout == (
        "deploy jails/web: running, generation 4, base b, release redis/7.2\n"
        "  downtime: 312 ms\n  added: 3M\n  files: 7\n"
    )
    assert result.stderr == "plan\nstage: tree mounted\n"
    assert daemon.asked(jails_pb2.DeployReleaseRequest)[0].release == "apps/redis/releases/7.2"


def test_problems_that_are_accepted_go_with_the_request_and_need_a_reason(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(JAIL)]

    jailctl(
        *DEPLOY, "--accept", "MISSING_LIBRARY:/usr/local/lib/x.so", "--accept", "BASE_TOO_OLD", "--because", "unused"
    )

    (request,) = daemon.asked(jails_pb2.DeployReleaseRequest)
    assert [(one.code, one.subject, one.reason) for one in request.accept] == [
        ("MISSING_LIBRARY", "/usr/local/lib/x.so", "unused"),
        ("BASE_TOO_OLD", "", "unused"),
    ]
    for half in (("--accept", "MISSING_LIBRARY"), ("--because", "unused")):
        result = jailctl(*DEPLOY, *half)
        assert (result.exit_code, "go together" in result.stderr) == (2, True)
    assert len(daemon.asked(jails_pb2.DeployReleaseRequest)) == 1


def test_no_wait_prints_the_operations_name_and_leaves(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation()]

    result = jailctl(*DEPLOY, "--no-wait", "--request-id", "r-1")

    assert result.stdout == "operations/op-1\n"
    assert daemon.asked(events_pb2.WatchOperationRequest) == []
    assert daemon.requests[0].request_id == "r-1"


def test_json_of_a_change_is_the_operation(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(JAIL)]

    told = json.loads(jailctl(*DEPLOY, "-o", "json").stdout)

    assert told["done"] is True
    assert told["response"]["generation"] == 4


def test_yaml_of_a_change_says_the_same_as_json(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(JAIL), operation(JAIL)]

    as_yaml = yaml.safe_load(jailctl(*DEPLOY, "-o", "yaml").stdout)

    assert as_yaml == json.loads(jailctl(*DEPLOY, "-o", "json").stdout)


def test_a_clean_plan_is_shown_and_ends_well(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(plan(common_pb2.SEVERITY_WARNING))]

    result = jailctl(*DEPLOY, "--plan")

    assert result.exit_code == 0
    assert daemon.requests[0].validate_only
    assert " 1. cut over" in result.stdout
    assert "problems: 1 warning" in result.stdout


def test_a_plan_with_an_error_is_shown_and_ends_as_refused(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(plan(common_pb2.SEVERITY_NOTE, common_pb2.SEVERITY_ERROR))]

    result = jailctl(*DEPLOY, "--plan")

    assert result.exit_code == 4
    assert result.stdout.index("CODE_1") < result.stdout.index("CODE_3")
    assert "| memcpy@GLIBC_2.38" in result.stdout


def test_a_refused_change_prints_every_problem_errors_first_and_what_to_do(jailctl: Run, daemon: Daemon) -> None:
    found = plan(common_pb2.SEVERITY_WARNING, common_pb2.SEVERITY_ERROR)
    daemon.answers = [status("FAILED_PRECONDITION", "PLAN_REFUSED", "refused", plan=found, hint="read", resource="r")]

    result = jailctl(*DEPLOY)

    assert result.exit_code == 4
    assert result.stdout == ""
    wanted = (
        "refused (PLAN_REFUSED)",
        "CODE_1 bin/redis: needs a symbol",
        "memcpy",
        "push another",
        "CODE_2",
        "hint: read",
    )
    places = [result.stderr.index(text) for text in wanted]
    assert places == sorted(places)


def test_a_hint_that_is_the_one_problems_own_is_printed_once(jailctl: Run, daemon: Daemon) -> None:
    found = plan(common_pb2.SEVERITY_ERROR)
    daemon.answers = [status("FAILED_PRECONDITION", "PLAN_REFUSED", "refused", plan=found, hint="push another")]
    assert jailctl(*DEPLOY).stderr.count("push another") == 1


def test_a_refused_request_is_json_on_stdout_with_the_same_shape_as_a_failed_operation(
    jailctl: Run, daemon: Daemon
) -> None:
    told = status("FAILED_PRECONDITION", "PLAN_REFUSED", "refused", plan=plan(common_pb2.SEVERITY_ERROR))
    daemon.answers = [told, operation(error=told)]

    refused = json.loads(jailctl(*DEPLOY, "-o", "json").stdout)
    failed = json.loads(jailctl(*DEPLOY, "-o", "json").stdout)

    assert refused["error"]["details"][0]["reason"] == failed["error"]["details"][0]["reason"] == "PLAN_REFUSED"
    assert refused["error"]["code"] == failed["error"]["code"] == 9


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"),
    [
        ("INTERNAL", "HEALTH_CHECK_FAILED", 10),
        ("FAILED_PRECONDITION", "HEALTH_CHECK_FAILED", 10),
        ("FAILED_PRECONDITION", "PLAN_REFUSED", 4),
        ("INTERNAL", "COMMAND_FAILED", 9),
        ("UNAVAILABLE", "PEER_UNAVAILABLE", 9),
        ("CANCELLED", "CANCELLED", 11),
        ("RESOURCE_EXHAUSTED", "POOL_FULL", 12),
        ("DATA_LOSS", "DIGEST_MISMATCH", 13),
    ],
)
def test_an_operations_error_decides_the_exit_status(
    jailctl: Run, daemon: Daemon, code: str, reason: str, exit_code: int
) -> None:
    daemon.answers = [operation(error=status(code, reason, "it failed", hint="look", output="curl: no"))]

    result = jailctl(*DEPLOY)

    assert result.exit_code == exit_code
    assert f"it failed ({reason})" in result.stderr
    assert "output: curl: no" in result.stderr


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("INVALID_ARGUMENT", 5),
        ("NOT_FOUND", 3),
        ("ALREADY_EXISTS", 6),
        ("PERMISSION_DENIED", 7),
        ("UNAUTHENTICATED", 7),
        ("UNAVAILABLE", 8),
        ("ABORTED", 11),
        ("INTERNAL", 1),
    ],
)
def test_a_requests_status_decides_the_exit_status(jailctl: Run, daemon: Daemon, code: str, exit_code: int) -> None:
    daemon.answers = [status(code, "REASON", "no")]

    assert jailctl("jail", "stop", "web").exit_code == exit_code


def test_problems_in_the_metadata_explain_an_operation_whose_error_has_none(jailctl: Run, daemon: Daemon) -> None:
    error = status("FAILED_PRECONDITION", "PLAN_REFUSED", "refused")
    daemon.answers = [operation(error=error, plan=plan(common_pb2.SEVERITY_ERROR))]

    assert "CODE_1" in jailctl(*DEPLOY).stderr


def test_a_watch_that_breaks_goes_on_by_asking_until_the_daemon_answers(
    jailctl: Run, daemon: Daemon, pauses: list[float]
) -> None:
    daemon.answers = [operation()]
    daemon.gets = [grpc.StatusCode.UNAVAILABLE, operation(phase="health-check")]

    def broken(context: Any) -> Iterator[Any]:
        yield operation(phase="stage")
        context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")

    def whole(_context: Any) -> Iterator[Any]:
        yield operation(JAIL)

    daemon.watches = [broken, whole]
    result = jailctl(*DEPLOY)

    assert result.exit_code == 0
    assert len(daemon.asked(operations_pb2.GetOperationRequest)) == 2
    assert pauses == [0.5, 1.0]


def test_a_daemon_that_was_away_is_reached_by_the_first_attempt_after_it_is_back(
    jailctl: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In some versions a channel of gRPC's poll engine never connects again then: tests/e2e/test_poll_engine.py.
    again = Daemon(daemon.address.removeprefix("unix://"))
    again.gets, again.watches = [operation(phase="stage")], [lambda _: iter([operation(JAIL)])]
    daemon.answers = [operation()]
    daemon.watches = [lambda context: context.abort(grpc.StatusCode.UNAVAILABLE, "gone")]
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            daemon.stop()
        if len(pauses) == 4:
            again.start()

    monkeypatch.setattr(waiting, "sleep", pause)
    result = jailctl(*DEPLOY)
    again.stop()

    assert result.exit_code == 0, result.output
    assert len(pauses) == 4


def test_a_daemon_that_never_comes_back_is_given_up_and_the_operation_named(
    jailctl: Run, daemon: Daemon, pauses: list[float]
) -> None:
    daemon.answers = [operation()]
    daemon.watches = [lambda context: context.abort(grpc.StatusCode.UNAVAILABLE, "gone")]
    daemon.gets = [grpc.StatusCode.UNAVAILABLE] * 15

    result = jailctl(*DEPLOY)

    assert result.exit_code == 8
    assert "jailctl operation wait operations/op-1" in result.stderr
    assert max(pauses) == 5.0


def test_the_first_interrupt_asks_to_cancel_and_goes_on_waiting(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation()]

    def interrupted(context: Any) -> Iterator[Any]:
        yield operation(phase="seed")
        os.kill(os.getpid(), signal.SIGINT)
        daemon.hang(context)

    def cancelled(_context: Any) -> Iterator[Any]:
        daemon.cancelled.wait(10)
        yield operation(error=status("CANCELLED", "CANCELLED", "cancelled"))

    daemon.watches = [interrupted, cancelled]
    result = jailctl(*DEPLOY)

    assert result.exit_code == 11
    assert daemon.asked(operations_pb2.CancelOperationRequest)[0].name == "operations/op-1"


def test_the_second_interrupt_leaves_even_when_the_first_was_refused(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation()]
    daemon.cancel_refused = status("FAILED_PRECONDITION", "TOO_LATE", "it is handed over")

    def interrupted(context: Any) -> Iterator[Any]:
        os.kill(os.getpid(), signal.SIGINT)
        daemon.hang(context)
        yield operation()

    daemon.watches = [interrupted, interrupted]
    result = jailctl(*DEPLOY)

    assert result.exit_code == 11
    assert "not cancelled: it is handed over" in result.stderr
    assert "operation wait operations/op-1" in result.stderr


def test_a_template_is_sent_with_its_values(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(JAIL)]

    jailctl("jail", "create", "web", "--template", "redis", "--set", "a=1", "--set", "b=x=y", "--stopped")

    (request,) = daemon.asked(jails_pb2.CreateJailRequest)
    assert request.spec.template == jails_pb2.Template(name="redis", values={"a": "1", "b": "x=y"})
    assert (request.jail_id, request.stopped) == ("web", True)


def test_a_spec_is_sent_as_it_was_written(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(JAIL)]

    jailctl("jail", "create", "web", "-f", "-", stdin=b"base: b  # mine\n")

    assert daemon.requests[0].spec.yaml == "base: b  # mine\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("jail", "create", "web"),
        ("jail", "create", "web", "--template", "t", "--set", "nonsense"),
        ("jail", "deploy", "web", "redis"),
        ("jail", "show", "apps/web"),
        ("jail", "migrate", "web", "beta", "--max-downtime", "soon"),
        ("nonsense",),
    ],
)
def test_a_wrong_command_line_never_reaches_the_daemon(
    jailctl: Run, daemon: Daemon, arguments: tuple[str, ...]
) -> None:
    assert jailctl(*arguments).exit_code == 2
    assert daemon.requests == []


def test_rollback_names_generation_and_axis(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(JAIL)]

    jailctl("jail", "rollback", "web", "--to", "2", "--axis", "base")

    (request,) = daemon.asked(jails_pb2.RollbackJailRequest)
    assert (request.generation, request.axis) == (2, jails_pb2.RollbackJailRequest.AXIS_BASE)


def test_a_deletion_says_that_it_is_done(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(empty_pb2.Empty(), kind="delete")]

    assert jailctl("jail", "rm", "web", "--force").stdout == "delete jails/web: done\n"
    assert daemon.requests[0].force


def edited(monkeypatch: pytest.MonkeyPatch, replacement: str) -> None:
    monkeypatch.setattr(click, "edit", lambda text, extension: text.replace("debian", replacement))  # noqa: ARG005


def test_edit_sends_the_edited_spec_with_the_etag_that_was_read(
    jailctl: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited(monkeypatch, "ubuntu")
    daemon.jails = [jails_pb2.Jail(name="jails/web", etag="e1", spec=jails_pb2.JailSpec(base="debian", quota="2G"))]
    daemon.answers = [operation(JAIL)]

    assert jailctl("jail", "edit", "web").exit_code == 0

    assert daemon.requests[0].etag == "e1"
    assert daemon.requests[0].spec.yaml == "base: ubuntu\nquota: 2G\n"


def test_edit_without_a_change_asks_for_nothing(jailctl: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    edited(monkeypatch, "debian")
    daemon.jails = [jails_pb2.Jail(name="jails/web", spec=jails_pb2.JailSpec(base="debian"))]

    assert jailctl("jail", "edit", "web").exit_code == 0
    assert daemon.requests == []


def test_what_was_typed_is_kept_when_an_edit_is_refused(
    jailctl: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    edited(monkeypatch, "ubuntu")
    daemon.jails = [jails_pb2.Jail(name="jails/web", spec=jails_pb2.JailSpec(base="debian"))]
    daemon.answers = [status("INVALID_ARGUMENT", "INVALID_SPEC", "line 1: no")]

    assert jailctl("jail", "edit", "web").exit_code == 5

    (kept,) = tmp_path.glob("jailctl-*.yaml")
    assert kept.read_text() == "base: ubuntu\n"


def test_the_status_of_an_operation_is_that_of_waiting_for_it(jailctl: Run, daemon: Daemon) -> None:
    daemon.gets = [operation(error=status("INTERNAL", "HEALTH_CHECK_FAILED", "unhealthy"))] * 2

    assert jailctl("operation", "wait", "op-1").exit_code == 10
    assert "HEALTH_CHECK_FAILED" in jailctl("operation", "show", "op-1").stdout


def test_an_operation_shows_how_long_each_phase_took_and_what_did_not_end_as_meant(
    jailctl: Run, daemon: Daemon
) -> None:
    took = duration_pb2.Duration(seconds=2)
    daemon.gets = [
        operation(
            phases=[
                common_pb2.PhaseReport(name="plan", duration=took, outcome="PHASE_OUTCOME_DONE"),
                common_pb2.PhaseReport(name="stage", duration=took, outcome="PHASE_OUTCOME_UNDONE"),
                common_pb2.PhaseReport(name="commit"),
            ],
            facts={"bytes": str(3 << 20), "added_bytes": str(1 << 10), "healthy": "true"},
        )
    ]

    lines = [" ".join(line.split()) for line in jailctl("operation", "show", "op-1").stdout.splitlines()]

    assert lines[lines.index("phases: plan 2.00 s") + 1 :][:2] == ["stage 2.00 s undone", "commit under way"]
    assert [line for line in lines if line.endswith(("3M", "1K"))] == ["facts: added: 1K", "bytes: 3M"]  # as at its end


def test_cancel_asks_for_it_and_says_how_to_see_the_end(jailctl: Run, daemon: Daemon) -> None:
    daemon.gets = [operation(cancel_requested=True)]

    result = jailctl("operation", "cancel", "op-1")

    assert daemon.cancelled.is_set()
    assert "jailctl operation wait op-1" in result.stderr


def test_a_change_that_waits_says_what_comes_back_and_how_to_keep_it(jailctl: Run, daemon: Daemon) -> None:
    waiting = jails_pb2.Jail(revert_generation=3, name="jails/web", generation=4, base="bases/b")
    waiting.revert_time.FromSeconds(1_800_000_000)
    daemon.answers = [operation(waiting), operation(JAIL, kind="confirm-change"), operation(JAIL, kind="revert")]

    deployed = jailctl(*DEPLOY, "--confirm-within", "10m")
    assert "generation 3 comes back at 2027-01-1" in deployed.stdout
    assert "jailctl jail confirm-change web" in deployed.stdout
    assert jailctl("jail", "confirm-change", "web").exit_code == 0
    assert jailctl("jail", "revert-change", "web").exit_code == 0

    (asked,) = daemon.asked(jails_pb2.DeployReleaseRequest)
    assert asked.confirm_within.seconds == 600
    assert [r.name for r in daemon.asked(changes_pb2.ConfirmChangeRequest)] == ["jails/web"]
    assert [r.name for r in daemon.asked(changes_pb2.RevertChangeRequest)] == ["jails/web"]


def test_a_change_that_is_staged_says_how_to_go_on(jailctl: Run, daemon: Daemon) -> None:
    kept = jails_pb2.StagedGeneration(generation=5, release="apps/web/releases/2", base="bases/b", reason="deploy")
    kept.actor = "ada"
    night = jails_pb2.JailSpec(base="b", maintenance=["02:00-05:00"])
    jail = jails_pb2.Jail(name="jails/web", generation=4, base="bases/b", staged=kept, spec=night)
    daemon.answers = [operation(jail, kind="stage"), operation(JAIL, kind="cutover"), operation(JAIL, kind="unstage")]
    daemon.jails = [jail]

    staged = jailctl(*DEPLOY, "--stage")
    assert staged.stdout.splitlines()[-3:] == [
        "  generation 5 is staged, to be cut over to:",
        "  jailctl jail cutover web",
        "  by itself: 02:00-05:00",
    ]
    assert jailctl("jail", "cutover", "web").exit_code == 0
    assert jailctl("jail", "unstage", "web").exit_code == 0
    assert [r.stage for r in daemon.asked(jails_pb2.DeployReleaseRequest)] == [True]
    assert [r.name for r in daemon.asked(changes_pb2.CutOverRequest)] == ["jails/web"]
    assert [r.name for r in daemon.asked(changes_pb2.UnstageRequest)] == ["jails/web"]
    assert "generation 5, deploy by ada: b web/2; by itself in 02:00-05:00" in jailctl("jail", "show", "web").stdout
    assert "generation 5 is staged" in jailctl("jail", "ls").stdout


def test_a_stop_by_force_says_so(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(JAIL, kind="stop"), operation(JAIL, kind="stop")]
    jailctl("jail", "stop", "web")
    jailctl("jail", "stop", "web", "--force")
    assert [request.force for request in daemon.asked(jails_pb2.StopJailRequest)] == [False, True]
