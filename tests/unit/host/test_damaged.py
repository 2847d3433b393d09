"""What cannot be read when the daemon starts harms itself alone: it is told, and everything else starts."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from jaild.model import layout
from jaild.model.views import JailState
from tests.fakes.host import FakeHost
from tests.hosts import invariants
from tests.hosts.adopting import DOWN, adopt, interrupted
from tests.hosts.asking import create, deploy, reason_of
from tests.hosts.migrating import migrate, two_hosts
from tests.hosts.standbys import stop
from tests.unit.fleet.test_epochs import restored

UNREADABLE = {
    "no JSON": b"{",
    "nothing": b"",
    "another schema": b'{"number": "one"}',
    "a list": b"[]",
    "bytes that are no text": b'{"number": "\xff"}',
    "nested without end": b"[" * 100_000,
}


def spoil(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def file_of(host: FakeHost, jail: str, number: int = 1) -> Path:
    return layout.generation_folder(host.core.inventory.jails[jail].folder, number) / layout.GENERATION


SPOILED: list[Callable[[Path], None]] = [
    *(lambda path, content=content: spoil(path, content) for content in UNREADABLE.values()),
    folder_instead,
]


@pytest.mark.parametrize("harm", SPOILED, ids=[*UNREADABLE, "a folder"])
async def test_a_jail_whose_generation_cannot_be_read_is_told_and_the_others_start(
    host: FakeHost, harm: Callable[[Path], None]
) -> None:
    await create(host)
    await create(host, name="other")
    harm(file_of(host, "web"))
    await host.restart(reboot=True)
    await host.quiet()
    jails = host.core.use_cases.jails
    assert jails.get("other").state is JailState.RUNNING
    assert jails.get("web").state is JailState.DAMAGED
    assert "cannot be read" in jails.get("web").message
    assert any("jail web" in repair and "cannot be read" in repair for repair in host.core.recovery.repairs)


@pytest.mark.parametrize("table", ["operations", "journals", "evacuations", "events", "audit"])
async def test_rows_that_cannot_be_read_are_told_and_the_daemon_starts(quick_path: Path, table: str) -> None:
    source, target = await two_hosts(quick_path, back=False)
    await source.end_of(await migrate(source, target))
    await target.stop()
    with sqlite3.connect(target.folder / "jaild.db") as store:
        key = {"events": "sequence, target", "audit": "sequence, refused"}.get(table, "id, created")
        store.execute(f"delete from {table}")  # noqa: S608 -- one of ours
        also = ", outgoing" if table == "journals" else ""
        for row, content in enumerate(UNREADABLE.values(), 1):
            store.execute(
                f"insert into {table} ({key}, record{also}) values (?, 1, ?{', 0' if also else ''})",  # noqa: S608
                (row, content),
            )
    await target.restart()
    await target.quiet()
    assert target.core.use_cases.jails.get("web").state is JailState.RUNNING
    audit = await target.core.use_cases.audit.entries(10, 0)
    assert all(entry.sequence > len(UNREADABLE) for entry in audit) or table != "audit"
    assert [event async for event in target.core.use_cases.events.watch(0, "", False)] != []
    if table in {"operations", "journals", "evacuations"}:
        repairs = "\n".join(target.core.recovery.repairs)
        assert [row for row in range(1, len(UNREADABLE) + 1) if f"jaild.db: {table}/{row}" not in repairs] == []
    await stop([source, target])


def forget_what_journals_say(host: FakeHost) -> None:
    with sqlite3.connect(host.folder / "jaild.db") as store:
        assert store.execute("update journals set record = '{'").rowcount == 1


async def test_a_jail_that_was_handed_on_does_not_start_from_an_old_pool_though_its_journal_cannot_be_read(
    quick_path: Path,
) -> None:
    source, target = await two_hosts(quick_path, back=False)
    before = (await invariants.records(source))["web"]
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    await source.stop()
    forget_what_journals_say(source)
    await restored(source, before)
    assert invariants.running([source, target], "web") == ["beta:web.1"]
    assert source.core.use_cases.jails.get("web").state is JailState.SUPERSEDED
    assert any("jail web, with beta" in repair for repair in source.core.recovery.repairs)
    await stop([source, target])


async def test_a_target_that_may_have_adopted_the_jail_is_asked_though_the_journal_cannot_be_read(
    quick_path: Path,
) -> None:
    source, target = await interrupted(quick_path, "alpha>beta prepare")
    assert reason_of(await adopt(target, DOWN)) == ""
    forget_what_journals_say(source)
    source.runtime.calls.clear()
    await source.restart(reboot=True)
    await source.quiet()
    await target.quiet()
    assert source.core.use_cases.jails.get("web").state is JailState.FENCED
    assert [call for call in source.runtime.calls if call[0] == "start"] == []
    assert await invariants.unsafe((source, target), "web") == []
    await stop([source, target])


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_host_whose_word_about_being_shut_down_cannot_be_read_starts_its_jails(
    host: FakeHost, content: bytes
) -> None:
    await create(host)
    (host.folder / "halted.json").write_bytes(content)
    await host.restart(reboot=True)
    await host.quiet()
    assert host.core.use_cases.jails.get("web").state is JailState.RUNNING


async def test_a_host_whose_word_about_being_drained_cannot_be_read_takes_no_jails(host: FakeHost) -> None:
    await host.stop()
    with sqlite3.connect(host.folder / "jaild.db") as store:
        store.execute("insert into host (key, record) values ('drain', '{')")
    await host.restart()
    assert (await host.core.host.view()).drain is not None


async def test_a_file_name_that_is_no_text_ends_a_change_like_any_other_fault(host: FakeHost) -> None:
    assert reason_of(await create(host)) == ""
    folder = (await host.zfs.dataset("tank/jaild/jails/web")).mountpoint
    assert folder is not None
    os.mkfifo(os.fsencode(layout.generation_folder(folder, 1) / layout.ETC) + b"/\xff")
    for _ in range(2):
        async with asyncio.timeout(host.patience):
            failure = (await deploy(host, "web/2")).failure
        assert failure is not None
        assert (failure.reason, failure.message) == ("UNSUPPORTED_FILE", r"\udcff is no file, folder or link")
