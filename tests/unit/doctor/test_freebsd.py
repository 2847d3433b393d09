"""A FreeBSD host's checks: decisions by tables, facts from what programs of FreeBSD 13.2 printed."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from jaild import config
from jaild.doctor import command as doctor
from jaild.doctor.checks import freebsd
from jaild.doctor.checks.freebsd import FreebsdFacts
from jaild.doctor.facts import freebsd as gathering
from jaild.model.errors import UnavailableError
from tests.fakes.processes import Argv, Said, ScriptedProcesses
from tests.freebsd_recordings import recordings

ROOT = Path(__file__).parents[3]
GOOD = FreebsdFacts(
    sysctls={
        "kern.osreldate": "1302001",
        "kern.osrelease": "13.2-RELEASE",
        "kern.racct.enable": "1",
        "security.jail.jailed": "0",
        "kern.features.vimage": "1",
        "kern.securelevel": "-1",
        "security.jail.enforce_statfs": "2",
        "security.jail.mount_allowed": "0",
    },
    modules=frozenset({"nullfs", "tmpfs", "if_bridge", "if_epair"}),
    loadable=frozenset({"nullfs", "tmpfs", "if_bridge", "if_epair"}),
    device_rules=5,
    packages="pkg: 170 packages installed",
)


def found(facts: FreebsdFacts) -> list[str]:
    problems = [problem for check in freebsd.CHECKS.values() for problem in check(facts).problems]
    assert all(problem.hint for problem in problems)
    return [f"{problem.severity} {problem.code}" for problem in problems]


def without(facts: FreebsdFacts, name: str) -> FreebsdFacts:
    return replace(facts, sysctls={key: value for key, value in facts.sysctls.items() if key != name})


def test_a_host_that_has_all_is_told_nothing() -> None:
    assert found(GOOD) == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("kern.osreldate", "1300139", "error SYSTEM_TOO_OLD"),
        ("kern.racct.enable", "0", "warning RACCT_OFF"),
        ("security.jail.jailed", "1", "error INSIDE_A_JAIL"),
        ("kern.features.vimage", "0", "error VNET_MISSING"),
        ("security.jail.enforce_statfs", "1", "warning JAIL_DEFAULT_OPEN"),
        ("security.jail.mount_allowed", "1", "warning JAIL_DEFAULT_OPEN"),
    ],
)
def test_each_sysctl_that_is_wrong_is_told(name: str, value: str, expected: str) -> None:
    assert found(replace(GOOD, sysctls={**GOOD.sysctls, name: value})) == [expected]


def test_a_kernel_without_racct_is_told_apart_from_one_where_it_is_off() -> None:
    (problem,) = freebsd.CHECKS["limits"](without(GOOD, "kern.racct.enable")).problems
    assert "options RACCT" in problem.hint


def test_a_kernel_without_vnet_is_no_error_where_no_bridge_is_wanted() -> None:
    facts = replace(without(GOOD, "kern.features.vimage"), bridge=False, modules=frozenset({"nullfs", "tmpfs"}))
    assert found(facts) == []


def test_a_module_that_can_be_loaded_is_a_note_and_an_error_where_it_cannot() -> None:
    facts = replace(GOOD, modules=GOOD.modules - {"if_epair"})
    assert found(facts) == ["note MODULE_NOT_LOADED"]
    secured = replace(facts, sysctls={**GOOD.sysctls, "kern.securelevel": "1"})
    assert found(secured) == ["error MODULE_MISSING"]
    assert found(replace(facts, loadable=frozenset())) == ["error MODULE_MISSING"]


def test_an_empty_device_ruleset_and_a_missing_pkg_are_told() -> None:
    assert found(replace(GOOD, device_rules=0, packages="")) == ["error DEVFS_RULESET_MISSING", "warning PKG_MISSING"]


def test_a_run_folder_with_a_blank_in_its_name_is_told() -> None:
    assert found(replace(GOOD, run_folder="/var/run/my jaild")) == ["error PLACE_UNUSABLE"]


def host_of_the_recording(version: str = "13.2", without: str = "") -> ScriptedProcesses:
    """A host that says what was recorded; what was not recorded is unknown to it. It may lack a program."""
    said = recordings(version)
    names = said["sysctls"].argv[2:]
    values = dict(zip(names, said["sysctls"].text.splitlines(), strict=True))

    async def answer(argv: Argv, _stdin: bytes) -> Said:
        if argv[0] == without:
            raise UnavailableError("PROGRAM_MISSING", f"{argv[0]}: No such file or directory", resource=argv[0])
        if argv[:2] == ("sysctl", "-n"):
            known = values.get(argv[2])
            return Said(f"{known}\n") if known else Said(stderr=f"sysctl: unknown oid '{argv[2]}'\n", status=1)
        for record in said.values():
            if record.argv == argv:
                return Said(record.text, record.error_text, record.status)
        return Said(status=1)

    return ScriptedProcesses(answer)


async def looked_at(topic: str, processes: ScriptedProcesses) -> FreebsdFacts:
    return await gathering.facts(topic, processes, bridge=True, run_folder=Path("/var/run/jaild"))


async def test_what_freebsd_13_2_said_is_read_as_it_was_meant() -> None:
    host = host_of_the_recording()
    assert (await looked_at("system", host)).sysctls["kern.osreldate"] == "1302001"
    modules = await looked_at("modules", host)
    assert {"nullfs", "if_bridge", "if_epair", "zfs"} <= modules.modules
    assert (await looked_at("devices", host)).device_rules == 5
    assert "security.jail.enforce_statfs" not in (await looked_at("jails", host)).sysctls
    facts = {topic: await looked_at(topic, host) for topic in freebsd.CHECKS}
    facts["modules"] = replace(modules, modules=modules.modules | {"tmpfs"})
    told = [found.code for topic, check in freebsd.CHECKS.items() for found in check(facts[topic]).problems]
    assert told == ["PKG_MISSING"]


async def report_of(host: ScriptedProcesses, folder: Path) -> dict[str, list[str]]:
    """Return what the doctor finds there, by topic."""
    path = folder / "jaild.yaml"
    path.write_text(f"state: {folder}/state\nsocket: {folder}/s\ndataset: zroot/jaild\n")
    report = await doctor.examine(host, path, functools.partial(config.load, path, {}), system="freebsd15")
    return {check.topic: [problem.code for problem in check.problems] for check in report.checks}


async def test_a_host_of_15_1_gets_a_whole_report(tmp_path: Path) -> None:
    told = await report_of(host_of_the_recording("15.1"), tmp_path)
    quiet = ("system", "jails", "modules", "limits", "devices", "zfs")
    assert {topic: told[topic] for topic in quiet} == {topic: [] for topic in quiet}
    assert told["pkg"] == ["PKG_MISSING"]


@pytest.mark.parametrize(
    ("program", "blind"),
    [
        ("pkg", set()),  # a base need not have even its stub
        ("kldstat", {"modules"}),
        ("devfs", {"devices"}),
        ("sysctl", {"system", "jails", "modules", "limits"}),
        ("ps", {"clock"}),
        ("freebsd-version", set()),
        ("zfs", set()),  # ZFS_MISSING
        ("zpool", set()),  # POOL_MISSING
        ("openssl", set()),  # no certificates here
    ],
)
async def test_a_missing_program_takes_no_other_check_with_it(tmp_path: Path, program: str, blind: set[str]) -> None:
    whole = await report_of(host_of_the_recording("15.1"), tmp_path)
    told = await report_of(host_of_the_recording("15.1", without=program), tmp_path)
    pool = {"pool"} if program == "zfs" else set()  # nothing to ask of a pool without ZFS
    assert told.keys() == whole.keys() - pool
    assert {topic for topic, codes in told.items() if "CHECK_FAILED" in codes} == blind
    changed = {topic for topic in told if told[topic] != whole[topic]}
    assert changed <= blind | {"zfs", "pool", "pkg"}


def test_every_program_that_jaild_is_seen_to_run_there_is_looked_for() -> None:
    told = "".join(path.read_text() for path in (ROOT / "tests/golden/freebsd").rglob("*.txt"))
    run = {match[1] for match in re.finditer(r"^\$ (?:[A-Z_0-9]+=\S+ )*([a-z_-]+) ", told, re.MULTILINE)}
    assert {"jail", "ifconfig", "kldload"} <= run
    optional = {"pfctl", "env", "pkg", "freebsd-update"}  # for ports, in a jail, and for making bases
    assert run - optional <= set(gathering.PROGRAMS)


async def test_what_is_part_of_the_kernel_counts_as_loaded() -> None:
    async def answer(argv: Argv, _stdin: bytes) -> Said:
        return Said(status=0 if argv == ("kldstat", "-q", "-m", "tmpfs") else 1)

    assert (await looked_at("modules", ScriptedProcesses(answer))).modules == {"tmpfs"}


async def test_the_kernels_patch_level_is_asked_of_freebsd_version() -> None:
    assert await gathering.kernel(host_of_the_recording()) == "13.2-RELEASE"
