from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from jaild.model.migration.journal import Journal, Phase
from jaild.model.migration.protocol import JailOffer, Offer
from jaild.model.migration.stats import DOWNTIMES, Bucket, histogram, stats

OFFER = Offer(
    migration="m",
    source_id="s",
    source_name="alpha",
    jail=JailOffer(name="web", uid="u", epoch=1, generation=1, generation_json="{}"),
)
JOURNAL = Journal(id="m", jail="web", outgoing=True, peer="beta", phase=Phase.ACTIVATED, offer=OFFER, epoch=2)


def test_a_value_at_a_bound_is_above_it() -> None:
    assert histogram([0.5, 1.0, 1.0, 3.0], (1.0, 2.0)) == (Bucket(1.0, 1), Bucket(2.0, 2), Bucket(None, 1))


@given(st.lists(st.floats(min_value=0, max_value=1e6)))
def test_every_value_is_counted_once(values: list[float]) -> None:
    assert sum(bucket.count for bucket in histogram(values, DOWNTIMES)) == len(values)


def test_downtimes_and_errors_of_predictions_are_of_the_migrations_that_this_host_drove() -> None:
    def moved(downtime: float, predicted: float | None) -> Journal:
        return msgspec.structs.replace(JOURNAL, downtime=downtime, predicted=predicted)

    found = stats(
        [
            moved(0.3, 0.2),
            moved(7.0, 1.0),
            moved(0.7, None),
            msgspec.structs.replace(JOURNAL, phase=Phase.ABORTED, thaws=2),
            msgspec.structs.replace(JOURNAL, outgoing=False, downtime=99.0),
        ]
    )
    assert (found.moved, found.aborted, found.thaws, found.median, found.longest) == (3, 1, 2, 0.7, 7.0)
    assert [(b.below, b.count) for b in found.downtimes if b.count] == [(0.5, 1), (1.0, 1), (10.0, 1)]
    assert [(b.below, b.count) for b in found.errors if b.count] == [(0.25, 1), (None, 1)]


def test_a_host_that_has_moved_nothing_has_no_median() -> None:
    assert stats([]).median is None
