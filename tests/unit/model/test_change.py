from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from jaild.model.jails import validation as speccheck
from jaild.model.jails.change import Axis, Change, Configure, Deploy, Draft, Rollback, Upgrade
from jaild.model.jails.redaction import REDACTED, redacted
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Generation


def generation(number: int, base: str, app: str | None, quota: str) -> Generation:
    spec = JailSpec(base=base, app=app, quota=quota)
    return Generation(number=number, spec=spec, base=base, release=app or "")


HISTORY = {
    g.number: g
    for g in (
        generation(1, "b1", "web/1", "1G"),
        generation(2, "b1", "web/2", "1G"),
        generation(3, "b2", "web/2", "1G"),
        generation(4, "b2", "web/2", "2G"),
        generation(5, "b2", "web/2", "2G"),
    )
}
NOW = HISTORY[5]


def apply(change: Change, current: Generation = NOW, older: Mapping[int, Generation] = HISTORY) -> Draft:
    return change.apply(current, older)


def test_a_deploy_moves_the_app_and_nothing_else() -> None:
    assert apply(Deploy("web/3")) == Draft("deploy", msgspec.structs.replace(NOW.spec, app="web/3"), "b2")


def test_an_upgrade_moves_the_base_and_nothing_else() -> None:
    assert apply(Upgrade("b3")) == Draft("upgrade", msgspec.structs.replace(NOW.spec, base="b3"), "b3")


def test_two_teams_changes_compose_in_either_order() -> None:
    one = apply(Upgrade("b3"), msgspec.structs.replace(NOW, spec=apply(Deploy("web/3")).spec)).spec
    other = apply(Deploy("web/3"), msgspec.structs.replace(NOW, spec=apply(Upgrade("b3")).spec)).spec
    assert one == other == msgspec.structs.replace(NOW.spec, base="b3", app="web/3")


def test_a_configure_takes_the_spec_on_the_same_base_and_app() -> None:
    spec = msgspec.structs.replace(NOW.spec, quota="9G", hostname="w")
    assert apply(Configure(spec)) == Draft("configure", spec, "b2")


def test_a_value_that_was_not_shown_is_kept_when_its_spec_is_sent_back() -> None:
    secret = msgspec.structs.replace(NOW.spec, environment={"PASSWORD": "x", "COLOUR": "red"})
    current = msgspec.structs.replace(NOW, spec=secret)
    assert apply(Configure(redacted(secret)), current) == Draft("configure", secret, "b2")
    changed = msgspec.structs.replace(redacted(secret), environment={"PASSWORD": REDACTED, "COLOUR": "blue"})
    assert apply(Configure(changed), current).spec.environment == {"PASSWORD": "x", "COLOUR": "blue"}


def test_a_redacted_value_that_the_jail_has_not_never_becomes_its_value() -> None:
    renamed = msgspec.structs.replace(NOW.spec, environment={"SECRET": REDACTED})
    current = msgspec.structs.replace(NOW, spec=msgspec.structs.replace(NOW.spec, environment={"PASSWORD": "x"}))
    spec = apply(Configure(renamed), current).spec
    assert [(problem.code, problem.subject) for problem in speccheck.check(spec)] == [
        ("INVALID_SPEC", "$.environment.SECRET")
    ]


