"""The service scripts: shell that parses, the commands that they run, and the same ones in the port."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
GOLDEN = ROOT / "tests" / "golden" / "freebsd-service.txt"
FREEBSD = ROOT / "templates" / "freebsd"
PORT = FREEBSD / "port"
SCRIPTS = [ROOT / "rc.d" / "jaild", ROOT / "rc.d" / "jaild_jails", FREEBSD / "periodic" / "daily" / "480.jaild"]

Service = Callable[..., str]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_shell_that_parses_and_can_be_run(script: Path) -> None:
    assert script.stat().st_mode & 0o111 == 0o111
    subprocess.run(["sh", "-n", str(script)], check=True)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """Run a script of ours on a told rc.subr(8); programs of ours are told too, and end with `status`."""
    (tmp_path / "jaild.yaml").write_text("")
    told = tmp_path / "told"

    def run(script: str, *arguments: str, rc_conf: str = "", status: int = 0, says: str = "") -> str:
        for program in ("jaild", "jailctl"):
            path = tmp_path / program
            told_as = f"echo '$' {program} \"$@\"\necho $TERM >{tmp_path}/term"
            text = f"#!/bin/sh\n{told_as}\nprintf '%s' '{says}'\nexit {status}\n"
            path.write_text(text)
            path.chmod(0o755)
        found = next(path for path in SCRIPTS if path.name == script).read_text()
        found = re.sub(r"/usr/local/bin/(?=jail)", f"{tmp_path}/", found)
        told.write_text(found.replace(". /etc/rc.subr", f". {ROOT}/tests/fakes/rc.subr"))
        (tmp_path / "rc.conf").write_text(rc_conf)
        ended = subprocess.run(
            ["sh", str(told), *arguments],
            env={"TOLD_RC_CONF": str(tmp_path / "rc.conf"), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.stderr == ""
        return ended.stdout.replace(f"{tmp_path}/", "/usr/local/bin/").replace("$ /usr/local/bin/", "$ ")

    return run


BOTH = 'jaild_enable="YES"\njaild_jails_enable="YES"\n'


def test_the_commands_that_the_services_run_are_these(service: Service, tmp_path: Path) -> None:
    config = f'{BOTH}jaild_config="{tmp_path}/jaild.yaml"\n'
    cases = [
        ("the host boots", ("jaild", "start"), config),
        ("", ("jaild_jails", "start"), config),
        ("the daemon is restarted: no jail is touched", ("jaild", "restart"), config),
        ("the host goes down, scripts in reverse order", ("jaild_jails", "stop"), config),
        ("", ("jaild", "stop"), config),
        ("what an administrator asks", ("jaild", "status"), config),
        ("", ("jaild", "doctor"), config),
        ("", ("jaild", "reload"), config),
        ("", ("jaild_jails", "status"), config),
        (
            "with rc.conf: jaild_args, jaild_jails_deadline and jaild_jails_socket set",
            ("jaild", "start"),
            f'{config}jaild_args="--log-level debug"\n',
        ),
        (
            "",
            ("jaild_jails", "stop"),
            f'{config}jaild_jails_deadline="150s"\njaild_jails_socket="/tmp/s"\n',
        ),
        ("not enabled", ("jaild", "start"), ""),
        ("", ("jaild_jails", "start"), ""),
    ]
    lines = []
    for title, arguments, rc_conf in cases:
        lines += [f"\n== {title}"] if title else []
        lines += [f"# service {' '.join(arguments)}", service(*arguments, rc_conf=rc_conf).rstrip("\n")]
    text = "\n".join(lines).lstrip("\n").replace("/usr/local/bin/jaild.yaml", "/usr/local/etc/jaild/jaild.yaml") + "\n"
    if os.environ.get("JAILD_UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_jails_that_did_not_stop_in_time_are_told_and_hold_up_nothing(service: Service) -> None:
    told = service("jaild_jails", "stop", rc_conf=BOTH, status=9)
    assert "jaild_jails: WARNING: not all are stopped" in told


def test_a_daemon_that_does_not_answer_at_boot_is_told_with_what_to_do(service: Service) -> None:
    assert "service jaild doctor" in service("jaild_jails", "start", rc_conf=BOTH, status=8)


def test_without_its_configuration_the_daemon_is_not_started(service: Service) -> None:
    told = service("jaild", "start", rc_conf='jaild_enable="YES"\njaild_config="/nonexistent/jaild.yaml"\n')
    assert told == "jaild: WARNING: /nonexistent/jaild.yaml is not readable.\n"


def test_the_console_gets_no_codes_of_a_terminal_at_boot_and_shutdown(service: Service, tmp_path: Path) -> None:
    for verb in ("start", "stop"):
        service("jaild_jails", verb, rc_conf=BOTH)
        assert (tmp_path / "term").read_text() == "dumb\n"


def test_the_files_that_syslogd_writes_are_made_before_it_is_restarted() -> None:
    config = (FREEBSD / "newsyslog.conf.d" / "jaild.conf").read_text()
    (log,) = (line.split() for line in config.splitlines() if line and not line.startswith("#"))
    assert "C" in log[-1]  # else `newsyslog -C` makes it not
    for told in (ROOT / "docs/freebsd.md", PORT / "files/pkg-message.in"):
        text = told.read_text()
        made, restarted = text.index("newsyslog -C"), text.index("service syslogd restart")
        assert made < restarted < text.index("service jaild start", made)


def test_jails_stop_before_the_daemon_and_before_rc_d_jail_removes_them_all() -> None:
    required = re.search(r"^# REQUIRE: (.*)$", SCRIPTS[1].read_text(), re.MULTILINE)
    assert required is not None
    assert required[1].split() == ["jaild", "jail"]
    for script in SCRIPTS[:2]:
        assert "# KEYWORD: shutdown nojail" in script.read_text()


def test_the_services_ask_this_hosts_daemon_whatever_context_root_uses(service: Service) -> None:
    for verb in ("start", "stop", "status"):
        told = service("jaild_jails", verb, rc_conf=BOTH)
        assert "jailctl --address unix:///var/run/jaild/jaild.sock " in told


def daily(folder: Path) -> str:
    """Return the daily report's script with jaild's programs in `folder`, and without this machine's periodic.conf."""
    script = SCRIPTS[2].read_text().replace("/usr/local/bin/", f"{folder}/")
    return script.replace("/etc/defaults/periodic.conf", f"{folder}/periodic.conf")


