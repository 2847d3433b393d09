from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaild.engine.dispatcher import QUEUE_LIMIT, Accepted, Denied, Duplicate, admit
from jaild.model.operation import Operation

KINDS = ("create", "deploy", "upgrade", "configure", "rollback", "start", "stop", "delete", "migrate", "finalize")
kinds = st.sampled_from(KINDS)
queues = st.lists(
    st.builds(Operation, id=st.uuids().map(str), kind=kinds, target=st.just("jails/web")), max_size=QUEUE_LIMIT + 4
)


def operation(kind: str) -> Operation:
    return Operation(id=f"id-of-{kind}", kind=kind, target="jails/web")


def test_a_request_on_an_idle_jail_is_accepted() -> None:
    assert admit([], "deploy", None) == Accepted()


def test_changes_of_two_teams_queue_up() -> None:
    assert admit([operation("upgrade")], "deploy", None) == Accepted()


@pytest.mark.parametrize(("last", "reason"), [("delete", "JAIL_DELETING"), ("migrate", "JAIL_MIGRATING")])
def test_nothing_follows_what_takes_the_jail_away(last: str, reason: str) -> None:
    decision = admit([operation("deploy"), operation(last)], "start", None)
    assert isinstance(decision, Denied)
    assert decision.reason == reason
    assert f"operations/id-of-{last}" in decision.message
    assert f"jailctl operation cancel id-of-{last}" in decision.hint


def test_a_jail_may_be_taken_away_behind_what_is_queued() -> None:
    assert admit([operation("deploy")], "delete", None) == Accepted()


def test_a_runaway_caller_is_stopped_at_the_limit() -> None:
    queue = [operation("deploy")] * QUEUE_LIMIT
    assert admit(queue[1:], "deploy", None) == Accepted()
    decision = admit(queue, "deploy", None)
    assert isinstance(decision, Denied)
    assert decision.reason == "JAIL_QUEUE_FULL"


@given(queues, kinds)
def test_a_duplicate_is_always_answered_with_the_first_operation(queue: list[Operation], kind: str) -> None:
    first = operation(kind)
    assert admit(queue, kind, first) == Duplicate(first)


@given(queues, kinds)
def test_a_request_is_accepted_exactly_when_the_jail_stays_and_there_is_room(queue: list[Operation], kind: str) -> None:
    decision = admit(queue, kind, None)
    stays = not {"delete", "migrate"} & {waiting.kind for waiting in queue}
    assert isinstance(decision, Accepted) == (stays and len(queue) < QUEUE_LIMIT)


@given(queues, kinds)
def test_a_denial_says_a_reason_and_what_to_do(queue: list[Operation], kind: str) -> None:
    decision = admit(queue, kind, None)
    if isinstance(decision, Denied):
        assert decision.reason in {"JAIL_DELETING", "JAIL_MIGRATING", "JAIL_QUEUE_FULL"}
        assert decision.message
        assert decision.hint


@given(queues, kinds)
def test_what_was_denied_is_denied_behind_a_longer_queue_too(queue: list[Operation], kind: str) -> None:
    if isinstance(admit(queue, kind, None), Denied):
        assert isinstance(admit([*queue, operation("deploy")], kind, None), Denied)
