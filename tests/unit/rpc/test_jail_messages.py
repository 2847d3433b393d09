"""Jails that are encoded once for many lists."""

from __future__ import annotations

import msgspec
import pytest

from jaild.jails import rpc
from jaild.jails.rpc import JailMessages
from jaild.model.access import Role
from jaild.model.jails.liveness import Health, HealthStatus
from jaild.model.jails.restarts import RestartRecord, Verdict
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Generation
from jaild.model.views import Caller, JailState, JailView
from jaild.rpc.messages.jails import jail_message
from jaild.v1 import jails_pb2

GENERATION = Generation(number=1, spec=JailSpec(base="debian-12", environment={"KEY": "secret"}), base="debian-12")
BOSS = Caller(actor="boss", roles=frozenset({Role.OPERATOR}))
VIEWER = Caller(actor="viewer", roles=frozenset({Role.VIEWER}))
ENDED = RestartRecord(uid="u", boot="b", generation=1, ends=(5.0, 6.0), verdict=Verdict.AGAIN, due=8.0)
VIEW = JailView(name="web", state=JailState.STOPPED, generation=GENERATION)


def sent(messages: JailMessages, view: JailView, caller: Caller = BOSS) -> jails_pb2.Jail:
    return jails_pb2.ListJailsResponse.FromString(messages.encoded(view, caller)).jails[0]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the jails that a message was made of."""
    names: list[str] = []

    def counted(view: JailView, caller: Caller) -> jails_pb2.Jail:
        names.append(view.name)
        return jail_message(view, caller)

    monkeypatch.setattr(rpc, "jail_message", counted)
    return names


def test_a_jail_that_did_not_change_is_encoded_once(made: list[str]) -> None:
    messages = JailMessages()
    assert sent(messages, VIEW) == jail_message(VIEW, BOSS)
    assert sent(messages, msgspec.structs.replace(VIEW)) == jail_message(VIEW, BOSS)
    assert made == ["web"]


def test_a_jail_that_changed_in_anything_is_encoded_anew() -> None:
    spec = msgspec.structs.replace(GENERATION.spec, labels={"team": "edge"})
    for changed in (
        msgspec.structs.replace(VIEW, state=JailState.RUNNING),
        msgspec.structs.replace(VIEW, used=1),
        msgspec.structs.replace(VIEW, restarts=ENDED),
        msgspec.structs.replace(
            VIEW, health=HealthStatus(state=Health.UNHEALTHY, since=9.0, failures=3, output="sick")
        ),
        msgspec.structs.replace(VIEW, operation="operations/1"),
        msgspec.structs.replace(VIEW, generation=msgspec.structs.replace(GENERATION, spec=spec)),
    ):
        messages = JailMessages()
        sent(messages, VIEW)
        assert sent(messages, changed) == jail_message(changed, BOSS)


def test_when_a_jail_is_started_again_is_told_of_one_that_does_not_run() -> None:
    told = jail_message(msgspec.structs.replace(VIEW, restarts=ENDED), BOSS).restarts
    assert (told.ends, told.last_end_time.seconds, told.next_start_time.seconds) == (2, 6, 8)
    runs = msgspec.structs.replace(VIEW, restarts=ENDED, state=JailState.RUNNING, started=7.0)
    assert not jail_message(runs, BOSS).restarts.HasField("next_start_time")


def test_who_may_not_see_values_gets_none_that_were_encoded_for_another() -> None:
    messages = JailMessages()
    assert sent(messages, VIEW, BOSS).spec.environment["KEY"] == "secret"
    assert sent(messages, VIEW, VIEWER) == jail_message(VIEW, VIEWER)
    assert sent(messages, VIEW, VIEWER).spec.environment["KEY"] != "secret"


def test_jails_that_are_sent_one_after_the_other_are_a_list_of_them() -> None:
    messages = JailMessages()
    views = [msgspec.structs.replace(VIEW, name=name) for name in ("a", "b", "c")]
    token = jails_pb2.ListJailsResponse(next_page_token="t").SerializeToString()
    answer = jails_pb2.ListJailsResponse.FromString(b"".join([token, *(messages.encoded(v, BOSS) for v in views)]))
    assert list(answer.jails) == [jail_message(view, BOSS) for view in views]
    assert answer.next_page_token == "t"


def test_a_jail_that_is_gone_is_forgotten(made: list[str]) -> None:
    messages, other = JailMessages(), msgspec.structs.replace(VIEW, name="other")
    for view in (VIEW, other):
        sent(messages, view)
    messages.forget_others(["other"])
    for view in (VIEW, other):
        sent(messages, view)
    assert made == ["web", "other", "web"]
