"""Files out of jails and into them: which path is whose, by no link out of the jail, and never beside a migration."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from jaild.jailfiles.service import Copied, Destination
from jaild.model.access import Role
from jaild.model.errors import DataLossError, FailedPreconditionError, JaildError, PermissionDeniedError
from jaild.model.filerecords import Data, Entry, Kind, Record
from jaild.model.jails.spec import Volume
from jaild.model.views import Caller
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import SPEC, create
from tests.hosts.migrating import migrate, two_hosts
from tests.hosts.standbys import events

FILE: list[Record] = [Entry(path=b"", kind=Kind.FILE, mode=0o644, size=3), Data(0, b"new")]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def read(host: FakeHost, path: str, who: Caller | None = None) -> dict[bytes, Record]:
    found: dict[bytes, Record] = {}
    async for batch in host.core.use_cases.jail_files.read("web", path, who or caller()):
        found |= {record.path: record for record in batch if isinstance(record, Entry)}
    return found


async def stream(*batches: list[Record]) -> AsyncIterator[list[Record]]:
    for batch in batches:
        yield batch


def to(path: str, name: bytes = b"file") -> Destination:
    return Destination(path=path, base_name=name, preserve=False, owner=None)


async def write(
    host: FakeHost, destination: Destination, records: list[Record] = FILE, who: Caller | None = None
) -> Copied:
    return await host.core.use_cases.jail_files.write("web", destination, stream(records), who or caller())


def data(host: FakeHost) -> Path:
    return host.core.inventory.jails["web"].folder / "data"


async def refused(asked: object) -> str:
    with pytest.raises(JaildError) as error:
        await asked  # type: ignore[misc]
    return error.value.reason


async def test_a_file_goes_into_a_folder_under_its_name_or_takes_the_name_that_is_given(host: FakeHost) -> None:
    await create(host)
    (data(host) / "var/lib").mkdir(parents=True, exist_ok=True)
    os.chown(data(host) / "var/lib", os.geteuid(), os.getegid())
    assert (await write(host, to("/var/lib"))).path == "/var/lib/file"
    assert (await write(host, to("/var/lib/other"))).path == "/var/lib/other"
    assert (await write(host, to("/var/lib/other"))).bytes == 3
    assert (await write(host, to("/var/lib/typed", b""))).path == "/var/lib/typed"  # as from stdin
    assert {"file", "other", "typed"} <= set(names_in(data(host) / "var/lib"))
    for path, name in (("/var/gone/x", b"f"), ("/var/gone/", b"f")):
        assert await refused(write(host, to(path, name))) == "PATH_NOT_IN_JAIL", path
    await host.core.use_cases.jails.stop("web", caller=caller())
    assert {b"", b"file", b"other"} <= (await read(host, "/var/lib")).keys()


@pytest.mark.parametrize(
    ("path", "reason", "hint"),
    [
        ("/etc/passwd", "PATH_OF_GENERATION", "jailctl jail exec web"),
        ("/usr/local/etc", "PATH_OF_GENERATION", "later generations keep"),
        ("/usr/local/bin", "PATH_OF_GENERATION", "jailctl jail deploy web"),
        ("/bin", "PATH_OF_GENERATION", "jailctl jail upgrade web"),
        ("/tmp/x", "PATH_IN_MEMORY", "tar"),
        ("/var/../etc", "INVALID_JAIL_PATH", "absolute"),
        ("var", "INVALID_JAIL_PATH", "absolute"),
    ],
)
async def test_what_belongs_to_generations_or_is_in_memory_is_not_written_to(
    host: FakeHost, path: str, reason: str, hint: str
) -> None:
    await create(host)
    with pytest.raises(JaildError) as error:
        await write(host, to(path))
    assert (error.value.reason, hint in error.value.hint) == (reason, True)


async def test_links_are_followed_within_the_jail_and_never_out_of_it(host: FakeHost, tmp_path: Path) -> None:
    await create(host)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("the host's")
    (data(host) / "var/lib").mkdir(parents=True, exist_ok=True)
    (data(host) / "var/there").symlink_to("lib")
    (data(host) / "var/up").symlink_to("../../../../../../var/lib")
    (data(host) / "var/out").symlink_to(outside)
    (data(host) / "var/round").symlink_to("round")
    (data(host) / "var/conf").symlink_to("/etc")
    for way in ("/var/there", "/var/up"):
        assert (await write(host, to(way))).path == "/var/lib/file"
    assert b"file" in await read(host, "/var/up")
    assert await refused(read(host, "/var/out/secret")) == "PATH_NOT_IN_JAIL"
    assert await refused(write(host, to("/var/out/x"))) == "PATH_NOT_IN_JAIL"
    assert await refused(read(host, "/var/round")) == "INVALID_JAIL_PATH"
    assert await refused(write(host, to("/var/conf/x"))) == "PATH_OF_GENERATION"
    assert names_in(outside) == ["secret"]


async def test_a_volume_is_read_in_its_place_and_written_to_by_itself(host: FakeHost) -> None:
    spec = msgspec.structs.replace(SPEC, volumes={"db": Volume(path="/var/db/x")})
    await create(host, spec)
    volume = host.core.inventory.jails["web"].folder / "db"
    (volume / "rows").write_text("1")
    assert b"db/x/rows" in await read(host, "/var")
    assert (await write(host, to("/var/db/x"))).path == "/var/db/x/file"
    assert (volume / "file").read_text() == "new"
    tree: list[Record] = [Entry(path=b"", kind=Kind.FOLDER, mode=0o755), Entry(path=b"x", kind=Kind.FOLDER, mode=0o755)]
    hidden: list[Record] = [*tree, Entry(path=b"x/hidden", kind=Kind.FILE, mode=0o644)]
    assert await refused(write(host, to("/var", b"db"), hidden)) == "PATH_OF_VOLUME"
    assert await refused(write(host, to("/var/db", b"x"), tree[:1])) == "PATH_OF_VOLUME"


async def test_another_teams_jail_is_neither_read_nor_written_to(host: FakeHost) -> None:
    await create(host)
    other = Caller(actor="other", roles=frozenset({Role.PRODUCT}), apps=frozenset({"mail"}))
    with pytest.raises(PermissionDeniedError):
        await read(host, "/var", other)
    with pytest.raises(PermissionDeniedError):
        await write(host, to("/var/x"), who=other)


async def test_only_its_destination_is_told_if_no_more_is_asked(host: FakeHost) -> None:
    await create(host)
    assert await host.core.use_cases.jail_files.destination("web", to("/var"), caller()) == "/var/file"
    assert not (data(host) / "var/file").exists()
    assert (
        await refused(host.core.use_cases.jail_files.destination("web", to("/etc"), caller())) == "PATH_OF_GENERATION"
    )


async def test_what_breaks_off_leaves_what_is_whole_and_no_more(host: FakeHost) -> None:
    await create(host)

    async def broken() -> AsyncIterator[list[Record]]:
        yield [Entry(path=b"", kind=Kind.FOLDER, mode=0o755), Entry(path=b"a", kind=Kind.FILE, mode=0o644)]
        yield [Data(0, b"whole"), Entry(path=b"b", kind=Kind.FILE, mode=0o644), Data(0, b"half")]
        raise DataLossError("STREAM_TRUNCATED", "broken off")

    asked = host.core.use_cases.jail_files.write("web", to("/var/tree"), broken(), caller())
    assert await refused(asked) == "STREAM_TRUNCATED"
    assert names_in(data(host) / "var/tree") == ["a"]
    assert not (data(host) / ".jaild-cp").exists()


async def test_what_never_became_whole_is_taken_away_by_the_next_start_or_the_next_copy(host: FakeHost) -> None:
    await create(host)
    drafts = data(host) / ".jaild-cp"

    def left_over() -> None:  # of a daemon that was killed, here or where the jail came from
        drafts.mkdir()
        (drafts / "half").touch()

    async def looked_at() -> AsyncIterator[list[Record]]:
        yield FILE[:1]
        assert [name.startswith(".jaild-cp-") for name in names_in(drafts)] == [True]
        assert (await write(host, to("/var/second"))).entries == 1  # does not take away what the first one writes
        yield FILE[1:]

    left_over()
    await host.core.use_cases.jail_files.write("web", to("/var/first"), looked_at(), caller())
    assert {"first", "second"} <= set(names_in(data(host) / "var"))
    assert not drafts.exists()
    left_over()
    await host.restart()
    assert not drafts.exists()
    assert "repair 1 file of web, never whole: removed" in await events(host, "repair")


async def test_it_gives_way_to_a_migration_and_is_refused_after_it(tmp_path: Path) -> None:
    source, target = await two_hosts(tmp_path, back=False)
    moved = asyncio.Event()

    async def slow() -> AsyncIterator[list[Record]]:
        yield FILE[:1]
        assert (await source.end_of(await migrate(source, target))).failure is None
        moved.set()
        yield FILE[1:]

    with pytest.raises(FailedPreconditionError) as error:
        await source.core.use_cases.jail_files.write("web", to("/var/x"), slow(), caller())
    assert (error.value.reason, moved.is_set()) == ("JAIL_MOVED", True)
    assert not (data(source) / "var/x").exists()
    await source.stop()
    await target.stop()


async def test_what_comes_for_a_jail_is_not_written_into_a_later_one_of_its_name(host: FakeHost) -> None:
    await create(host)
    entry = host.core.inventory.jails["web"]

    async def batches() -> AsyncIterator[list[Record]]:
        yield FILE[:1]
        assert entry.record is not None
        entry.record = msgspec.structs.replace(entry.record, uid="another")
        yield FILE[1:]

    asked = host.core.use_cases.jail_files.write("web", to("/var/x", b""), batches(), caller())
    assert await refused(asked) == "JAIL_NOT_FOUND"
