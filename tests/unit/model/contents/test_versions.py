"""Which version is the later one: by tables, and beside dpkg's and rpm's own comparison."""

from __future__ import annotations

import random
import subprocess

import pytest

from jaild.model.contents.versions import Ecosystem, compare

# Each is the earlier one of the pair; `=`: neither is.
TABLES: dict[Ecosystem, tuple[tuple[str, str, str], ...]] = {
    Ecosystem.DPKG: (
        ("3.0.11-1~deb12u2", "<", "3.0.15"),
        ("3.0.15", "<", "3.0.15-1~deb12u1"),
        ("3.0.15-1~deb12u1", "<", "3.0.15-1"),
        ("3.0.9", "<", "3.0.15"),
        ("1.0~rc1", "<", "1.0"),
        ("1.0", "<", "1.0a"),
        ("1.0a", "<", "1.0+b1"),
        ("9:1", ">", "10"),
        ("1.0", "=", "1.0-0"),
        ("0:1.0", "=", "1.0"),
        ("1.00", "=", "1.0"),
        ("1.2-3-4", ">", "1.2-3"),
        ("9" * 5000, ">", "1"),
    ),
    Ecosystem.RPM: (
        ("3.0.7-24.el9", "<", "3.0.7-27.el9"),
        ("3.0.7-24.el9", "=", "3.0.7"),
        ("1:1.0", ">", "2.0"),
        ("1.0~rc1", "<", "1.0"),
        ("1.0", "<", "1.0^git1"),
        ("1.0^git1", "<", "1.0.1"),
        ("10xyz", "<", "10.1xyz"),
        ("xyz.4", "<", "8"),
        ("5.5p1", "<", "5.5p10"),
        ("2_0", "=", "2.0"),
        ("1.0010", ">", "1.9"),
    ),
    Ecosystem.PKG: (  # from the comment on get_component in libpkg/pkg_version.c, and bsd.port.mk's order
        ("2.*", "<", "2pl1"),
        ("2pl1", "<", "2alpha3"),
        ("2alpha3", "<", "2.9f7"),
        ("2.9f7", "<", "3.*"),
        ("10", "=", "10.0.0"),
        ("10..1", "=", "10.1"),
        ("10", "<", "10a"),
        ("10alpha", "<", "10"),
        ("10.a", "<", "10"),
        ("1.d2", "=", "1.dev2"),
        ("1.Development2", "=", "1.d2"),
        ("0.1beta2", "<", "0.1"),
        ("1.0", "<", "1.0_1"),
        ("2.0", "<", "1.0,1"),
        ("1.0_9", "<", "1.0,1"),
        ("3.0.13,1", "<", "3.0.15_1,1"),
        ("1.0.rc1", "<", "1.0"),
        ("2021a", "<", "2021b"),
        ("1.1.1w", "<", "3.0.14,1"),
    ),
    Ecosystem.NONE: (("1.2.9", "<", "1.2.13"), ("3.0.0", "<", "3.0.0-x"), ("1.0", "=", "1.00")),
}
MEANS = {"<": -1, "=": 0, ">": 1}


@pytest.mark.parametrize("ecosystem", list(Ecosystem))
def test_versions_are_compared_by_the_rules_of_their_own_system(ecosystem: Ecosystem) -> None:
    for one, relation, other in TABLES[ecosystem]:
        assert compare(ecosystem, one, other) == MEANS[relation], (one, relation, other)
        assert compare(ecosystem, other, one) == -MEANS[relation], (other, one)
        assert compare(ecosystem, one, one) == 0, one


def words(seed: int, alphabet: str, count: int) -> list[tuple[str, str]]:
    """Return pairs of versions of these characters, most of them near each other."""
    made = random.Random(seed)  # noqa: S311
    return [
        (word, word[: made.randrange(len(word))] + "".join(made.choices(alphabet, k=made.randrange(4))) or word)
        for word in (made.choice("0123") + "".join(made.choices(alphabet, k=made.randrange(8))) for _ in range(count))
    ]


@pytest.mark.real("dpkg")
def test_dpkg_itself_says_the_same(random_seed: int) -> None:
    pairs = [pair for pair in words(random_seed, "0019.a~+-Zb", 300) if all(each[0].isdigit() for each in pair)]
    for one, other in pairs:
        for relation, means in (("lt", -1), ("eq", 0), ("gt", 1)):
            said = subprocess.run(
                ("dpkg", "--compare-versions", one, relation, other), check=False, capture_output=True
            )
            if b"bad syntax" not in said.stderr:
                assert (said.returncode == 0) == (compare(Ecosystem.DPKG, one, other) == means), (one, relation, other)


@pytest.mark.real("rpm")
def test_rpm_itself_says_the_same(random_seed: int) -> None:
    pairs = words(random_seed, "0019.aZ~^_+", 400)
    asked = " ".join(f'print(rpm.vercmp("{one}", "{other}") .. " ")' for one, other in pairs)
    said = subprocess.run(("rpm", "--eval", f"%{{lua: {asked}}}"), check=True, capture_output=True, text=True)
    found = [compare(Ecosystem.RPM, one, other) for one, other in pairs]
    assert list(map(int, said.stdout.split())) == found, pairs


@pytest.fixture
def random_seed() -> int:
    """Another one each time; what failed is in the assertion."""
    return random.SystemRandom().randrange(1 << 32)
