"""Jails of other tools: their files on this host, and what jls(8) and the tools say."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.adapters.foreign import HostForeign
from jaild.model.errors import JaildError, UnavailableError
from tests.fakes.processes import Argv, Said, ScriptedProcesses


async def never(argv: Argv, stdin: bytes) -> Said:
    raise AssertionError((argv, stdin))


async def test_those_files_are_read_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "tool/jails/web").mkdir(parents=True)
    (tmp_path / "tool/jails/web/config.json").write_bytes(b"{}\xff")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/devfs.rules").write_text("[a=1]\n")
    found = await HostForeign(ScriptedProcesses(never), tmp_path).texts(
        tmp_path / "tool",
        {"config": "jails/web/config.json", "fstab": "jails/web/fstab", "devfs": "/etc/devfs.rules"},
    )
    assert found == {"config": "{}\ufffd", "devfs": "[a=1]\n"}


async def test_no_link_is_followed_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "tool").mkdir()
    (tmp_path / "secret").write_text("the host's")
    (tmp_path / "tool/rc.conf").symlink_to(tmp_path / "secret")
    with pytest.raises(JaildError):
        await HostForeign(ScriptedProcesses(never)).texts(tmp_path / "tool", {"rc": "rc.conf"})


async def test_a_jail_runs_if_jls_knows_it() -> None:
    async def answer(argv: Argv, stdin: bytes) -> Said:
        del stdin
        return Said("3\n") if argv == ("jls", "-j", "ioc-web", "jid") else Said(status=1)

    host = HostForeign(ScriptedProcesses(answer))
    assert await host.is_running("ioc-web")
    assert not await host.is_running("other")


async def test_on_a_system_without_jails_none_runs() -> None:
    async def missing(argv: Argv, stdin: bytes) -> Said:
        del stdin
        raise UnavailableError("PROGRAM_MISSING", f"{argv[0]} is not there", hint="h")

    assert not await HostForeign(ScriptedProcesses(missing)).is_running("web")


async def test_a_tool_that_fails_is_an_error() -> None:
    async def fails(argv: Argv, stdin: bytes) -> Said:
        del argv, stdin
        return Said(stderr="no such jail", status=1)

    with pytest.raises(JaildError, match="no such jail"):
        await HostForeign(ScriptedProcesses(fails)).run(("iocage", "stop", "web"))