@pytest.mark.parametrize(
    ("says", "status", "expected", "code"),
    [
        ("nothing is wrong", 0, "nothing is wrong", 0),
        ("0 errors, 2 warnings", 0, "0 errors, 2 warnings", 1),
        ("1 error, 0 warnings", 1, "1 error, 0 warnings", 3),
    ],
)
def test_the_daily_report_says_no_more_than_is_wrong(
    tmp_path: Path, says: str, status: int, expected: str, code: int
) -> None:
    jails = "NAME   STATE\nweb    running\ncache  failed\n" if status else "NAME   STATE\nweb    running\nold  moved\n"
    for program, text, ends in (("jaild", says, status), ("jailctl", jails, 0)):
        (tmp_path / program).write_text(f"#!/bin/sh\necho '{text}'\nexit {ends}\n")
        (tmp_path / program).chmod(0o755)
    (tmp_path / "script").write_text(daily(tmp_path))
    ended = subprocess.run(
        ["sh", str(tmp_path / "script")],
        env={"daily_status_jaild_enable": "YES", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (code, "")
    assert expected in ended.stdout
    assert ("cache  failed" in ended.stdout) == bool(status)
    assert "running" not in ended.stdout
    assert "moved" not in ended.stdout


def test_the_daily_report_is_silent_unless_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "script").write_text(daily(tmp_path))
    ended = subprocess.run(["sh", str(tmp_path / "script")], capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("", "")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_ports_scripts_are_the_trees_with_the_prefix_left_open(script: Path) -> None:
    there = (PORT / "files" / f"{script.name}.in").read_text()
    assert there == script.read_text().replace("/usr/local", "%%PREFIX%%")
