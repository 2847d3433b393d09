"""`jailctl event-sink`, and events by a filter."""

from __future__ import annotations

import json

from jaild.v1 import event_sinks_pb2, events_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon


def test_sinks_are_listed_with_what_they_were_not_given(jailctl: Run) -> None:
    head, line = jailctl("event-sink", "ls").stdout.splitlines()
    assert head.split() == ["NAME", "KIND", "STATE", "DELIVERED", "LAST", "KEPT", "LOST"]
    assert line.split() == ["pager", "webhook", "failing", "7", "-", "1", "3"]
    assert "https://pager.example" in jailctl("event-sink", "ls", "--wide").stdout


def test_one_is_shown_with_its_dead_letters(jailctl: Run) -> None:
    shown = jailctl("event-sink", "show", "pager").stdout
    assert "no answer within 10 s" in shown
    assert "2, 1 kept" in shown
    assert shown.splitlines()[-1].split()[0] == "812"
    found = json.loads(jailctl("event-sink", "show", "pager", "-o", "json").stdout)
    assert (found["event_sink"]["name"], found["dead_letters"][0]["event"]["sequence"]) == ("eventSinks/pager", "812")


def test_dead_letters_are_sent_again_all_or_those_of_some_events_or_forgotten(jailctl: Run, daemon: Daemon) -> None:
    assert jailctl("event-sink", "replay", "pager").stdout == "pager: send 1 event again\n"
    assert "plan: replay eventSinks/pager" in jailctl("event-sink", "replay", "pager", "812", "--plan").stdout
    first, second = daemon.asked(event_sinks_pb2.ReplayDeadLettersRequest)
    assert (list(first.sequences), first.validate_only) == ([], False)
    assert (list(second.sequences), second.validate_only) == ([812], True)
    assert "nothing to change" in jailctl("event-sink", "discard", "pager", "--plan").stdout
    assert jailctl("event-sink", "discard", "pager").stdout == "pager: forget 0 events\n"


def test_events_are_asked_for_by_a_filter(jailctl: Run, daemon: Daemon) -> None:
    jailctl("events", "--filter", 'kind = "jail.*"')
    (request,) = daemon.asked(events_pb2.WatchEventsRequest)
    assert request.filter == 'kind = "jail.*"'
