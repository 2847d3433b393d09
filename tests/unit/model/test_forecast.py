"""What a hand-over is expected to take: from what stops, starts and moves took."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaild.model.migration.budget import Parts
from jaild.model.migration.forecast import ALLOWANCE, FixedCost, fixed_cost, usual
from jaild.model.migration.journal import Journal, Phase, missed
from jaild.model.migration.protocol import JailOffer, Offer

OFFER = Offer(
    migration="m",
    source_id="s",
    source_name="alpha",
    jail=JailOffer(name="web", uid="u", epoch=1, generation=1, generation_json="{}"),
)
JOURNAL = Journal(id="m", jail="web", outgoing=True, peer="beta", phase=Phase.ACTIVATED, offer=OFFER, epoch=2)
MOVED = Parts(stop=2.0, flush=0.2, snapshot=0.1, send=1.0, verify=0.4, mounts=0.9, start=4.0, readiness=30.0)


def moved(parts: Parts | None = MOVED, *, jail: str = "web", peer: str = "beta", **how: object) -> Journal:
    """Return a move whose last increment took what was predicted."""
    measured = {} if parts is None else {"downtime": parts.downtime, "predicted_send": parts.send or 0.0}
    return msgspec.structs.replace(JOURNAL, jail=jail, peer=peer, parts=parts, **({"predicted": 9.0} | measured | how))


def expected(*moves: Journal, here: Parts | None = None, there: Parts | None = None) -> FixedCost:
    return fixed_cost("web", "beta", moves, here or Parts(), there or Parts())


def test_the_health_checks_are_no_part_of_a_downtime() -> None:
    assert MOVED.downtime == pytest.approx(8.6)
    assert str(MOVED) == (
        "stop 2.0 s, flush 0.2 s, snapshot 0.1 s, send 1.0 s, verify 0.4 s, mounts 0.9 s, start 4.0 s"
    )


def test_of_a_jail_that_never_stopped_or_started_only_a_lower_bound_is_known() -> None:
    for here in (Parts(), Parts(stop=5.0), Parts(start=9.0)):
        found = expected(here=here)
        assert found.at_least
        assert found.seconds == here.downtime + ALLOWANCE


def test_a_first_move_is_expected_to_take_what_stop_and_start_took_here() -> None:
    found = expected(here=Parts(stop=5.0, mounts=0.5, start=9.0))
    assert not found.at_least
    assert found.seconds == 14.5 + ALLOWANCE
    assert str(found) == f"stop 5.0 s, mounts 0.5 s, start 9.0 s, {ALLOWANCE:.1f} s not measured yet"


def test_what_the_target_says_of_its_starts_counts_before_the_start_here_and_the_own_start_there_before_both() -> None:
    here, there = Parts(stop=1.0, start=1.0), Parts(mounts=0.2, start=7.0)
    assert expected(here=here, there=there).parts.start == 7.0
    assert expected(moved(peer="gamma"), here=here, there=there).parts.start == 7.0
    assert expected(moved(jail="db"), here=here, there=there).parts.start == 7.0
    assert expected(moved(), here=here, there=there).parts.start == MOVED.start


def test_the_last_stop_here_counts_before_that_of_an_earlier_move_and_no_other_jails_stop_does() -> None:
    assert expected(moved(), here=Parts(stop=0.3)).parts.stop == 0.3
    assert expected(moved(peer="gamma")).parts.stop == MOVED.stop
    assert expected(moved(jail="db")).parts.stop is None


def test_flush_snapshot_and_verification_are_expected_as_in_the_newest_moves_of_any_jail() -> None:
    moves = [
        moved(msgspec.structs.replace(MOVED, flush=float(number)), jail=f"j{number}", created=number)
        for number in range(9)
    ]
    found = expected(*moves, here=Parts(stop=1.0, start=1.0))
    assert found.parts == Parts(stop=1.0, flush=6.0, snapshot=0.1, verify=0.4, mounts=0.9, start=1.0)
    assert found.allowance == 0.0


def test_the_last_increment_is_no_fixed_cost() -> None:
    assert expected(moved()).parts.send is None


def test_a_test_migration_tells_of_mounts_and_start_only() -> None:
    tested = moved(Parts(mounts=2.0, start=3.0), downtime=None, created=5.0)
    found = expected(moved(), tested, here=Parts(stop=1.0))
    assert (found.parts.mounts, found.parts.start, found.parts.verify) == (2.0, 3.0, MOVED.verify)
    assert expected(tested, here=Parts(stop=1.0)).allowance == ALLOWANCE


def test_what_last_increments_took_longer_than_predicted_is_added() -> None:
    late = [moved(jail="db", predicted_send=1.0 - error, created=error) for error in (0.1, 0.2, 0.6)]
    found = expected(*late, here=Parts(stop=1.0, start=1.0))
    assert found.learned == pytest.approx(0.2)
    assert str(found).endswith(", 0.2 s as last increments took longer than predicted")


def test_last_increments_that_took_less_than_predicted_take_nothing_away() -> None:
    assert expected(moved(predicted_send=99.0)).learned == 0.0


def test_what_another_part_took_longer_is_learned_by_that_part_alone() -> None:
    slow = moved(msgspec.structs.replace(MOVED, start=50.0), predicted=1.0)
    found = expected(slow, here=Parts(stop=1.0))
    assert (found.parts.start, found.learned) == (50.0, 0.0)


def test_a_move_that_was_not_measured_teaches_nothing() -> None:
    assert expected(moved(None, downtime=99.0, predicted=1.0), moved(None)) == expected()


def test_a_salvage_teaches_only_what_stop_mounts_and_start_of_the_jail_take() -> None:
    salvage = moved(Parts(stop=2.0, send=900.0, verify=60.0, mounts=0.9, start=4.0), predicted=None)
    found = expected(salvage)
    assert (found.parts, found.allowance) == (Parts(stop=2.0, mounts=0.9, start=4.0), ALLOWANCE)


@given(st.lists(st.floats(min_value=0, max_value=100), min_size=1, max_size=9))
def test_it_is_never_less_than_the_stop_and_the_start(predictions: list[float]) -> None:
    moves = [moved(predicted_send=predicted) for predicted in predictions]
    assert expected(*moves, here=Parts(stop=3.0)).seconds >= 3.0 + (MOVED.start or 0.0)


def test_a_host_says_what_a_jail_took_there_last_or_else_what_jails_usually_do() -> None:
    others = [Parts(start=1.0), Parts(), Parts(mounts=0.5, start=9.0), Parts(start=2.0, stop=4.0)]
    assert usual(Parts(), others) == Parts(mounts=0.5, start=2.0)
    assert usual(Parts(stop=1.0, mounts=0.1, start=3.0), others) == Parts(mounts=0.1, start=3.0)
    assert usual(Parts(), []) == Parts()


def test_a_journal_of_a_jaild_that_did_not_measure_parts_is_read_without_them() -> None:
    older = msgspec.json.encode(msgspec.to_builtins(moved(None)) | {"overhead": 1.5})
    assert msgspec.json.decode(older, type=Journal).parts is None


def test_a_downtime_that_was_too_long_is_told_by_its_parts() -> None:
    journal = moved(predicted=1.0, max_downtime=5.0)
    assert missed(journal) == f"down for 8.6 s, 5.0 s were allowed: {MOVED}"
    assert missed(msgspec.structs.replace(journal, max_downtime=9.0)) == ""
    assert missed(msgspec.structs.replace(journal, downtime=None)) == ""
    assert missed(msgspec.structs.replace(journal, predicted=None)) == ""  # a salvage


def test_what_helps_against_a_downtime_over_budget_is_told_by_flags_and_by_what_it_is_over_by() -> None:
    known = FixedCost(1.5, at_least=False, parts=Parts(), allowance=0.0, learned=0.0)
    assert known.hint(9.2, 5.0) == (
        "allow more: --max-downtime 10s; migrate when less is written; or migrate with --proceed"
    )
    unknown = FixedCost(6.0, at_least=True, parts=Parts(), allowance=0.0, learned=0.0)
    assert unknown.hint(6.0, 5.0) == (
        "allow more: --max-downtime 7s or longer; see why the jail stops or starts slowly; or migrate with --proceed"
    )