@pytest.mark.parametrize(
    ("field", "value", "command"), [("base", "b3", "upgrade"), ("app", "web/3", "deploy"), ("app", None, "deploy")]
)
def test_a_configure_that_would_move_another_axis_is_refused_and_told_the_command(
    field: str, value: str | None, command: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        apply(Configure(msgspec.structs.replace(NOW.spec, **{field: value})))
    assert caught.value.reason == "OTHER_AXIS"
    assert command in caught.value.hint
    assert caught.value.detail["field"] == f"$.{field}"


def test_a_rollback_cuts_over_to_the_generation_before_as_it_is() -> None:
    assert apply(Rollback()) == Draft("rollback", HISTORY[4].spec, "b2", cut_to=4)
    assert apply(Rollback(), HISTORY[3]) == Draft("rollback", HISTORY[2].spec, "b1", cut_to=2)


@pytest.mark.parametrize("number", [1, 4])
def test_a_rollback_to_a_number_cuts_over_to_that_one(number: int) -> None:
    assert apply(Rollback(number)) == Draft("rollback", HISTORY[number].spec, HISTORY[number].base, cut_to=number)


def test_after_a_rollback_one_may_go_forward_again_by_number() -> None:
    assert apply(Rollback(5), HISTORY[2]).cut_to == 5


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (Axis.BASE, JailSpec(base="b1", app="web/2", quota="2G")),  # generation 2
        (Axis.APP, JailSpec(base="b2", app="web/1", quota="2G")),  # generation 1
        (Axis.SPEC, JailSpec(base="b2", app="web/2", quota="1G")),  # generation 3
    ],
)
def test_a_rollback_of_one_axis_finds_the_newest_that_differs_in_it_and_leaves_the_others(
    axis: Axis, expected: JailSpec
) -> None:
    assert apply(Rollback(axis=axis)) == Draft("rollback", expected, expected.base)


def test_a_rollback_of_one_axis_to_a_number_takes_that_axis_alone() -> None:
    assert apply(Rollback(1, Axis.APP)).spec == msgspec.structs.replace(NOW.spec, app="web/1")


@pytest.mark.parametrize("axis", list(Axis))
def test_without_an_older_one_that_differs_there_is_nothing_to_roll_back(axis: Axis) -> None:
    with pytest.raises(FailedPreconditionError) as caught:
        apply(Rollback(axis=axis), HISTORY[1])
    assert caught.value.reason == "NOTHING_TO_ROLL_BACK"


def test_an_axis_that_never_moved_cannot_be_rolled_back() -> None:
    older = {3: HISTORY[3], 4: HISTORY[4], 5: NOW}
    with pytest.raises(FailedPreconditionError) as caught:
        apply(Rollback(axis=Axis.BASE), older=older)
    assert caught.value.reason == "NOTHING_TO_ROLL_BACK"


@pytest.mark.parametrize("axis", list(Axis))
def test_a_rollback_to_the_active_generation_is_refused(axis: Axis) -> None:
    with pytest.raises(FailedPreconditionError) as caught:
        apply(Rollback(5, axis))
    assert caught.value.reason == "GENERATION_ACTIVE"


def test_a_generation_that_was_dropped_meanwhile_is_told_with_those_that_are_left() -> None:
    with pytest.raises(NotFoundError) as caught:
        apply(Rollback(1), older={4: HISTORY[4], 5: NOW})
    assert caught.value.reason == "GENERATION_NOT_FOUND"
    assert "4, 5" in caught.value.hint


FOLLOWING = msgspec.structs.replace(NOW, spec=msgspec.structs.replace(NOW.spec, base="", channel="stable"))


def test_a_channel_is_looked_up_when_the_base_is_set_and_at_no_other_change() -> None:
    assert apply(Upgrade(channel="stable")) == Draft("upgrade", FOLLOWING.spec, "")
    assert apply(Upgrade("b3", "stable")) == Draft("upgrade", FOLLOWING.spec, "b3")
    for change in (Deploy("web/3"), Configure(FOLLOWING.spec), Rollback(1, Axis.APP), Rollback(3, Axis.SPEC)):
        draft = apply(change, FOLLOWING)
        assert (draft.base, draft.spec.base, draft.spec.channel) == ("b2", "", "stable")


def test_an_upgrade_to_a_base_by_its_name_follows_no_channel_any_more() -> None:
    assert apply(Upgrade("b3"), FOLLOWING) == Draft("upgrade", msgspec.structs.replace(NOW.spec, base="b3"), "b3")


def test_following_a_channel_is_of_the_base_axis() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        apply(Configure(FOLLOWING.spec))
    assert caught.value.reason == "OTHER_AXIS"
    history = {**HISTORY, 6: msgspec.structs.replace(FOLLOWING, number=6)}
    assert apply(Rollback(axis=Axis.BASE), history[6], history) == Draft("rollback", NOW.spec, "b2")
    behind = msgspec.structs.replace(history[6], number=7, base="b3")
    assert apply(Rollback(axis=Axis.BASE), behind, {**history, 7: behind}) == Draft("rollback", FOLLOWING.spec, "b2")
