"""Properties from above in the pool: what they break, and which jaild sets on its own datasets."""

from __future__ import annotations

import pytest

from jaild.model import settings

GOOD = {
    "readonly": "off",
    "atime": "off",
    "xattr": "sa",
    "sharenfs": "off",
    "sharesmb": "off",
    "sync": "standard",
    "casesensitivity": "sensitive",
    "normalization": "none",
    "utf8only": "off",
}


def test_nothing_is_set_or_said_where_all_is_as_it_should_be() -> None:
    assert settings.own(GOOD, new=True) == {}
    assert list(settings.problems("tank/jaild", GOOD, GOOD)) == []


def test_what_a_zfs_does_not_know_is_no_fault() -> None:
    assert settings.own({}, new=True) == {}
    assert settings.own({"xattr": "-"}, new=True) == {}


def test_what_jaild_can_set_it_sets_and_some_of_it_on_new_datasets_only() -> None:
    found = {**GOOD, "atime": "on", "xattr": "off", "sharenfs": "rw", "utf8only": "on", "sync": "disabled"}
    fixed = {"atime": "off", "xattr": "on", "sharenfs": "off"}
    assert settings.own(found, new=False) == fixed
    assert settings.own(found, new=True) == {**fixed, "utf8only": "off"}


@pytest.mark.parametrize(
    ("name", "value", "before", "after"),
    [
        ("readonly", "on", "error", "error"),
        ("atime", "on", "note", "note"),
        ("xattr", "off", "note", "warning"),
        ("sharenfs", "rw=@10.0.0.0/8", "note", "warning"),
        ("sync", "disabled", "warning", "warning"),
        ("casesensitivity", "mixed", "note", "warning"),
    ],
)
def test_what_is_said_before_the_first_start_and_after_it(name: str, value: str, before: str, after: str) -> None:
    found = {**GOOD, name: value}
    (said,) = settings.problems("tank/jaild", found, {})
    assert (said.severity, said.subject) == (before, name)
    assert f"{name}={value} on tank/jaild:" in said.message
    (said,) = settings.problems("tank/jaild", GOOD, found)
    assert (said.severity, said.subject) == (after, name)
    assert f"{name}={value} on tank/jaild/jails:" in said.message
    assert said.hint


def test_what_jaild_has_set_itself_is_not_said_again() -> None:
    assert list(settings.problems("tank/jaild", {**GOOD, "atime": "on"}, GOOD)) == []
