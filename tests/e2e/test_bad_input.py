"""Every kind of bad input: a typed refusal with a hint, nothing left behind nor touched outside, and on it goes."""

from __future__ import annotations

import gzip
import secrets
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from jaild.model.errors import (
    AlreadyExistsError,
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    JaildError,
    NotFoundError,
    ResourceExhaustedError,
)
from jaild.v1 import apps_pb2, bases_pb2, jails_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client, chunks, codes, digest, explained, refused, until
from tests.e2e.conftest import MANIFEST
from tests.e2e.node import Node, hosted
from tests.tars import Item, file, folder, hardlink, pack, picture, symlink
from tests.tars import node as device

pytestmark = pytest.mark.real(*LINUX_HOST)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A place that evil archives aim at."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "sentinel").write_text("as it was\n")
    return place


@pytest.fixture(autouse=True)
def nothing_changes(node: Node, outside: Path) -> Iterator[None]:
    """Whatever was refused: the host is as before, and serves."""
    before, around = node.traces(), picture(outside)
    yield
    assert node.traces() == before
    assert picture(outside) == around
    assert node.api.info().name == "solo"


def evil(outside: Path) -> dict[str, tuple[str, list[Item]]]:
    up = "../" * 30 + str(outside).lstrip("/")
    return {
        "dotdot": ("ARCHIVE_PATH_ESCAPES", [file(f"{up}/planted")]),
        "dotdot inside": ("ARCHIVE_PATH_ESCAPES", [folder("a"), file(f"a/{up}/planted")]),
        "absolute": ("ARCHIVE_PATH_ESCAPES", [file(f"{outside}/planted")]),
        "through a symlink": ("ARCHIVE_PATH_ESCAPES", [symlink("a", str(outside)), file("a/planted")]),
        "over a symlink": ("ARCHIVE_DUPLICATE_ENTRY", [symlink("a", f"{outside}/sentinel"), file("a", b"gone")]),
        "through a symlink with dots": ("ARCHIVE_PATH_ESCAPES", [symlink("a", up), file("a/planted")]),
        "hard link that escapes": ("ARCHIVE_LINK_ESCAPES", [hardlink("a", f"{up}/sentinel")]),
        "hard link to an absolute path": ("ARCHIVE_LINK_ESCAPES", [hardlink("a", f"{outside}/sentinel")]),
        "device": ("ARCHIVE_DEVICE_NODE", [folder("srv2"), device("srv2/sda")]),
        "block device": ("ARCHIVE_DEVICE_NODE", [device("disk", tarfile.BLKTYPE)]),
        "fifo": ("ARCHIVE_DEVICE_NODE", [device("pipe", tarfile.FIFOTYPE)]),
    }


EVIL = sorted(evil(Path("/")))


@pytest.mark.parametrize("kind", EVIL)
def test_a_base_with_an_evil_entry_is_refused(api: Client, tmp_path: Path, outside: Path, kind: str) -> None:
    reason, items = evil(outside)[kind]
    archive = trees.base(tmp_path / "evil.tgz", "1", None, *items)
    with refused(InvalidArgumentError, reason):
        api.import_base("evil", archive)


@pytest.mark.parametrize("kind", EVIL)
@pytest.mark.parametrize("header", [{}, {"from": "apps/web/releases/1"}], ids=["new", "from"])
def test_a_release_with_an_evil_entry_is_refused(
    api: Client, tmp_path: Path, outside: Path, kind: str, header: dict[str, Any]
) -> None:
    reason, items = evil(outside)[kind]
    archive = trees.release(tmp_path / "evil.tgz", "1", *items)
    with refused(InvalidArgumentError, reason):
        api.push("web/evil", archive, manifest=MANIFEST, **header)


def test_device_nodes_in_a_bases_dev_are_left_out_with_a_note(api: Client, node: Node, tmp_path: Path) -> None:
    archive = trees.base(tmp_path / "nodes.tgz", "1", None, device("dev/null"), device("dev/sda", tarfile.BLKTYPE))
    base = api.import_base("nodes", archive)
    assert [note for note in base.notes if "2" in note and "dev" in note]
    assert list(node.seen("bases/nodes/root/dev").iterdir()) == []
    delete_base(api, "nodes")


