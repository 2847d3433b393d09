"""The report as a whole: it comes where no daemon runs and where the configuration is broken."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from jaild import config, main
from jaild.doctor import command as doctor
from jaild.doctor.checks import report
from jaild.doctor.checks.report import Check, Report
from jaild.model.errors import UnavailableError
from tests.fakes.processes import Argv, Said, ScriptedProcesses

REPORT = Report(
    host="alpha",
    version="1.0",
    checks=(
        Check(topic="root", summary="runs as root"),
        Check(
            topic="limits", problems=(report.warning("RACCT_OFF", "racct is off", "set kern.racct.enable and boot"),)
        ),
        Check(
            topic="pool",
            summary="tank, DEGRADED",
            problems=(report.error("POOL_UNHEALTHY", "tank is DEGRADED", "see zpool status", evidence=("a", "b")),),
        ),
    ),
)


def test_the_report_for_people_says_of_each_what_to_do() -> None:
    assert report.text(REPORT).splitlines() == [
        "jaild 1.0 on alpha",
        "ok       root           runs as root",
        "warning  limits         racct is off (RACCT_OFF)",
        "                        hint: set kern.racct.enable and boot",
        "error    pool           tank, DEGRADED",
        "                        tank is DEGRADED (POOL_UNHEALTHY)",
        "                        | a",
        "                        | b",
        "                        hint: see zpool status",
        "1 error, 1 warning",
    ]


def test_the_report_for_programs_has_the_same_in_it() -> None:
    told = msgspec.json.decode(report.json(REPORT))
    assert (told["host"], told["errors"], told["warnings"]) == ("alpha", 1, 1)
    assert [check["word"] for check in told["checks"]] == ["ok", "warning", "error"]
    (problem,) = told["checks"][2]["problems"]
    assert (problem["code"], problem["hint"]) == ("POOL_UNHEALTHY", "see zpool status")
    assert (told["checks"][2]["findings"], problem["remedy"]) == ([problem], "see zpool status")  # by former names


def silent() -> ScriptedProcesses:
    async def answer(argv: Argv, _stdin: bytes) -> Said:
        raise UnavailableError("PROGRAM_MISSING", f"{argv[0]}: No such file or directory", resource=argv[0])

    return ScriptedProcesses(answer)


def checks(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    return {check["topic"]: check for check in msgspec.json.decode(capsys.readouterr().out)["checks"]}


def test_a_broken_configuration_is_a_problem_and_the_rest_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "jaild.yaml"
    path.write_text("datasett: tank/jaild\n")
    status = doctor.main(silent(), path, functools.partial(config.load, path, {}), as_json=True)
    told = checks(capsys)
    assert status == 1
    assert told["config"]["word"] == "error"
    assert "datasett" in str(told["config"]["problems"])
    assert {"root", "clock", "zfs"} <= told.keys()
    assert "peers" not in told


def test_a_host_where_nothing_is_there_yet_gets_a_whole_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "jaild.yaml"
    path.write_text(f"state: {tmp_path}/state\nsocket: {tmp_path}/s\n")
    assert doctor.main(silent(), path, functools.partial(config.load, path, {}), as_json=True) == 1
    told = checks(capsys)
    assert told["config"]["word"] == "ok"
    assert told["zfs"]["word"] == "error"
    assert told["daemon"]["word"] == "warning"
    assert {"folders", "certificates", "peers"} <= told.keys()


async def test_of_an_embedded_host_that_never_ran_its_start_is_judged_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "kernel_has_zfs", lambda: False)
    folder = tmp_path / "alpha"
    load = functools.partial(config.load, None, config.embedded(folder, "jaild-12345678/jaild", "12345678"))
    found = await doctor.examine(silent(), folder, load, system="linux", embedded=folder)
    told = {check.topic: check for check in found.checks}
    assert {topic: told[topic].word for topic in ("zfs", "pool", "folders", "daemon")} == dict.fromkeys(
        ("zfs", "pool", "folders", "daemon"), "ok"
    )
    assert told["pool"].summary == f"the start makes it on {folder}/vdevs/pool.img"
    assert "jaild-12345678" in told["system"].summary  # its own bridge
    assert not folder.exists()


async def test_a_check_that_fails_is_told_and_stops_no_other() -> None:
    async def breaks() -> list[Check]:
        raise OSError(5, "Input/output error", "/sys")

    (told,) = await doctor.guarded("system", breaks())
    assert (told.topic, told.word, told.problems[0].code) == ("system", "error", "CHECK_FAILED")


def test_its_exit_status_is_1_for_errors(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "jaild", "doctor", "--json", "--config", str(tmp_path / "none.yaml")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert msgspec.json.decode(ended.stdout)["checks"][1]["word"] == "error"


@pytest.mark.parametrize("arguments", [("--json",), ("docter",), ("doctor", "--destroy")])
def test_its_exit_status_is_2_for_a_wrong_command_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main([*arguments, "--config", str(tmp_path / "none.yaml")])
    assert ended.value.code == 2


def test_a_package_of_the_same_name_where_one_happens_to_be_is_not_what_goes_on_in_the_private_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = ["python3", "/opt/jaild/bin/jaild", "doctor", "--embedded", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", began[1:])
    monkeypatch.setattr(sys, "orig_argv", began)
    becomes: list[str] = []

    def enter(_folder: Path, argv: list[str]) -> None:
        becomes.extend(argv)
        raise SystemExit

    monkeypatch.setattr(main, "enter", enter)
    with pytest.raises(SystemExit):
        main.main()
    assert becomes == [sys.executable, *began[1:]]
