"""Whose a snapshot is, decided purely."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jaild.model.replication.policy import dropped
from jaild.model.snapshots import Claim, claimed, going_along, of_migration, whole
from jaild.transfer.snapshots import marks_of, marks_texts, tag_of

PROPERTY = 4096  # bytes that jaild gives every ZFS as a property's value
_TAGS = st.text("abcxyz0189-_.:", min_size=1, max_size=20)
_GUIDS = st.integers(min_value=1, max_value=(1 << 64) - 1)


@given(st.sets(st.tuples(_TAGS, _GUIDS), max_size=200))
def test_bookmarks_that_were_written_down_are_read_again(marks: set[tuple[str, int]]) -> None:
    texts = marks_texts(marks)
    assert {mark for text in texts for mark in marks_of(text)} == marks
    assert all(len(text) < PROPERTY for text in texts)


def test_three_rounds_of_a_thousand_datasets_fit_into_their_properties() -> None:
    highest = (1 << 64) - 1
    tags = [tag_of("f" * 32, number) for number in (99_997, 99_998, 99_999)]
    texts = marks_texts((tag, highest - number) for tag in tags for number in range(1000))
    assert len(texts) > 1
    assert all(len(text) < PROPERTY for text in texts)


def test_what_somebody_wrote_there_names_no_bookmark() -> None:
    assert marks_of("") == frozenset()
    assert marks_of("nonsense,=,a=,b=zz,c=ff") == {("c", 255)}


def test_what_is_whole_is_the_newest_that_every_dataset_has() -> None:
    assert whole({}) == ""
    assert whole({"a": ["1", "2", "3"], "b": ["1", "2"]}) == "2"
    assert whole({"a": ["1"], "b": []}) == ""


def test_a_refusal_names_each_hold_and_clone_and_what_it_cannot_name_it_counts() -> None:
    claims = [Claim(snapshot="t/a@s", holds=("backup",), clones=("t/x",)), Claim(snapshot="t/b@s", untold=2)]
    error = claimed(claims, "destroying it", "jails/a")
    assert "t/a@s is kept by the hold backup, its clone t/x" in error.message
    assert "t/b@s is kept by 2 holds" in error.message
    many = [Claim(snapshot=f"t/a@s{number}", holds=("backup",)) for number in range(9)]
    assert "and 4 more" in claimed(many, "destroying it").message
    assert error.detail["snapshots"] == "t/a@s,t/b@s"


def test_nothing_of_others_is_no_problem() -> None:
    assert going_along([], "jails/a") == ()


@given(
    st.lists(st.integers(1, 20), unique=True),
    st.lists(st.sets(st.integers(1, 20)), max_size=3),
)
def test_of_each_standby_the_newest_round_that_it_has_too_is_never_dropped(
    rounds: list[int], having: list[set[int]]
) -> None:
    gone = dropped([(str(guid), guid) for guid in rounds], having)
    stay = [guid for guid in rounds if str(guid) not in gone]
    assert stay[-3:] == rounds[-3:]
    for there in having:
        common = [guid for guid in rounds if guid in there]
        assert not common or common[-1] in stay
    assert len(stay) <= 3 + len(having)


def test_two_migrations_never_have_the_same_purpose() -> None:
    assert of_migration("a" * 32) != of_migration("a" * 31 + "b")


def test_who_would_delete_what_a_migration_sends_is_told_to_wait_and_not_to_release_it() -> None:
    sent = Claim(snapshot="b@sealed", holds=("jaild-migration-0123456789ab",))
    assert "wait until that is over" in claimed([sent], "deleting b").hint
    for other in (
        Claim(snapshot="b@sealed", holds=("jaild-migration-0123456789ab", "backup")),
        Claim(snapshot="b@sealed", holds=("jaild-migration-0123456789ab",), clones=("c",)),
        Claim(snapshot="b@sealed", untold=1),
    ):
        assert "ask whose they are" in claimed([sent, other], "deleting b").hint
