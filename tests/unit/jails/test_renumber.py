"""Accounts whose number a new base changes, in a jail's plans and upgrades."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from jaild.model import layout
from jaild.model.operation import Operation
from jaild.model.problems import Problem
from tests.fakes.host import FakeHost, caller
from tests.hosts import asking
from tests.hosts.asking import SPEC

OURS = os.getgid() or 70002  # a group that whoever runs the tests may give files to


def group(**numbers: int) -> Mapping[str, str]:
    return {
        "etc/group": "".join(f"{name}:x:{number}:\n" for name, number in numbers.items()),
        "usr/bin/crontab": "ELF",
    }


async def add_base(host: FakeHost, name: str, files: Mapping[str, str], mode: int = 0o2755) -> None:
    await host.add_base(name, files)
    program = host.core.inventory.base(name).tree / "usr/bin/crontab"
    os.chown(program, -1, OURS)
    program.chmod(mode)


async def planned(host: FakeHost, base: str) -> Operation:
    return await host.core.use_cases.jails.upgrade("web", base, etag="", validate_only=True, caller=caller())


def found(operation: Operation) -> list[Problem]:
    assert operation.plan is not None
    return [problem for problem in operation.plan.problems if problem.code == "ACCOUNT_RENUMBERED"]


def etc_group(host: FakeHost, generation: int) -> Path:
    folder = layout.generation_folder(host.core.inventory.jails["web"].folder, generation)
    return folder / "etc/group"


@pytest.fixture
async def jail(host: FakeHost) -> FakeHost:
    await add_base(host, "old", group(crontab=70001))
    await asking.create(host, msgspec.structs.replace(SPEC, base="old"))
    return host


async def test_an_upgrade_leaves_the_jail_its_numbers_and_warns_of_a_program_that_needs_the_new_one(
    jail: FakeHost,
) -> None:
    await add_base(jail, "new", group(crontab=OURS))
    own = jail.core.inventory.jails["web"].folder / "data/var/own"
    own.write_text("")
    os.chown(own, -1, OURS)
    (problem,) = found(await planned(jail, "new"))
    assert (problem.severity, problem.evidence[-1]) == ("warning", "/usr/bin/crontab")
    in_base = int(problem.evidence[1].split()[-4])
    in_data = int(problem.evidence[1].split()[4])
    assert problem.evidence[0] == "files of gid 70001: 0 in the jail's data, 0 in the base"
    assert in_base > 0 < in_data
    assert asking.reason_of(await asking.upgrade(jail, "new")) == ""
    assert etc_group(jail, 2).read_text() == "crontab:x:70001:\n"


async def test_nothing_is_told_where_no_file_needs_the_new_number(jail: FakeHost) -> None:
    await add_base(jail, "new", group(crontab=OURS), mode=0o755)
    assert found(await planned(jail, "new")) == []


async def test_an_upgrade_is_refused_that_would_give_a_program_somebody_elses_rights(jail: FakeHost) -> None:
    await add_base(jail, "new", group(crontab=OURS))
    etc_group(jail, 1).write_text(f"crontab:x:70001:\nweb:x:{OURS}:\n")
    asking.touched(jail)
    assert [problem.severity for problem in found(await planned(jail, "new"))] == ["error"]
    assert asking.reason_of(await asking.upgrade(jail, "new")) == "PLAN_REFUSED"
    assert asking.touched(jail) == []


async def test_the_data_is_looked_through_for_a_plan_only(jail: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    await add_base(jail, "new", group(crontab=OURS))
    looked: list[str] = []
    real = jail.files.owners

    async def owners(folders: list[object], **more: object) -> object:
        looked.append(str(folders[0]).rpartition("/")[2])
        return await real(folders, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(jail.files, "owners", owners)
    await planned(jail, "new")
    await planned(jail, "new")
    assert looked == ["root", "data", "data"]  # a base never changes
