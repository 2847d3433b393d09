from __future__ import annotations

import pytest

from jaild.model.etc.accounts import apply_accounts
from jaild.model.etc.tree import Entry, Kind, stale
from jaild.model.layers.records import Family, Group, User
from jaild.model.problems import Severity

REDIS = User(name="redis", uid=800, gid=801, home="/var/lib/redis", comment="Redis")
GROUP = Group(name="redis", gid=801, members=("www",))


def tree(**files: str) -> dict[str, Entry]:
    return {name.replace("_", "."): Entry(kind=Kind.FILE, content=content.encode()) for name, content in files.items()}


LINUX = tree(passwd="root:x:0:0::/root:/bin/sh\n", shadow="root:*:1::::::\n", group="root:x:0:\n", gshadow="root:*::\n")
FREEBSD = tree(
    passwd="root:*:0:0::/root:/bin/sh\n", master_passwd="root:*:0:0::0:0::/root:/bin/sh\n", group="wheel:*:0:root\n"
)


def added(before: dict[str, Entry], after: dict[str, Entry]) -> dict[str, str]:
    return {
        name: entry.content.decode().removeprefix(before[name].content.decode())
        for name, entry in after.items()
        if entry != before[name]
    }


def test_on_linux_an_account_gets_lines_in_all_four_files_and_no_password() -> None:
    after, problems = apply_accounts(LINUX, (REDIS,), (GROUP,), Family.LINUX)
    assert problems == ()
    assert added(LINUX, after) == {
        "passwd": "redis:x:800:801:Redis:/var/lib/redis:/usr/sbin/nologin\n",
        "shadow": "redis:!:::::::\n",
        "group": "redis:x:801:www\n",
        "gshadow": "redis:!::www\n",
    }


def test_on_freebsd_an_account_gets_a_line_in_master_passwd_and_the_databases_are_stale() -> None:
    after, problems = apply_accounts(FREEBSD, (REDIS,), (GROUP,), Family.FREEBSD)
    assert problems == ()
    assert added(FREEBSD, after) == {
        "passwd": "redis:*:800:801:Redis:/var/lib/redis:/usr/sbin/nologin\n",
        "master.passwd": "redis:*:800:801::0:0:Redis:/var/lib/redis:/usr/sbin/nologin\n",
        "group": "redis:*:801:www\n",
    }
    assert stale(FREEBSD, after) == ("pwd.db", "spwd.db")


@pytest.mark.parametrize("family", list(Family))
def test_applied_twice_is_the_same_as_once(family: Family) -> None:
    once, _ = apply_accounts(LINUX, (REDIS,), (GROUP,), family)
    assert apply_accounts(once, (REDIS,), (GROUP,), family) == (once, ())


def test_an_account_that_is_there_stays_as_the_jail_has_it() -> None:
    have = tree(
        passwd="redis:x:800:801:Mine:/home/redis:/bin/sh\n", shadow="redis:$6$x:1::::::\n", group="redis:x:801:\n"
    )
    after, problems = apply_accounts(have, (REDIS,), (), Family.LINUX)
    assert (after, problems) == (have, ())


def test_members_are_added_to_a_group_that_is_there() -> None:
    after, _ = apply_accounts(tree(group="a:x:1:\nredis:x:801:me\nb:x:2:\n"), (), (GROUP,), Family.LINUX)
    assert after["group"].content == b"a:x:1:\nredis:x:801:me,www\nb:x:2:\n"


@pytest.mark.parametrize(
    ("files", "file", "word"),
    [
        ({"passwd": "redis:x:7:801::/:/bin/sh\n"}, "/etc/passwd", "uid 7"),
        ({"passwd": "web:x:800:801::/:/bin/sh\n"}, "/etc/passwd", "web"),
        ({"group": "redis:x:7:\n"}, "/etc/group", "gid 7"),
        ({"group": "web:x:801:\n"}, "/etc/group", "web"),
    ],
)
def test_a_name_or_a_number_that_is_taken_is_a_conflict_and_the_line_is_left_out(
    files: dict[str, str], file: str, word: str
) -> None:
    before = tree(**files)
    after, problems = apply_accounts(before, (REDIS,), (GROUP,), Family.LINUX)
    conflicts = [f for f in problems if f.code == "ACCOUNT_CONFLICT"]
    assert [(f.severity, f.subject) for f in conflicts] == [(Severity.ERROR, file)]
    assert word in conflicts[0].message
    name = file.removeprefix("/etc/")
    assert after[name] == before[name]


def test_a_user_of_a_group_that_nobody_defines_is_a_warning() -> None:
    after, problems = apply_accounts(LINUX, (REDIS,), (), Family.LINUX)
    assert [(f.code, f.severity) for f in problems] == [("MISSING_GROUP", Severity.WARNING)]
    assert b"redis" in after["passwd"].content


def test_a_file_that_does_not_end_its_last_line_is_not_damaged() -> None:
    after, _ = apply_accounts(tree(group="root:x:0:"), (), (GROUP,), Family.LINUX)
    assert after["group"].content == b"root:x:0:\nredis:x:801:www\n"


def test_files_that_are_not_there_are_made_with_the_modes_that_keep_them_safe() -> None:
    after, _ = apply_accounts({}, (REDIS,), (GROUP,), Family.FREEBSD)
    assert {name: entry.mode for name, entry in after.items()} == {
        "group": 0o644,
        "passwd": 0o644,
        "master.passwd": 0o600,
    }