def test_device_nodes_in_a_releases_dev_are_refused(api: Client, tmp_path: Path) -> None:
    archive = trees.release(tmp_path / "nodes.tgz", "1", folder("dev"), device("dev/null"))
    with refused(InvalidArgumentError, "ARCHIVE_DEVICE_NODE"):
        api.push("web/nodes", archive, manifest=MANIFEST)


def test_a_million_empty_files_are_refused_before_one_is_unpacked(api: Client, tmp_path: Path) -> None:
    archive = many_files(tmp_path / "many.tgz", 1_000_000)
    with refused(InvalidArgumentError, "ARCHIVE_TOO_MANY_FILES") as refusal:
        api.push("web/many", archive, manifest=MANIFEST)
    assert refusal.value.detail["max_files"] == "500000"


def test_a_wrong_digest_is_refused_before_anything_is_unpacked(api: Client, workshop: Path) -> None:
    good, wrong = digest(workshop / "tiny-1.tgz"), "0" * 64
    with refused(DataLossError, "DIGEST_MISMATCH") as refusal:
        api.import_begin("other", workshop / "tiny-1.tgz", sha256=wrong)
    assert refusal.value.detail == {"expected": wrong, "found": good}
    with refused(DataLossError, "DIGEST_MISMATCH"):
        api.push_begin("web/other", workshop / "web-1.tgz", sha256=wrong, manifest=MANIFEST)


def test_a_digest_that_its_manifest_does_not_know_is_refused(api: Client, workshop: Path) -> None:
    manifest = f'base.txz\t{"0" * 64}\t30000\tbase\t"Base system (MANDATORY)"\ton\n'
    with refused(DataLossError, "MANIFEST_MISMATCH"):
        api.import_begin("other", workshop / "tiny-1.tgz", manifest=manifest)


@pytest.mark.parametrize("announced", [1, 1 << 30], ids=["less than comes", "more than comes"])
def test_a_stream_of_another_size_than_announced_is_refused(api: Client, workshop: Path, announced: int) -> None:
    with refused(DataLossError, "STREAM_TRUNCATED"):
        api.import_begin("other", workshop / "tiny-1.tgz", size_bytes=announced)
    with refused(DataLossError, "STREAM_TRUNCATED"):
        api.push_begin("web/other", workshop / "web-1.tgz", size_bytes=announced, manifest=MANIFEST)


