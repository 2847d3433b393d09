"""A jail as a file, and the jail that another host makes of it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from jaild.copies.exports import Wanted
from jaild.copies.imports import Asked
from jaild.copies.incoming import Stream
from jaild.model import layout
from jaild.model.errors import DataLossError, FailedPreconditionError, InvalidArgumentError, JaildError
from jaild.model.jails.copying import Reach
from jaild.model.jails.spec import JailSpec, Mode, Network, Volume
from jaild.model.operation import Operation
from jaild.model.snapshots import EXPORT
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Network as Wires
from tests.hosts import asking, invariants
from tests.hosts.fixtures import furnished
from tests.unit.jails.test_identity import KEY, Keygen, files

SPEC = JailSpec(
    base="a",
    app="web/1",
    environment={"TOKEN": "secret"},
    network=Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24",)),
    volumes={"db": Volume(path="/var/db/x", recordsize="16K")},
)


@pytest.fixture
async def alpha(tmp_path: Path) -> AsyncIterator[FakeHost]:
    found = FakeHost(tmp_path / "alpha", "alpha", Wires())
    found.runtime = Keygen()
    await furnished(found)
    await found.add_base("a", files("a"))
    assert asking.reason_of(await asking.create(found, SPEC)) == ""
    (data(found) / "var/lib/kept").write_text("of web")
    (data(found) / "var/lib/dbus").mkdir(exist_ok=True)
    (data(found) / "var/lib/dbus/machine-id").write_text("its own")
    (data(found, path="db") / "table").write_text("rows")
    (etc(found) / "motd").write_text("edited in the jail\n")
    yield found
    await found.stop()


@pytest.fixture
async def beta(tmp_path: Path) -> AsyncIterator[FakeHost]:
    found = FakeHost(tmp_path / "beta", "beta", Wires())
    found.runtime = Keygen()
    await found.start()
    yield found
    await found.stop()


def data(host: FakeHost, name: str = "web", path: str = layout.DATA) -> Path:
    return host.core.inventory.jails[name].folder / path


def etc(host: FakeHost, name: str = "web") -> Path:
    return host.core.inventory.jails[name].folder / "generations/1" / layout.ETC


async def exported(host: FakeHost, wanted: Wanted | None = None) -> bytes:
    stream = host.core.use_cases.copies.exports.export("web", wanted or WHOLE, caller())
    return b"".join([piece async for piece in stream])


WHOLE = Wanted(with_layers=True)


async def chunks(content: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def imported(
    host: FakeHost, content: bytes, name: str = "web", stream: Stream | None = None, asked: Asked | None = None
) -> Operation:
    imports = host.core.use_cases.copies.imports
    stream = stream or Stream(size=len(content))
    return await asking.ended(
        host, imports.take(name, chunks(content[stream.offset :]), stream, asked or Asked(), caller())
    )


def left(host: FakeHost) -> list[str]:
    """Return what is left of uploads, clones and snapshots."""
    uploads = host.folder / "uploads"
    files = [path.name for path in uploads.iterdir()] if uploads.is_dir() else []
    return files + [name for name in host.zfs.pool.filesystems if "/rehearsals/" in name]


async def test_an_import_is_a_jail_of_its_own_with_the_data_of_the_exported_one(
    alpha: FakeHost, beta: FakeHost
) -> None:
    assert asking.reason_of(await imported(beta, await exported(alpha))) == ""
    assert asking.serves(beta, 1)
    jail = asking.active(beta)
    assert (jail.base, jail.release, jail.reason, jail.spec.environment) == (
        "a",
        "web/1",
        "import",
        {"TOKEN": "secret"},
    )
    assert (data(beta) / "var/lib/kept").read_text() == "of web"
    assert (data(beta, path="db") / "table").read_text() == "rows"
    assert (etc(beta) / "motd").read_text() == "edited in the jail\n"
    assert (etc(beta) / "machine-id").read_text() != (etc(alpha) / "machine-id").read_text()
    assert (etc(beta) / KEY).exists()
    assert not (data(beta) / "var/lib/dbus/machine-id").exists()
    assert beta.core.inventory.bases["a"].guid == alpha.core.inventory.bases["a"].guid
    records = [host.core.use_cases.jails.get("web").record for host in (alpha, beta)]
    assert len({record.uid for record in records if record is not None}) == 2
    assert await invariants.unsettled(beta) == []
    assert left(alpha) == left(beta) == []
    assert not [s for s in await alpha.zfs.snapshots("tank/jaild/jails/web", recursive=True) if s.purpose == EXPORT]
    assert await beta.zfs.snapshots("tank/jaild/jails/web", recursive=True) == []


async def test_an_import_that_takes_the_place_of_its_original_keeps_its_identity(
    alpha: FakeHost, beta: FakeHost
) -> None:
    assert asking.reason_of(await imported(beta, await exported(alpha), asked=Asked(keep_identity=True))) == ""
    for path in (KEY, "machine-id"):
        assert (etc(beta) / path).read_text() == (etc(alpha) / path).read_text()
    assert (data(beta) / "var/lib/dbus/machine-id").read_text() == "its own"


async def test_a_portable_export_brings_files_by_tar(alpha: FakeHost, beta: FakeHost) -> None:
    content = await exported(alpha, Wanted(portable=True))
    layers = await imported(beta, await exported(alpha), "first")
    assert asking.reason_of(layers) == ""
    reach = Reach(addresses=("10.0.0.6/24",))
    assert asking.reason_of(await imported(beta, content, "second", asked=Asked(reach=reach))) == ""
    assert (data(beta, "second") / "var/lib/kept").read_text() == "of web"
    assert (data(beta, "second", "db") / "table").read_text() == "rows"
    assert left(alpha) == left(beta) == []


async def test_an_export_at_a_snapshot_is_the_jail_as_it_was_then(alpha: FakeHost, beta: FakeHost) -> None:
    await alpha.zfs.snapshot("tank/jaild/jails/web", "nightly", recursive=True)
    (data(alpha) / "var/lib/kept").write_text("later")
    content = await exported(alpha, Wanted(at="nightly", with_layers=True))
    assert asking.reason_of(await imported(beta, content)) == ""
    assert (data(beta) / "var/lib/kept").read_text() == "of web"
    assert "nightly" in {s.tag for s in await alpha.zfs.snapshots("tank/jaild/jails/web")}


async def test_of_a_file_that_is_not_whole_nothing_is_made(alpha: FakeHost, beta: FakeHost) -> None:
    content = await exported(alpha)
    asking.touched(beta)
    broken = {
        "EXPORT_TRUNCATED": content[: len(content) // 2],
        "EXPORT_DAMAGED": content[:-3000] + b"?" + content[-2999:],
        "NOT_AN_EXPORT": b"?" + content[1:],
    }
    for reason, wrong in broken.items():
        with pytest.raises(JaildError) as refused:
            await imported(beta, wrong, stream=Stream(sha256="a" * 64, size=len(wrong)))
        assert refused.value.reason == reason
        assert left(beta) == []  # although its sender could go on with it
    assert asking.touched(beta) == []
    assert beta.core.use_cases.jails.list() == []


async def test_what_has_come_of_a_stream_that_was_broken_off_is_gone_on_with(alpha: FakeHost, beta: FakeHost) -> None:
    content = await exported(alpha)
    copies = beta.core.use_cases.copies
    stream = Stream(sha256=hashlib.sha256(content).hexdigest(), size=len(content))

    async def cut() -> AsyncIterator[bytes]:
        yield content[:5000]
        raise DataLossError("STREAM_TRUNCATED", "the caller hung up")

    with pytest.raises(DataLossError):
        await copies.imports.take("web", cut(), stream, Asked(), caller())
    assert await copies.uploads.size(stream.sha256) == 5000
    with pytest.raises(FailedPreconditionError) as moved:
        await imported(beta, content, stream=stream)
    assert (moved.value.reason, moved.value.detail) == ("UPLOAD_MOVED", {"size": "5000"})
    await beta.restart()
    assert asking.reason_of(await imported(beta, content, stream=Stream(sha256=stream.sha256, offset=5000))) == ""
    assert (data(beta) / "var/lib/kept").read_text() == "of web"
    assert left(beta) == []


async def test_a_plan_changes_nothing_and_the_file_need_not_be_sent_again(alpha: FakeHost, beta: FakeHost) -> None:
    content = await exported(alpha)
    stream = Stream(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    asking.touched(beta)
    planned = await imported(beta, content, stream=stream, asked=Asked(validate_only=True))
    assert planned.plan is not None
    assert "receive bases/a" in planned.plan.steps
    assert "ADDRESSES_OF_ORIGINAL" in {problem.code for problem in planned.plan.problems}
    assert asking.touched(beta) == []
    whole = Stream(sha256=stream.sha256, size=len(content), offset=len(content))
    assert asking.reason_of(await imported(beta, content, stream=whole)) == ""


async def test_an_import_beside_its_original_is_told_that_the_address_is_taken(alpha: FakeHost) -> None:
    content = await exported(alpha)
    with pytest.raises(FailedPreconditionError) as refused:
        await imported(alpha, content, "copy")
    assert "ADDRESS_IN_USE" in {problem.code for problem in refused.value.problems}
    assert left(alpha) == []
    reach = Reach(addresses=("10.0.0.6/24",))
    assert asking.reason_of(await imported(alpha, content, "copy", asked=Asked(reach=reach))) == ""


async def test_layers_that_are_neither_here_nor_in_the_file_are_named(alpha: FakeHost, beta: FakeHost) -> None:
    content = await exported(alpha, Wanted())
    with pytest.raises(FailedPreconditionError) as refused:
        await imported(beta, content)
    assert [p.subject for p in refused.value.problems if p.code == "LAYER_MISSING"] == ["bases/a", "apps/web/1"]


async def test_a_layer_of_the_same_name_and_another_content_is_refused(alpha: FakeHost, beta: FakeHost) -> None:
    await beta.add_base("a", files("b"))
    with pytest.raises(FailedPreconditionError) as refused:
        await imported(beta, await exported(alpha))
    assert [p.subject for p in refused.value.problems if p.code == "LAYER_DIFFERS"] == ["bases/a"]


async def test_an_import_that_fails_leaves_nothing_but_the_layers(alpha: FakeHost, beta: FakeHost) -> None:
    content = await exported(alpha)
    beta.zfs.refuse["receive tank/jaild/jails/web/db"] = DataLossError("STREAM_INVALID", "no")
    assert asking.reason_of(await imported(beta, content)) == "STREAM_INVALID"
    assert beta.core.use_cases.jails.list() == []
    assert left(beta) == []
    beta.zfs.refuse.clear()
    assert asking.reason_of(await imported(beta, content)) == ""


async def test_the_plan_of_an_export_says_what_is_in_it(alpha: FakeHost) -> None:
    asking.touched(alpha)
    plan = await alpha.core.use_cases.copies.exports.plan("web", WHOLE)
    assert [(problem.code, problem.evidence) for problem in plan.problems] == [("EXPORT_HAS_SECRETS", ("TOKEN",))]
    assert any("bases/a, apps/web/1" in step for step in plan.steps)
    assert asking.touched(alpha) == []


async def test_portable_layers_are_refused(alpha: FakeHost) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        await exported(alpha, Wanted(portable=True, with_layers=True))
    assert refused.value.reason == "LAYERS_NOT_PORTABLE"


async def test_an_export_that_nobody_reads_to_its_end_leaves_no_snapshot(alpha: FakeHost) -> None:
    stream = alpha.core.use_cases.copies.exports.export("web", WHOLE, caller())
    async with aclosing(stream):  # type: ignore[type-var]
        await anext(stream)
    assert not [s for s in await alpha.zfs.snapshots("tank/jaild/jails/web", recursive=True) if s.purpose == EXPORT]


async def test_what_a_crash_left_of_an_export_goes_with_the_next(alpha: FakeHost) -> None:
    await alpha.zfs.snapshot("tank/jaild/jails/web", "export-old", recursive=True, purpose=EXPORT)
    await exported(alpha)
    assert not [s for s in await alpha.zfs.snapshots("tank/jaild/jails/web", recursive=True) if s.purpose == EXPORT]


async def test_an_encrypted_export_is_told_apart(alpha: FakeHost, beta: FakeHost) -> None:
    content = await exported(alpha, Wanted(with_layers=True, recipients=("age1x",)))
    with pytest.raises(InvalidArgumentError) as refused:
        await imported(beta, content)
    assert refused.value.reason == "EXPORT_ENCRYPTED"


async def test_what_a_crash_left_of_an_export_goes_at_the_next_start_and_nothing_else(alpha: FakeHost) -> None:
    web = "tank/jaild/jails/web"
    await alpha.zfs.snapshot(web, "export-1", recursive=True, purpose=EXPORT)
    await alpha.zfs.snapshot(web, "export-of-mine", recursive=True)
    await alpha.restart()
    await alpha.quiet()
    assert [s.tag for s in await alpha.zfs.snapshots(web)] == ["export-of-mine"]
