"""The pages over daemons of stubs: what they show, and what they do."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from google.longrunning import operations_pb2
from google.protobuf.message import Message

from jaild.v1 import (
    changes_pb2,
    common_pb2,
    contents_pb2,
    evacuations_pb2,
    histories_pb2,
    jails_pb2,
    migrations_pb2,
    rollouts_pb2,
)
from jaild.web.views import work
from tests.unit.cli.daemon import operation, status
from tests.unit.web.conftest import Browser
from tests.unit.web.daemon import Daemon

ROLLOUT = rollouts_pb2.Rollout
EVIL = '<script>alert(1)</script>"&\x1b[31m'


def running(state: Any = ROLLOUT.STATE_RUNNING) -> rollouts_pb2.Rollout:
    made = rollouts_pb2.Rollout(name="rollouts/r1", state=state, target="bases/debian-13", actor="src", message="why")
    made.steps.add(jail="jails/web", state=rollouts_pb2.RolloutStep.STATE_DONE).downtime.FromMilliseconds(812)
    made.steps.add(jail="jails/db", wave=1, reason="NOT_HEALTHY", message="it was sick", hint="look at its log")
    return made


def test_the_overview_has_a_host_that_answers_beside_one_that_does_not(browser: Browser) -> None:
    page = browser.text()
    assert '<th scope="row"><a href="' in page
    assert ">web</a>" in page
    assert "1 of 1 jail running" in page
    assert "unreachable" in page
    assert "there is no such socket: is jaild running?" in page
    assert "1 to look at" in page


def test_a_filter_and_a_page_are_in_the_address(browser: Browser) -> None:
    assert ">web</a>" in browser.text("?q=DEBIAN+web&host=alpha&show=running&page=7")
    for query in ("q=nothing", "host=beta", "show=stopped"):
        page = browser.text(f"?{query}")
        assert ">web</a>" not in page
        assert "None that is as asked for." in page


def test_what_a_daemon_says_is_text_wherever_it_stands(browser: Browser, daemon: Daemon) -> None:
    jail = jails_pb2.Jail(name="jails/web", state=jails_pb2.Jail.STATE_FAILED, message=EVIL, owner=EVIL, release=EVIL)
    jail.spec.labels[EVIL] = EVIL
    jail.health.output = EVIL
    jail.standbys.add(host=EVIL, behind=True, message=EVIL)
    daemon.answers["GetJail"] = jail
    daemon.answers["ListGenerations"] = jails_pb2.ListGenerationsResponse(
        generations=[jails_pb2.Generation(number=1, actor=EVIL, reason=EVIL)]
    )
    daemon.tell("jail.failed", "jails/web", EVIL)
    alpha = browser.fleet.sites[0]
    browser.until(lambda: alpha.jails["jails/web"].state == "failed")
    for page in ("", "hosts/alpha", "hosts/alpha/jails/web", f"?q={quote(EVIL)}"):
        text = browser.text(page)
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text
        assert "\x1b" not in text


def test_a_jails_page_has_its_generations_events_and_where_its_log_comes_from(browser: Browser, daemon: Daemon) -> None:
    generations = [
        jails_pb2.Generation(number=2, reason="deploy", parent=1, actor="ann"),
        jails_pb2.Generation(number=1),
    ]
    daemon.answers["ListGenerations"] = jails_pb2.ListGenerationsResponse(generations=generations)
    jail = jails_pb2.Jail(name="jails/web", state=jails_pb2.Jail.STATE_RUNNING, generation=2)
    jail.spec.environment["PASSWORD"] = "secret"
    daemon.answers["GetJail"] = jail
    daemon.tell("jail.started", "jails/web", "up again")
    page = browser.text("hosts/alpha/jails/web")
    assert 'aria-current="true"' in page
    assert "from 1" in page
    assert "up again" in page
    assert f'data-from="{browser.root}hosts/alpha/jails/web/log"' in page
    assert "PASSWORD" in page
    assert "secret" not in page


def test_a_jails_history_and_what_its_generations_differ_in(browser: Browser, daemon: Daemon) -> None:
    entries = [
        histories_pb2.HistoryEntry(
            kind="deploy", outcome="UNHEALTHY", message="sick", actor="ann", operation="operations/1"
        ),
        histories_pb2.HistoryEntry(kind="migrate", outcome="done", migration="migrations/2", source="a", target="b"),
        histories_pb2.HistoryEntry(kind="exec-in-jail", outcome="exit-3"),
    ]
    daemon.answers["ListJailHistory"] = histories_pb2.ListJailHistoryResponse(entries=entries)
    generations = [jails_pb2.Generation(number=4), jails_pb2.Generation(number=2)]
    daemon.answers["ListGenerations"] = jails_pb2.ListGenerationsResponse(generations=generations)
    page = browser.text("hosts/alpha/jails/web")
    for text in ("operations/1", "UNHEALTHY", "migrations/2", "a → b", "exec-in-jail", "jails/web/diff/2/4"):
        assert text in page, text
    found = contents_pb2.Comparison(from_base="bases/b1", to_base="bases/b2", notes=["too large"])
    found.spec.add(name="environment.PASSWORD", before="secret", after="hidden")
    found.packages.add(name="openssl", before="3.0", after="3.1")
    found.libraries.add(name="libx.so.1", before="")
    found.configuration.add(path="/etc/motd", change=contents_pb2.FileChange.CHANGE_CHANGED, diff="-old\n+new\n")
    found.base_file_counts.changed = 1200
    daemon.answers["CompareGenerations"] = found
    page = browser.text("hosts/alpha/jails/web/diff/2/4")
    for text in (
        "b1",
        "b2",
        "openssl",
        "3.1",
        "libx.so.1",
        "gone",
        "version not known",
        "+new",
        "1,200 changed",
        "too large",
        "PASSWORD",
        "(redacted)",
    ):
        assert text in page, text
    assert "secret" not in page
    assert "hidden" not in page
    (asked,) = daemon.requests(contents_pb2.CompareGenerationsRequest)
    assert (getattr(asked, "from"), asked.to) == (2, 4)
    daemon.answers["CompareGenerations"] = contents_pb2.Comparison()
    assert "nothing differs" in browser.text("hosts/alpha/jails/web/diff/2/4")
    assert browser.http.get(f"{browser.root}hosts/alpha/jails/web/diff/x/4").status_code == 404


def test_a_copy_has_no_log(browser: Browser, daemon: Daemon) -> None:
    daemon.answers["GetJail"] = jails_pb2.Jail(name="jails/web", state=jails_pb2.Jail.STATE_MOVED, peer="beta")
    page = browser.text("hosts/alpha/jails/web")
    assert "now on beta" in page
    assert 'id="log"' not in page


def test_what_the_api_refuses_is_told_with_reason_and_hint(browser: Browser, daemon: Daemon) -> None:
    daemon.answers["GetJail"] = status("NOT_FOUND", "JAIL_NOT_FOUND", "no such jail", hint="see jailctl jail ls")
    page = browser.text("hosts/alpha/jails/gone", 404)
    assert "no such jail" in page
    assert "JAIL_NOT_FOUND" in page
    assert "see jailctl jail ls" in page
    page = browser.text("hosts/beta/jails/web", 502)
    assert "is jaild running?" in page
    page = browser.text("hosts/nowhere", 404)
    assert "there is no such page" in page
    assert "there is no such page" in browser.text("hosts/nowhere/jails/web/log", 404)
    assert browser.http.get(f"{browser.root}nowhere").status_code == 404


def test_pages_of_what_goes_on(browser: Browser, daemon: Daemon) -> None:
    problem = common_pb2.Problem(
        severity=common_pb2.SEVERITY_ERROR, code="A_CODE", message="m", evidence=["line"], hint="do this"
    )
    plan = common_pb2.Plan(
        kind="deploy", steps=["stop", "start"], problems=[problem], from_generation=1, to_generation=2
    )
    going = operation(
        phase="seed", bytes_done=1 << 20, bytes_total=1 << 21, plan=plan, actor="ann", facts={"a_bytes": "7"}
    )
    evacuation = evacuations_pb2.Evacuation(name="evacuations/e1", targets=["beta"])
    evacuation.moves.add(jail="jails/web", target="beta", state=2, expected_bytes=8, sent_bytes=4, operation=going.name)
    migration = migrations_pb2.Migration(name="migrations/m1", jail="jails/web", source="alpha", target="beta")
    migration.downtime.FromMilliseconds(1500)
    migration.downtime_parts.stop.FromMilliseconds(310)
    answers: dict[str, Message] = {
        "GetOperation": going,
        "GetEvacuation": evacuation,
        "GetMigration": migration,
        "GetRollout": running(),
        "ListOperations": operations_pb2.ListOperationsResponse(operations=[going]),
        "ListRollouts": rollouts_pb2.ListRolloutsResponse(rollouts=[running()]),
        "ListEvacuations": evacuations_pb2.ListEvacuationsResponse(evacuations=[evacuation]),
    }
    daemon.answers |= answers
    daemon.tell("host.ready", "host")
    browser.until(lambda: len(browser.fleet.sites[0].works) == 3)
    expected = {
        "": ("Under way", "1M of 2M", "rollout to debian-13", "evacuation to beta", "by ann", "Pause…", "Cancel…"),
        "hosts/alpha": ("Under way", "1M of 2M"),
        "hosts/alpha/jails/web": ("Under way", "1M of 2M"),
        "hosts/alpha/operations/op-1": ("1M of 2M", "1 → 2", "<li>stop</li>", "A_CODE", "line", "do this", "a_bytes"),
        "hosts/alpha/rollouts/r1": ("1 of 2 jails", "812 ms", "NOT_HEALTHY", "look at its log", "canary"),
        "hosts/alpha/evacuations/e1": ("0 of 1 jail moved", "4B of 8B", "moving"),
        "hosts/alpha/migrations/m1": ("1.50 s", "310 ms", "alpha → beta"),
    }
    for path, texts in expected.items():
        page = browser.text(path)
        assert [text for text in texts if text not in page] == [], path
    failed = operation(
        error=status("ABORTED", "NOT_HEALTHY", "it did not pass", hint="see its log"), name="operations/2"
    )
    daemon.answers["GetOperation"] = failed
    page = browser.text("hosts/alpha/operations/2")
    assert "it did not pass" in page
    assert "see its log" in page


def steering(daemon: Daemon, method: str, after: Any) -> None:
    def steer(request: Any) -> rollouts_pb2.Rollout:
        made = running(after)
        if not request.validate_only:
            daemon.answers["GetRollout"] = made
        return made

    daemon.answers |= {"GetRollout": running(), method: steer}


def fields(page: str) -> dict[str, str]:
    found = (part.split('"') for part in page.split('<input type="hidden" name="')[1:])
    return {words[0]: words[2] for words in found}


def test_a_rollout_is_steered_after_its_plan_was_shown(browser: Browser, daemon: Daemon) -> None:
    for action, method, kind, after, word in (
        ("pause", "PauseRollout", rollouts_pb2.PauseRolloutRequest, ROLLOUT.STATE_PAUSED, "paused"),
        ("cancel", "CancelRollout", rollouts_pb2.CancelRolloutRequest, ROLLOUT.STATE_CANCELLING, "cancelling"),
    ):
        steering(daemon, method, after)
        path = f"hosts/alpha/do/{action}/r1"
        page = browser.text(path)
        assert f"running → {word}" in page
        assert [asked.validate_only for asked in daemon.requests(kind)] == [True]
        answer = browser.http.post(f"{browser.root}{path}", data=fields(page))
        assert answer.url.path == f"{browser.root}hosts/alpha/rollouts/r1"
        assert word in answer.text
        assert [asked.validate_only for asked in daemon.requests(kind)] == [True, False]
    steering(daemon, "ResumeRollout", ROLLOUT.STATE_RUNNING)
    page = browser.text("hosts/alpha/do/resume/r1")
    assert "nothing would change" in page
    assert "<button class" not in page


def test_a_change_is_confirmed_once_however_often_the_form_is_sent(browser: Browser, daemon: Daemon) -> None:
    plan = common_pb2.Plan(kind="confirm", target="jails/web", steps=["generation 4 stays"])
    planned, done = operation(plan), operation(jails_pb2.Jail(name="jails/web"), name="operations/c1")
    daemon.answers["ConfirmChange"] = lambda request: planned if request.validate_only else done
    daemon.answers["GetOperation"] = done
    page = browser.text("hosts/alpha/do/confirm/web")
    assert "generation 4 stays" in page
    for _ in range(2):
        answer = browser.http.post(f"{browser.root}hosts/alpha/do/confirm/web", data=fields(page))
        assert answer.url.path == f"{browser.root}hosts/alpha/operations/c1"
    _, *asked = daemon.requests(changes_pb2.ConfirmChangeRequest)
    assert [request.name for request in asked] == ["jails/web", "jails/web"]
    assert len({request.request_id for request in asked}) == 1


def test_a_plan_that_is_refused_has_no_button(browser: Browser, daemon: Daemon) -> None:
    refused = status("FAILED_PRECONDITION", "NOTHING_TO_CONFIRM", "no change waits", hint="see its generations")
    daemon.answers["ConfirmChange"] = refused
    page = browser.text("hosts/alpha/do/confirm/web", 409)
    assert "NOTHING_TO_CONFIRM" in page
    assert "<button class" not in page
    answer = browser.http.post(f"{browser.root}hosts/alpha/do/confirm/web", data={"form": browser.keys.form})
    assert answer.status_code == 409
    assert "see its generations" in answer.text
    stuck = common_pb2.Plan(problems=[common_pb2.Problem(severity=common_pb2.SEVERITY_ERROR, code="NO")])
    daemon.answers["ConfirmChange"] = operation(stuck)
    page = browser.text("hosts/alpha/do/confirm/web")
    assert "nothing to agree to" in page
    assert "<button class" not in page


def test_an_operation_and_an_evacuation_are_cancelled(browser: Browser, daemon: Daemon) -> None:
    daemon.answers["GetOperation"] = operation(phase="seed")
    evacuation = evacuations_pb2.Evacuation(name="evacuations/op-1", targets=["beta"])
    daemon.answers["GetEvacuation"] = evacuation
    for action, place in (("cancel-operation", "operations"), ("cancel-evacuation", "evacuations")):
        page = browser.text(f"hosts/alpha/do/{action}/op-1")
        assert "what has begun is undone in reverse" in page
        answer = browser.http.post(f"{browser.root}hosts/alpha/do/{action}/op-1", data=fields(page))
        assert answer.url.path == f"{browser.root}hosts/alpha/{place}/op-1"
    cancelled = daemon.requests(operations_pb2.CancelOperationRequest)
    assert [request.name for request in cancelled] == ["operations/op-1"] * 2
    daemon.answers["GetOperation"] = operation(jails_pb2.Jail())
    assert "nothing is left to cancel" in browser.text("hosts/alpha/do/cancel-operation/op-1")
    assert browser.http.get(f"{browser.root}hosts/alpha/do/delete/web").status_code == 404


def test_the_page_loads_nothing_from_elsewhere(browser: Browser) -> None:
    for path in ("", "hosts/alpha", "hosts/alpha/jails/web", "static/style.css", "static/live.js"):
        text = browser.text(path).replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text
        assert "https:" not in text
        assert "//" not in text.replace("unix://", "").replace("// ", "")


def test_a_migration_between_two_hosts_of_the_page_is_told_once(browser: Browser, daemon: Daemon) -> None:
    moving = operation(kind="migrate", phase="seed")
    coming = migrations_pb2.Migration(
        name="migrations/1", jail="jails/web", phase="receiving", source="alpha", target="beta"
    )
    daemon.answers["ListOperations"] = operations_pb2.ListOperationsResponse(operations=[moving])
    daemon.tell("host.ready", "host")
    alpha, beta = browser.fleet.sites
    browser.until(lambda: alpha.works)
    beta.works = [work.of_migration(coming)]
    page = browser.text()
    assert "1 under way" in page
    assert "migrations/1" not in page
    beta.works = [work.of_migration(migrations_pb2.Migration(name="migrations/1", jail="jails/db", phase="receiving"))]
    assert "2 under way" in browser.text()
