"""Taking jails over: what is asked of the daemon, what its refusal tells, how replicas are shown."""

from __future__ import annotations

import json
import time

from google.protobuf import timestamp_pb2

from jaild.v1 import jails_pb2, promotions_pb2, salvage_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation, status

JAIL = jails_pb2.Jail(name="jails/web", state=jails_pb2.Jail.STATE_RUNNING, generation=1, base="bases/b")
SENTENCE = "alpha is down"


def replica(host: str, age: float, *, behind: bool = False, message: str = "") -> jails_pb2.StandbyStatus:
    taken = timestamp_pb2.Timestamp(seconds=int(time.time() - age))
    return jails_pb2.StandbyStatus(host=host, recovery_point_time=taken, interval=60, behind=behind, message=message)


def test_a_promotion_is_asked_for_with_the_operators_words(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(JAIL, kind="promote", facts={"lost_since": "a time"})]
    result = jailctl("promote", "web", "--owner-is-down", "--confirm", SENTENCE)
    assert result.exit_code == 0
    assert "lost_since: a time" in result.stdout
    (request,) = daemon.asked(promotions_pb2.PromoteJailRequest)
    assert (request.name, request.owner_is_down, request.confirm) == ("jails/web", True, SENTENCE)


def test_a_refusal_tells_what_is_lost_and_the_words_to_say(jailctl: Run, daemon: Daemon) -> None:
    hint = f'say so: jailctl promote web --owner-is-down --confirm "{SENTENCE}"'
    daemon.answers = [
        status("FAILED_PRECONDITION", "CONFIRMATION_NEEDED", "42 s are lost", hint=hint, confirm=SENTENCE)
    ]
    result = jailctl("promote", "web")
    assert result.exit_code == 4
    assert "42 s are lost" in result.stderr
    assert hint in result.stderr


def test_an_adoption_is_by_force_or_not_at_all(jailctl: Run, daemon: Daemon) -> None:
    result = jailctl("adopt", "web", "--confirm", SENTENCE)
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert daemon.requests == []
    daemon.answers = [operation(JAIL, kind="adopt")]
    assert jailctl("adopt", "web", "--force", "--confirm", SENTENCE).exit_code == 0
    (request,) = daemon.asked(promotions_pb2.AdoptJailRequest)
    assert request.confirm == SENTENCE


def test_a_jail_that_waits_is_started_on_the_operators_word(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(JAIL, kind="start")] * 2
    for verb in ("force-start", "confirm"):  # what it was called
        assert jailctl("jail", verb, "web", "--confirm", "beta has not taken over web").exit_code == 0
    for request in daemon.asked(promotions_pb2.ForceStartJailRequest):
        assert request.confirm == "beta has not taken over web"


def test_replicas_are_shown_with_their_age_and_why_they_are_behind(jailctl: Run, daemon: Daemon) -> None:
    shown = jails_pb2.Jail(standbys=[replica("beta", 150), replica("gamma", 400, behind=True, message="no answer")])
    shown.MergeFrom(JAIL)
    daemon.jails = [shown]
    text = jailctl("jail", "show", "web").stdout
    assert "beta: 2m old, in time: 60 s" in text
    assert "gamma: 6m old, behind its 60 s; no answer" in text
    assert "standby gamma 6m old: behind" in jailctl("jail", "ls").stdout


def test_a_standby_is_shown_with_whose_it_is_and_how_old(jailctl: Run, daemon: Daemon) -> None:
    kept = jails_pb2.Jail(name="jails/web", state=jails_pb2.Jail.STATE_STANDBY, standbys=[replica("alpha", 150)])
    daemon.jails = [kept]
    assert "standby" in jailctl("jail", "ls").stdout
    assert "of alpha, 2m old, in time: 60 s" in jailctl("jail", "ls").stdout


def test_a_salvage_that_lost_something_ends_with_the_status_of_damaged_data(jailctl: Run, daemon: Daemon) -> None:
    error = status("DATA_LOSS", "SALVAGED_WITH_LOSS", "1 lost, 1 damaged", hint="jailctl jail data-loss web")
    daemon.answers = [operation(error=error, kind="salvage")]
    result = jailctl("jail", "salvage", "web", "--to", "beta")
    assert result.exit_code == 13
    assert "jailctl jail data-loss web" in result.stderr
    (request,) = daemon.asked(salvage_pb2.SalvageJailRequest)
    assert (request.name, request.target) == ("jails/web", "beta")


def test_losses_are_listed_with_what_is_missing_and_why(jailctl: Run, daemon: Daemon) -> None:
    span = salvage_pb2.ByteRange(**{"from": 131072, "to": 262144})
    daemon.report = salvage_pb2.SalvageReport(
        source="alpha",
        losses=[
            salvage_pb2.DataLoss(path="data/var/a", lost=True, reason="Input/output error"),
            salvage_pb2.DataLoss(path="data/var/b", reason="Input/output error", ranges=[span]),
        ],
    )
    lines = jailctl("jail", "data-loss", "web").stdout.splitlines()
    assert lines[1].split() == ["lost", "data/var/a", "-", "Input/output", "error"]
    assert lines[2].split() == ["damaged", "data/var/b", "131072-262144", "Input/output", "error"]
    told = json.loads(jailctl("jail", "damage", "web", "-o", "json").stdout)  # as it was called, and what was in it
    assert told["damages"] == told["losses"]
    assert told["losses"][0]["path"] == "data/var/a"
