"""The two configuration trees of a new generation."""

from __future__ import annotations

import pytest

from jaild.model import bounds
from jaild.model.etc import plan as etcplan
from jaild.model.etc import regenerate as etctools
from jaild.model.etc.plan import Request, Sides
from jaild.model.etc.tree import Entry, Kind
from jaild.model.layers.records import Family, User

WWW = User(name="www", uid=80, gid=80)

ID = "0123456789abcdef0123456789abcdef"


def file(text: str) -> Entry:
    return Entry(kind=Kind.FILE, content=text.encode())


def test_a_new_jail_gets_what_the_layers_bring_with_the_releases_accounts() -> None:
    answer = etcplan.carry_out(
        Request(
            machine_id=ID,
            etc=Sides(theirs={"passwd": file("root:*:0:0::0:0::/root:/bin/sh\n")}),
            local=Sides(theirs={"web.conf": file("a\n")}),
            local_folder="/usr/local/etc",
            family=Family.LINUX,
            users=(WWW,),
        )
    )
    assert b"www:x:80:80" in answer.etc["passwd"].content
    assert answer.local_etc["web.conf"].content == b"a\n"
    assert [problem.code for problem in answer.problems] == ["MISSING_GROUP"]


def test_conflicts_of_both_trees_are_told_with_the_folder_they_are_in() -> None:
    sides = Sides(theirs={"f": file("t\n")}, ancestor={"f": file("a\n")}, mine={"f": file("m\n")})
    request = Request(machine_id=ID, etc=sides, local=sides, local_folder="/usr/local/etc", family=Family.LINUX)
    assert [problem.subject for problem in etcplan.carry_out(request).problems] == ["/etc/f", "/usr/local/etc/f"]


def test_accounts_are_not_put_into_a_file_that_takes_too_long_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MERGE_FILE", 10)
    sides = Sides(theirs={"passwd": file("x" * 11)})
    request = Request(
        machine_id=ID, etc=sides, local=Sides(theirs={}), local_folder="/l", family=Family.LINUX, users=(WWW,)
    )
    answer = etcplan.carry_out(request)
    assert [(problem.code, problem.subject) for problem in answer.problems] == [("MERGE_TOO_COSTLY", "/etc/passwd")]
    assert answer.etc == sides.theirs


def test_on_another_base_freebsds_databases_are_made_again() -> None:
    tree = {"master.passwd": file("root:*:0:0::0:0::/root:/bin/sh\n")}
    request = Request(
        machine_id=ID,
        etc=Sides(theirs=tree, ancestor=tree, mine=tree),
        local=Sides(theirs={}),
        local_folder="/l",
        family=Family.FREEBSD,
        rebased=True,
    )
    assert etctools.PASSWORDS in etcplan.carry_out(request).tools