def test_of_a_caller_who_hangs_up_in_the_middle_nothing_is_left(api: Client, node: Node, workshop: Path) -> None:
    before = node.traces()
    header = bases_pb2.ImportBaseHeader(base_id="other")

    def half() -> Iterator[bases_pb2.ImportBaseRequest]:
        yield bases_pb2.ImportBaseRequest(header=header)
        for chunk in chunks(workshop / "tiny-1.tgz"):
            yield bases_pb2.ImportBaseRequest(chunk=chunk[: len(chunk) // 2])
        until(lambda: node.traces() != before)  # it is taking it
        call.cancel()

    call = api.bases.ImportBase.future(half(), timeout=30)
    with pytest.raises((grpc.FutureCancelledError, grpc.RpcError)):
        call.result()
    until(lambda: node.traces() == before)
    assert api.names_of_bases() == ["tiny-1"]


def test_a_damaged_archive_is_refused(api: Client, workshop: Path, tmp_path: Path) -> None:
    whole = (workshop / "tiny-1.tgz").read_bytes()
    cut = tmp_path / "cut.tgz"
    cut.write_bytes(whole[: len(whole) // 2])
    with refused(DataLossError, "ARCHIVE_TRUNCATED"):
        api.import_base("other", cut)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    cut.write_bytes(flipped)
    with refused(DataLossError, "ARCHIVE_TRUNCATED"):
        api.import_base("other", cut)
    cut.write_bytes(secrets.token_bytes(4096))
    with refused(InvalidArgumentError, "ARCHIVE_UNREADABLE"):
        api.import_base("other", cut)


def test_an_archive_that_is_no_operating_system_is_refused(api: Client, tmp_path: Path) -> None:
    with refused(InvalidArgumentError, "NOT_A_BASE"):
        api.import_base("other", pack(tmp_path / "empty.tar", folder("etc"), file("etc/passwd", b"")))


BAD_NAMES = ["", ".", "..", "../x", "a/b", "a@b", "a b", "-a", "a%2fb", "a\nb", "ä", "x" * 256, "a\0b", "$(x)"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_what_is_not_a_name_is_refused_everywhere(api: Client, workshop: Path, name: str) -> None:
    with refused(InvalidArgumentError, "INVALID_NAME"):
        api.import_begin(name, workshop / "tiny-1.tgz")
    with refused(InvalidArgumentError, "INVALID_NAME"):
        header = apps_pb2.PushReleaseHeader(parent="apps/web", release_id=name, manifest=MANIFEST)
        with explained():
            api.apps.PushRelease(iter([apps_pb2.PushReleaseRequest(header=header)]), timeout=30)
    with refused(InvalidArgumentError, "INVALID_NAME"):
        api.create_begin(name, trees.spec("tiny-1", "web/1"))
    with refused(InvalidArgumentError, "INVALID_NAME"):
        api.call(api.jails.GetJail, jails_pb2.GetJailRequest(name=f"jails/{name}"))


def test_names_of_other_collections_are_refused(api: Client) -> None:
    with refused(InvalidArgumentError, "INVALID_NAME"):
        api.call(api.jails.GetJail, jails_pb2.GetJailRequest(name="bases/tiny-1"))
    with refused(InvalidArgumentError, "INVALID_NAME"):
        api.call(api.bases.GetBase, bases_pb2.GetBaseRequest(name="jails/edge-1"))


SPECS = {
    "unknown key": ("base: tiny-1\napp: web/1\nmemroy: 1G\n", "line 3", "memroy"),
    "unknown key below": ("base: tiny-1\nlimits:\n  memroy: 1G\n", "line 3", "memroy"),
    "wrong kind": ("base: tiny-1\nlimits:\n\n  cpus: many\n", "line 4", "cpus"),
    "no base": ("app: web/1\n", "", "base"),
    "key twice": ("base: tiny-1\nbase: tiny-2\n", "line 2", "base"),
    "not yaml": ("base: [tiny-1\n", "line", ""),
    "not a mapping": ("- tiny-1\n", "", ""),
}


@pytest.mark.parametrize("kind", sorted(SPECS))
def test_a_spec_with_a_mistake_is_refused_with_its_line(api: Client, kind: str) -> None:
    text, line, word = SPECS[kind]
    with refused(InvalidArgumentError, "INVALID_SPEC") as refusal:
        api.create_begin("edge-2", text)
    assert line in str(refusal.value)
    assert word in str(refusal.value)


@pytest.mark.parametrize(
    "path", ["/", "//", "/.", "/etc", "/etc/x", "/usr/local", "/proc", "/dev", "/../x", "relative", "/var/../etc", ""]
)
def test_a_volume_over_what_is_not_its_place_is_refused(api: Client, path: str) -> None:
    volumes = f"{{store: {{path: '{path}'}}}}"
    with pytest.raises(JaildError) as caught:
        api.create("edge-2", trees.spec("tiny-1", "web/1", volumes=volumes))
    assert caught.value.reason in {"INVALID_SPEC", "DUPLICATE_MOUNT", "PLAN_REFUSED"}
    assert caught.value.hint


def test_a_volume_on_a_symlink_of_the_base_is_refused(api: Client, tmp_path: Path) -> None:
    api.import_base("linked", trees.base(tmp_path / "linked.tgz", "1", None, symlink("store", "/etc")))
    with refused(FailedPreconditionError, "PLAN_REFUSED") as refusal:
        api.create("edge-2", trees.spec("linked", "web/1", volumes="{store: {path: /store}}"))
    assert codes(refusal.value) == ["MOUNT_TARGET"]
    delete_base(api, "linked")


def test_two_jails_with_one_address_are_refused(api: Client, node: Node) -> None:
    network = f"{{mode: vnet, addresses: [{node.addresses[1]}]}}"
    api.create("edge-1", trees.spec("tiny-1", "web/1", network=network))
    between = node.traces()
    with refused(FailedPreconditionError, "PLAN_REFUSED") as refusal:
        api.create("edge-2", trees.spec("tiny-1", "web/1", network=network))
    assert codes(refusal.value) == ["ADDRESS_IN_USE"]
    assert "edge-1" in refusal.value.problems[0].message
    assert node.traces() == between
    api.delete("edge-1")


def test_two_requests_at_once_for_one_address_do_not_both_get_it(api: Client, node: Node) -> None:
    network = f"{{mode: vnet, addresses: [{node.addresses[2]}]}}"
    spec = trees.spec("tiny-1", "web/1", network=network)
    first, refusals = api.create_begin("edge-1", spec), 0
    try:
        refusals += api.end(api.create_begin("edge-2", spec)).HasField("error")
    except FailedPreconditionError:  # by its plan, where the first was quick
        refusals += 1
    assert (api.end(first).HasField("error"), refusals) in {(False, 1), (True, 0)}
    for name in api.names_of_jails():
        api.delete(name)


def test_two_jails_of_one_name_are_refused(api: Client, jail: str) -> None:
    with refused(AlreadyExistsError, "JAIL_EXISTS"):
        api.create_begin(jail, trees.spec("tiny-1", "web/1"))
    api.delete(jail)


def test_layers_of_one_name_are_refused(api: Client, workshop: Path) -> None:
    with refused(AlreadyExistsError, "BASE_EXISTS"):
        api.import_begin("tiny-1", workshop / "tiny-1.tgz")
    with refused(AlreadyExistsError, "RELEASE_EXISTS"):
        api.push_begin("web/1", workshop / "web-1.tgz", manifest=MANIFEST)


def test_what_is_not_there_is_told_by_its_name(api: Client, jail: str, workshop: Path) -> None:
    with refused(NotFoundError, "BASE_NOT_FOUND"):
        api.create_begin("edge-2", trees.spec("tiny-9", "web/1"))
    with refused(NotFoundError, "RELEASE_NOT_FOUND"):
        api.create_begin("edge-2", trees.spec("tiny-1", "web/9"))
    with refused(NotFoundError, "BASE_NOT_FOUND"):
        api.upgrade(jail, "tiny-9")
    with refused(NotFoundError, "RELEASE_NOT_FOUND"):
        api.deploy(jail, "web/9")
    with refused(NotFoundError, "RELEASE_NOT_FOUND"):
        api.push_begin("web/3", workshop / "web-1.tgz", manifest=MANIFEST, **{"from": "apps/web/releases/9"})
    with refused(NotFoundError, "JAIL_NOT_FOUND"):
        api.deploy("edge-9", "web/1")
    with refused(NotFoundError, "GENERATION_NOT_FOUND"):
        api.rollback(jail, generation=9)
    api.delete(jail)


def test_a_path_that_is_not_there_is_refused(api: Client, tmp_path: Path) -> None:
    for path in (str(tmp_path / "nothing"), "relative", "../x"):
        with refused(InvalidArgumentError, "PATH_NOT_FOUND"):
            api.import_begin("other", tmp_path, path=path)


def test_a_conflict_in_etc_is_refused_in_the_plan_and_told_by_its_file(api: Client, tmp_path: Path) -> None:
    api.import_base("old", trees.base(tmp_path / "old.tgz", "1", {"app.conf": "a\nb\nc\n"}))
    api.import_base("new", trees.base(tmp_path / "new.tgz", "2", {"app.conf": "a\ntheirs\nc\n"}))
    api.create("edge-1", trees.spec("old", "web/1"))
    api.sh("edge-1", "printf 'a\\nmine\\nc\\n' > /etc/app.conf")
    with refused(FailedPreconditionError, "PLAN_REFUSED") as refusal:
        api.upgrade("edge-1", "new")
    (problem,) = refusal.value.problems
    assert (problem.code, problem.subject) == ("MERGE_CONFLICT", "/etc/app.conf")
    assert api.generations("edge-1") == [1]
    assert api.sh("edge-1", "cat /etc/app.conf") == "a\nmine\nc\n"
    api.delete("edge-1")
    for base in ("old", "new"):
        delete_base(api, base)


def test_a_release_whose_account_clashes_with_the_jails_is_refused(api: Client, jail: str, workshop: Path) -> None:
    api.sh(jail, "echo 'mine:x:900:900::/:/bin/sh' >> /etc/passwd; echo 'mine:x:900:' >> /etc/group")
    manifest = apps_pb2.Manifest(
        command=trees.COMMAND,
        users=[apps_pb2.User(name="web", uid=900, gid=900)],
        groups=[apps_pb2.Group(name="web", gid=900)],
    )
    api.push("web/clash", workshop / "web-1.tgz", manifest=manifest)
    with refused(FailedPreconditionError, "PLAN_REFUSED") as refusal:
        api.deploy(jail, "web/clash")
    assert refusal.value.problems
    assert api.generations(jail) == [1]
    api.delete(jail)
    delete_release(api, "web/clash")


def test_a_stream_without_a_header_is_refused(api: Client) -> None:
    with refused(InvalidArgumentError, "HEADER_EXPECTED"), explained():
        api.bases.ImportBase(iter([bases_pb2.ImportBaseRequest(chunk=b"x")]), timeout=30)
    with refused(InvalidArgumentError, "HEADER_EXPECTED"), explained():
        api.bases.ImportBase(iter([]), timeout=30)


def test_a_full_pool_refuses_and_serves_on(workshop: Path, tmp_path: Path) -> None:
    # The pool stores zeros too. No file is larger than a record: zfs-fuse 0.7.0 may end in a full pool otherwise.
    ballast = [file(f"srv/{number}", bytes(120 << 10)) for number in range(160)]
    large = trees.base(tmp_path / "large.tgz", "1", None, *ballast)
    release = trees.release(tmp_path / "large-app.tgz", "1", *ballast)
    with hosted(Node("full", pool_size="64M")) as full:
        full.api.import_base("tiny-1", workshop / "tiny-1.tgz")
        full.api.push("web/1", workshop / "web-1.tgz", manifest=MANIFEST)
        full.api.create("edge-1", trees.spec("tiny-1", "web/1"))
        room = ("get", "-Hp", "-o", "value", "available", f"{full.pool}/jaild/jails")
        full.zfs("create", "-o", f"reservation={int(full.zfs(*room)) - (12 << 20)}", f"{full.pool}/others")
        before = full.traces()
        with refused(ResourceExhaustedError, "NO_SPACE"):
            full.api.import_base("large", large)
        until(lambda: full.traces() == before)
        with refused(ResourceExhaustedError, "NO_SPACE"):
            full.api.push("web/large", release, manifest=MANIFEST)
        until(lambda: full.traces() == before)
        fill = ("/bin/dd", "if=/dev/zero", "of=/var/fill", "bs=131072", "count=160")
        said = full.api.exec("edge-1", *fill, check=False)
        assert "No space left" in said
        with refused(FailedPreconditionError, "PLAN_REFUSED") as planned:
            full.api.create("edge-2", trees.spec("tiny-1", "web/1"))
        assert [problem.code for problem in planned.value.problems] == ["NO_SPACE"]
        until(lambda: full.traces() == before)
        assert full.api.names_of_jails() == ["edge-1"]
        full.api.sh("edge-1", "rm /var/fill; sync")

        def has_room() -> bool:
            full.zfs("set", "jaild-test:again=1", f"{full.pool}/others")  # ends a transaction group: ZFS frees by them
            return int(full.zfs(*room)) > 4 << 20

        until(has_room, 60.0)
        full.api.deploy("edge-1", "web/1", force=True)
        assert full.api.jail("edge-1").state == jails_pb2.Jail.STATE_RUNNING
        full.api.delete("edge-1")


def many_files(path: Path, count: int) -> Path:
    """Pack empty files, 8 bytes of each written: one block of 512 entries repeated with other folders' names."""
    blocks = []
    for number in range(1000):
        info = tarfile.TarInfo(f"0000000/{number:03}")
        blocks.append(info.tobuf(tarfile.USTAR_FORMAT))
    with gzip.open(path, "wb", compresslevel=1) as packed:
        for thousand in range(count // 1000):
            packed.write(b"".join(_in_folder(block, thousand) for block in blocks))
        packed.write(bytes(1024))
    return path


def _in_folder(block: bytes, number: int) -> bytes:
    named = f"{number:07}".encode() + block[7:]
    total = sum(named[:148]) + 8 * 32 + sum(named[156:])
    return named[:148] + f"{total:06o}\0 ".encode() + named[156:]


def delete_base(api: Client, name: str) -> None:
    api.done(api.call(api.bases.DeleteBase, bases_pb2.DeleteBaseRequest(name=f"bases/{name}")))


def delete_release(api: Client, release: str) -> None:
    app, _, version = release.partition("/")
    api.done(api.call(api.apps.DeleteRelease, apps_pb2.DeleteReleaseRequest(name=f"apps/{app}/releases/{version}")))
