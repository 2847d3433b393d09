"""Accounts whose number a new base changes: the jail's stay, and what of the base needs the new one is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaild.model import bounds
from jaild.model.etc import plan, renumber
from jaild.model.etc.plan import Answer, Request, Sides
from jaild.model.etc.renumber import Kinds, Owned, Owners, Renumbered
from jaild.model.etc.tree import Entry, Kind, Tree
from jaild.model.layers.records import Family
from jaild.model.problems import Severity

NOTHING = Owners()


def etc(users: dict[str, tuple[int, int]], groups: dict[str, int], **more: Entry) -> dict[str, Entry]:
    passwd = "".join(f"{name}:x:{uid}:{gid}::/:/bin/sh\n" for name, (uid, gid) in users.items())
    group = "".join(f"{name}:x:{gid}:\n" for name, gid in groups.items())
    texts = {"passwd": passwd, "group": group}
    return {name: Entry(kind=Kind.FILE, content=text.encode()) for name, text in texts.items()} | more


def merged(theirs: Tree, ancestor: Tree, mine: Tree) -> Answer:
    sides = Sides(theirs=theirs, ancestor=ancestor, mine=mine)
    return plan.carry_out(
        Request(etc=sides, local=Sides(theirs={}), local_folder="/l", family=Family.LINUX, machine_id="0" * 32)
    )


def numbers(tree: Tree, name: str = "passwd") -> dict[str, str]:
    rows = [line.split(":") for line in tree[name].content.decode().splitlines()]
    return {row[0]: f"{row[2]}:{row[3]}" if name != "group" else row[2] for row in rows}


# As debootstrap makes them: adduser counts up from 100, sysusers down from 999.
DEBIAN_12 = etc({"root": (0, 0), "sshd": (100, 65534)}, {"root": 0, "crontab": 101, "_ssh": 102})
DEBIAN_13 = etc({"root": (0, 0), "sshd": (997, 65534)}, {"root": 0, "crontab": 997, "_ssh": 101})


def test_a_jails_account_keeps_its_number_when_the_new_base_gives_it_another() -> None:
    answer = merged(DEBIAN_13, DEBIAN_12, DEBIAN_12)
    assert numbers(answer.etc) == {"root": "0:0", "sshd": "100:65534"}
    assert numbers(answer.etc, "group") == {"root": "0", "crontab": "101", "_ssh": "102"}
    assert answer.problems == ()
    assert answer.renumbered == (
        Renumbered(kind=Kinds.GROUP, name="_ssh", base=101, jail=102, is_new=False, holder="crontab", holders_base=997),
        Renumbered(kind=Kinds.GROUP, name="crontab", base=997, jail=101, holder="", is_new=False),
        Renumbered(kind=Kinds.USER, name="sshd", base=997, jail=100, holder="", is_new=False),
    )


def test_what_else_the_new_base_changes_of_the_account_is_merged() -> None:
    theirs = {"passwd": Entry(kind=Kind.FILE, content=b"sshd:x:997:65534:sshd user:/run/sshd:/usr/sbin/nologin\n")}
    ancestor = {"passwd": Entry(kind=Kind.FILE, content=b"sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n")}
    answer = merged(theirs, ancestor, ancestor)
    assert answer.etc["passwd"].content == b"sshd:x:100:65534:sshd user:/run/sshd:/usr/sbin/nologin\n"


def test_a_user_follows_the_number_that_its_group_has_in_the_jail() -> None:
    theirs = etc({"a": (500, 997), "new": (501, 997), "toor": (0, 997)}, {"g": 997})
    ancestor = etc({"a": (500, 101)}, {"g": 101})
    assert numbers(merged(theirs, ancestor, ancestor).etc) == {"a": "500:101", "new": "501:101", "toor": "0:101"}


def test_freebsds_master_passwd_is_put_into_the_same_numbers() -> None:
    def tree(uid: int) -> Tree:
        content = f"ntpd:*:{uid}:{uid}::0:0::/var/db/ntp:/usr/sbin/nologin\n".encode()
        return {**etc({"ntpd": (uid, uid)}, {"ntpd": uid}), "master.passwd": Entry(kind=Kind.FILE, content=content)}

    answer = merged(tree(123), tree(122), tree(122))
    assert answer.etc["master.passwd"].content == tree(122)["master.passwd"].content
    assert answer.etc["passwd"].content == tree(122)["passwd"].content


def test_files_of_the_new_etc_have_the_jails_numbers() -> None:
    new, old = (
        {**etc({"a": (uid, 0)}, {"g": gid}), "x": Entry(kind=Kind.FILE, mode=0o640, uid=uid, gid=gid)}
        for uid, gid in ((997, 998), (100, 101))
    )
    assert merged({**new, "y": new["x"]}, old, old).etc["y"] == old["x"]
    assert merged(new, old, old).etc["x"] == old["x"]


def test_a_number_of_two_names_is_nobodys_to_be_changed_by_the_number_alone() -> None:
    theirs = etc({"a": (900, 0), "b": (900, 0)}, {}, x=Entry(kind=Kind.FILE, uid=900))
    ancestor = etc({"a": (100, 0)}, {})
    answer = merged(theirs, ancestor, ancestor)
    assert answer.etc["x"].uid == 900
    assert numbers(answer.etc) == {"a": "100:0", "b": "900:0"}


def test_an_account_that_the_jail_removed_is_no_conflict_when_only_its_number_changes() -> None:
    answer = merged(DEBIAN_13, DEBIAN_12, etc({"root": (0, 0)}, {"root": 0, "crontab": 101, "_ssh": 102}))
    assert (answer.problems, numbers(answer.etc)) == ((), {"root": "0:0"})


def test_a_jail_that_renumbered_an_account_itself_keeps_that() -> None:
    mine = etc({"root": (0, 0), "sshd": (5000, 65534)}, {"root": 0, "crontab": 101, "_ssh": 102})
    answer = merged(DEBIAN_13, DEBIAN_12, mine)
    assert (answer.problems, numbers(answer.etc)["sshd"]) == ((), "5000:65534")


def test_at_the_next_upgrade_a_number_that_stayed_the_bases_is_not_told_again() -> None:
    after = merged(DEBIAN_13, DEBIAN_12, DEBIAN_12).etc
    answer = merged({**DEBIAN_13, "motd": Entry(kind=Kind.FILE)}, DEBIAN_13, after)
    assert (answer.problems, answer.renumbered) == ((), ())
    assert numbers(answer.etc) == numbers(after)


def test_a_new_account_whose_number_the_jail_gave_to_another_gets_a_free_one() -> None:
    theirs = etc({"root": (0, 0), "polkitd": (998, 998)}, {"polkitd": 998})
    ancestor = etc({"root": (0, 0)}, {})
    mine = etc({"root": (0, 0), "web": (998, 999)}, {"web": 999, "own": 998})
    answer = merged(theirs, ancestor, mine)
    assert answer.problems == ()
    assert numbers(answer.etc)["polkitd"] == "999:997"  # the highest free ones
    assert numbers(answer.etc, "group")["polkitd"] == "997"
    assert [(one.kind, one.holder, one.is_new) for one in answer.renumbered] == [
        (Kinds.GROUP, "own", True),
        (Kinds.USER, "web", True),
    ]


def test_a_new_second_name_of_a_number_keeps_it() -> None:
    theirs, old = etc({"root": (0, 0), "toor": (0, 0)}, {"wheel": 0}), etc({"root": (0, 0)}, {"wheel": 0})
    answer = merged(theirs, old, old)
    assert (numbers(answer.etc), answer.renumbered) == ({"root": "0:0", "toor": "0:0"}, ())


def test_the_superusers_number_is_no_accounts_to_keep_or_to_lose() -> None:
    root = Entry(kind=Kind.FILE, content=b"new")
    theirs, old = etc({"root": (0, 0), "a": (0, 0)}, {}, x=root), etc({"root": (0, 0), "a": (100, 0)}, {})
    answer = merged(theirs, old, etc({"admin": (0, 0), "a": (100, 0), "root": (101, 0)}, {}))
    assert answer.etc["x"] == root
    assert numbers(answer.etc)["admin"] == "0:0"
    assert numbers(answer.etc)["a"] == "0:0"  # as the base says: that is more than a number


def test_if_no_number_is_free_the_merge_says_who_shares_one() -> None:
    users = {f"u{number}": (number, 0) for number in range(100, 1000)}
    answer = merged(etc({"new": (500, 0)}, {}), {}, etc(users, {}))
    assert [problem.code for problem in answer.problems] == ["MERGE_CONFLICT"]


def test_a_file_too_large_to_be_merged_has_no_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MERGE_FILE", 20)
    assert renumber.kept(DEBIAN_12, DEBIAN_13, DEBIAN_12).renumbered == ()


LINES = st.lists(
    st.sampled_from(["a", "b", "", "x", "0", "100", "999", "998", "\u0663", "-1", "1" * 30, "#", ":", "\udcff", "\n"]),
    max_size=12,
).map(":".join)


@given(LINES, LINES, LINES)
def test_no_text_in_place_of_accounts_ends_the_plan(ancestor: str, theirs: str, mine: str) -> None:
    def tree(text: str) -> Tree:
        content = text.encode("utf-8", "surrogateescape")
        return {name: Entry(kind=Kind.FILE, content=content) for name in ("passwd", "group", "master.passwd")}

    assert set(merged(tree(theirs), tree(ancestor), tree(mine)).etc) == {"passwd", "group", "master.passwd"}


def test_what_stands_in_the_way_is_to_get_the_number_that_it_has_in_the_base_if_there_is_one() -> None:
    renumbered = merged(DEBIAN_13, DEBIAN_12, DEBIAN_12).renumbered
    base = Owners(groups={101: Owned(count=1, needing=1, some=("usr/bin/ssh-agent",))})
    (problem,) = renumber.problems(renumbered, base, NOTHING, "debian-13")
    assert problem.severity is Severity.ERROR
    assert problem.hint.startswith("give crontab gid 997, its own in the base, in the jail")
    done = etc({"root": (0, 0), "sshd": (100, 65534)}, {"root": 0, "crontab": 997, "_ssh": 102})
    after = renumber.problems(merged(DEBIAN_13, DEBIAN_12, done).renumbered, base, NOTHING, "debian-13")
    assert [problem.severity for problem in after] == [Severity.WARNING]
    (problem,) = renumber.problems([replace(renumbered[0], holders_base=None)], base, NOTHING, "debian-13")
    assert problem.hint.startswith("give crontab another gid in the jail")


def test_of_an_account_that_the_jail_removed_only_files_that_become_somebody_elses_are_told() -> None:
    mine = etc({"root": (0, 0)}, {"root": 0, "_ssh": 102, "web": 997})
    renumbered = merged(DEBIAN_13, DEBIAN_12, mine).renumbered
    base = Owners(users=PROGRAM.groups, groups=PROGRAM.groups)
    (problem,) = renumber.problems(renumbered, base, NOTHING, "debian-13")
    assert problem.severity is Severity.ERROR
    assert problem.message.startswith("crontab has no entry in the jail, and gid 997 in base debian-13, where files")
    assert len(problem.evidence) == 2


SOME = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([99, 100, 101, 997, 998, 999])).filter(
    lambda numbers: len(set(numbers.values())) == len(numbers)
)


@settings(max_examples=3 * settings().max_examples)
@given(SOME, SOME, SOME)
def test_every_account_of_a_jail_keeps_its_number_and_no_two_get_one(
    ancestor: dict[str, int], theirs: dict[str, int], mine: dict[str, int]
) -> None:
    def tree(numbers: dict[str, int]) -> Tree:
        return etc({name: (number, number) for name, number in numbers.items()}, numbers)

    answer = merged(tree(theirs), tree(ancestor), tree(mine))
    assert answer.problems == ()
    groups = numbers(answer.etc, "group")
    assert numbers(answer.etc) == {name: f"{number}:{number}" for name, number in groups.items()}
    assert {name: int(number) for name, number in groups.items() if name in mine}.items() <= mine.items()
    assert len(set(groups.values())) == len(groups)
    assert groups.keys() == {
        name for name in {*mine, *theirs} if (name in mine) + (name in theirs) != (name in ancestor)
    }


def told(base: Owners, data: Owners = NOTHING, holder: str = "", *, is_new: bool = False) -> list[tuple[str, str]]:
    one = Renumbered(kind=Kinds.GROUP, name="crontab", base=997, jail=101, holder=holder, is_new=is_new)
    found = renumber.problems([one], base, data, "debian-13")
    assert all(problem.code == "ACCOUNT_RENUMBERED" and problem.subject == "/etc/group" for problem in found)
    return [(problem.severity, problem.message) for problem in found]


PROGRAM = Owners(groups={997: Owned(count=2, needing=1, some=("usr/bin/crontab",))})
HAS = "crontab has gid 101 in the jail, and gid 997 in base debian-13"


def test_a_number_that_no_file_of_the_base_needs_is_not_worth_telling() -> None:
    assert told(NOTHING) == told(Owners(users=PROGRAM.groups)) == told(Owners(groups={997: Owned(count=9)})) == []


def test_files_of_the_base_that_are_nobodys_in_the_jail_are_a_warning() -> None:
    expected = f"{HAS}, where files need it: in the jail they would be nobody's"
    assert told(PROGRAM) == [(Severity.WARNING, expected)]


def test_files_of_the_base_that_would_be_somebody_elses_in_the_jail_are_an_error() -> None:
    expected = f"{HAS}, where files need it: in the jail they would be web's"
    assert told(PROGRAM, holder="web") == told(PROGRAM, holder="web", is_new=True) == [(Severity.ERROR, expected)]


def test_a_new_account_with_another_number_than_in_its_base_is_a_note() -> None:
    assert told(NOTHING, holder="web", is_new=True) == [(Severity.NOTE, f"{HAS}: there 997 is web's")]


def test_a_problem_counts_the_files_of_both_numbers_in_the_data_and_in_the_base() -> None:
    one = Renumbered(kind=Kinds.GROUP, name="crontab", base=997, jail=101, holder="", is_new=False)
    data = Owners(groups={101: Owned(count=7)}, whole=False)
    (problem,) = renumber.problems([one], PROGRAM, data, "debian-13")
    assert problem.evidence == (
        "files of gid 101: at least 7 in the jail's data, 0 in the base",
        "files of gid 997: at least 0 in the jail's data, 2 in the base",
        "/usr/bin/crontab",
    )
    assert problem.hint
