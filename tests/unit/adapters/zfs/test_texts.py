from __future__ import annotations

from pathlib import Path

import pytest

from jaild.adapters.zfs import parse
from jaild.adapters.zfs.capabilities import detect
from jaild.adapters.zfs.errors import failure, reason_of
from jaild.model.errors import InternalError, NotFoundError
from jaild.ports.process import Completed
from tests.freebsd_recordings import recordings

_DATA = Path(__file__).parents[2] / "data/zfs"
_FREEBSD = "freebsd-13.2-openzfs-2.1.9.txt"
_FUSE = "zfs-fuse-0.7.txt"
_LINUX = ("linux-openzfs-2.1.11.txt", "linux-openzfs-2.3.9.txt")  # recorded by tests/lab/record.py


def _recorded(file: str, command: str) -> Completed:
    """Return the record of a command, given whole or by its beginning; of several one that failed."""
    fitting = [(ran, done) for ran, done in _records(file) if ran.startswith(command)]
    return min(fitting, key=lambda each: (each[0] != command, each[1].status == 0))[1]


def _records(file: str) -> list[tuple[str, Completed]]:
    return [_record(text) for text in (_DATA / file).read_text().split("\n@@@ ")[1:]]


def _record(text: str) -> tuple[str, Completed]:
    _, ran, status, *lines = text.split("\n")
    stdout, stderr = (
        "".join(line.removeprefix(mark) + "\n" for line in lines if line.startswith(mark))
        for mark in ("out| ", "err| ")
    )
    return ran.removeprefix("$ "), Completed(
        argv=tuple(ran.split()[1:]),
        status=int(status.removeprefix("# status ")),
        stdout=stdout.encode(),
        stderr=stderr.encode(),
        seconds=0.1,
    )


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        ("dataset missing", "DATASET_NOT_FOUND"),
        ("destroy busy", "DATASET_BUSY"),
        ("unmount busy", "DATASET_BUSY"),
        ("destroy with snapshots", "DATASET_HAS_CHILDREN"),
        ("hold and destroy", "SNAPSHOT_HELD"),
        ("snapshot twice", "DATASET_EXISTS"),
        ("receive garbage", "STREAM_INVALID"),
        ("create twice", "DATASET_EXISTS"),
    ],
)
def test_what_openzfs_2_4_says_on_freebsd_15_1_is_told_apart(title: str, reason: str) -> None:
    recorded = recordings("15.1")[title]
    assert recorded.status != 0
    assert failure(recorded, "zroot/a").reason == reason


@pytest.mark.parametrize(
    ("file", "command", "reason"),
    [
        (_FREEBSD, "zfs create tank/jaild/jails/web", "DATASET_EXISTS"),
        (_FREEBSD, "zfs create tank/none/child", "DATASET_NOT_FOUND"),
        (_FREEBSD, "zfs create tank/b@d", "INVALID_DATASET_NAME"),
        (_FREEBSD, "zfs create tank/b$d", "INVALID_DATASET_NAME"),
        (_FREEBSD, "zfs get -Hp guid tank/missing", "DATASET_NOT_FOUND"),
        (_FREEBSD, "zfs snapshot tank/missing@s1", "DATASET_NOT_FOUND"),
        (_FREEBSD, "zfs destroy tank/jaild/apps/web/1.0@sealed", "DATASET_HAS_CLONES"),
        (_FREEBSD, "zfs destroy tank/jaild/jails/web", "DATASET_HAS_CHILDREN"),
        (_FREEBSD, "zfs destroy tank/jaild/jails/web@s1", "SNAPSHOT_HELD"),
        (_FREEBSD, "sh -c zfs send tank/jaild/jails/web/data@m0 | zfs receive tank/jaild/jails/web", "DATASET_EXISTS"),
        (_FREEBSD, "sh -c zfs create tank/r2;", "STREAM_BASE_MISSING"),
        (_FREEBSD, "sh -c zfs send tank/jaild/jails/web/data@m0 | zfs receive tank/r4", "DATASET_MODIFIED"),
        (_FREEBSD, "sh -c zfs send tank/jaild/jails/web/data@m0 | head -c 9000000", "STREAM_INVALID"),
        (_FREEBSD, "sh -c echo garbage", "STREAM_INVALID"),
        (_FREEBSD, "sh -c cd /tank/q && zfs unmount tank/q", "DATASET_BUSY"),
        (_FREEBSD, "zfs rename tank/q tank/r4", "DATASET_EXISTS"),
        (_FUSE, "zfs create zxt/j/a", "DATASET_EXISTS"),
        (_FUSE, "zfs create zxt/n/a", "DATASET_NOT_FOUND"),
        (_FUSE, "zfs create zxt/b@d", "INVALID_DATASET_NAME"),
        (_FUSE, "zfs create zxt/b$d", "INVALID_DATASET_NAME"),
        (_FUSE, "zfs get -Hp guid zxt/missing", "DATASET_NOT_FOUND"),
        (_FUSE, "zfs snapshot -r zxt/j/a@s1", "DATASET_EXISTS"),
        (_FUSE, "zfs destroy zxt/j/a@s1", "DATASET_HAS_CLONES"),
        (_FUSE, "zfs destroy zxt/j/a", "DATASET_HAS_CHILDREN"),
        (_FUSE, "zfs rollback zxt/j/a@s1", "DATASET_BUSY"),
        (_FUSE, "zfs rename zxt/j/a zxt/j/a/c", "INVALID_DATASET_NAME"),
        (_FUSE, "zfs rename zxt/j/a zxt/nope/b", "DATASET_NOT_FOUND"),
        (_FUSE, "zfs mount zxt", "INVALID_PROPERTY"),
        (_FUSE, "zfs unmount zxt/j/a", "DATASET_BUSY"),
        (_FUSE, "zfs set bogus=1", "INVALID_PROPERTY"),
        (_FUSE, "zfs set readonly=maybe", "INVALID_PROPERTY"),
        (_FUSE, "zfs set quota=1k", "INVALID_PROPERTY"),
        (_FUSE, "zfs receive -u zxt/j/r1", "DATASET_EXISTS"),
        (_FUSE, "zfs receive -u zxt/j/r3", "STREAM_INVALID"),
        (_FUSE, "zfs receive -u zxt/j/r4", "DATASET_MODIFIED"),
        (_FUSE, "zfs receive -u zxt/j/q/r6", "NO_SPACE"),
        (_FUSE, "zfs send -i @nope", "STREAM_BASE_MISSING"),
        (_FUSE, "zfs send -i @s2 zxt/j/a@s1", "STREAM_BASE_MISSING"),
        (_FUSE, "zfs send zxt/j/a@nope", "DATASET_NOT_FOUND"),
    ],
)
def test_each_recorded_failure_has_its_reason(file: str, command: str, reason: str) -> None:
    completed = _recorded(file, command)
    assert completed.status != 0
    error = failure(completed, "tank/x")
    assert error.reason == reason
    assert error.hint
    assert "usage:" not in error.message


@pytest.mark.parametrize("file", _LINUX)
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("zfs create tank/a", "DATASET_EXISTS"),
        ("zfs create tank/none/child", "DATASET_NOT_FOUND"),
        ("zfs create tank/b@d", "INVALID_DATASET_NAME"),
        ("zfs create tank/b$d", "INVALID_DATASET_NAME"),
        ("zfs create tank/p", "POOL_READONLY"),
        ("setpriv --reuid 65534 --clear-groups zfs create tank/p", "ZFS_PERMISSION"),
        ("zfs get -Hp guid tank/missing", "DATASET_NOT_FOUND"),
        ("zfs snapshot tank/a@s1", "DATASET_EXISTS"),
        ("zfs snapshot tank/a@s3", "POOL_READONLY"),
        ("zfs snapshot tank/missing@s1", "DATASET_NOT_FOUND"),
        ("zfs destroy tank/a", "DATASET_HAS_CHILDREN"),
        ("zfs bookmark tank/a@s2 tank/a#b", "DATASET_EXISTS"),
        ("zfs rollback tank/a@s1", "DATASET_BUSY"),
        ("zfs rename tank/a tank/a/c", "INVALID_DATASET_NAME"),
        ("zfs rename tank/a tank/none/c", "DATASET_NOT_FOUND"),
        ("zfs set nonsense=1 tank/a", "INVALID_PROPERTY"),
        ("zfs set readonly=maybe tank/a", "INVALID_PROPERTY"),
        ("zfs mount tank", "INVALID_PROPERTY"),
        ("sh -c cd /tank/a && zfs unmount tank/a", "DATASET_BUSY"),
        ("zfs send -i @s2 tank/a@s1", "STREAM_BASE_MISSING"),
        ("zfs send tank/a@nope", "DATASET_NOT_FOUND"),
        ("sh -c zfs send tank/a@s1 | zfs receive -u tank/a", "DATASET_EXISTS"),
        ("sh -c zfs send -i @s1 tank/a@s2 | zfs receive -u tank/none", "STREAM_BASE_MISSING"),
        ("sh -c zfs send tank/a@s1 | zfs receive -u tank/r && ", "DATASET_MODIFIED"),
        ("sh -c zfs send tank/a@s2 | head -c 9000000 | zfs receive -s -u tank/cut", "STREAM_INVALID"),
        ("sh -c echo garbage", "STREAM_INVALID"),
        ("sh -c (zfs send tank/a@s2 | head", "STREAM_INVALID"),
        ("sh -c zfs send tank/a@s2 | zfs receive -u tank/q/full", "NO_SPACE"),
    ],
)
def test_each_failure_recorded_in_the_lab_has_its_reason(file: str, command: str, reason: str) -> None:
    completed = _recorded(file, command)
    assert completed.status != 0
    assert failure(completed, "tank/x").reason == reason


@pytest.mark.parametrize("file", _LINUX)
def test_what_is_held_is_told_apart_from_what_has_clones(file: str) -> None:
    texts = [done.error_text for ran, done in _records(file) if ran == "zfs destroy tank/a@s1"]
    assert [reason_of(text) for text in texts] == ["DATASET_HAS_CLONES", "SNAPSHOT_HELD"]


@pytest.mark.parametrize("file", _LINUX)
def test_a_resume_token_that_cannot_be_read_is_stale_though_the_pipe_ended_well(file: str) -> None:
    assert reason_of(_recorded(file, "sh -c zfs send -t 1-0-0-0").error_text) == "TOKEN_STALE"


@pytest.mark.parametrize("file", _LINUX)
def test_openzfs_on_linux_can_all_that_its_own_usage_texts_say(file: str) -> None:
    usage, properties = _recorded(file, "zfs -?"), _recorded(file, "zfs get")
    version = _recorded(file, "zfs version").text.split("\n")[0]
    detected = detect(usage.text + usage.error_text, properties.text + properties.error_text, version)
    can = detected.capabilities
    assert detected.get_types
    assert (can.implementation, can.version) == ("openzfs", version)
    assert all((can.resumable_receive, can.bookmarks, can.written, can.set_many, can.receive_properties))
    assert all((can.rich_send, can.estimates, can.lists_holds, can.encryption))


@pytest.mark.parametrize("file", _LINUX)
def test_linux_pools_tell_their_features_and_estimates_their_size(file: str) -> None:
    assert {"async_destroy", "bookmarks", "large_blocks"} <= parse.features(_recorded(file, "zpool get all").text)
    assert 20_000_000 < (parse.estimate(_recorded(file, "zfs send -nP -L -e -c tank/a@s2").text) or 0) < 21_000_000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cannot create 'tank/a': permission denied", "ZFS_PERMISSION"),
        ("cannot set property for 'tank/a': pool is read-only", "POOL_READONLY"),
        ("connect: Connection refused\nPlease make sure that the zfs-fuse daemon is running.", "ZFS_UNAVAILABLE"),
        ("The ZFS modules cannot be auto-loaded.\nTry running 'modprobe zfs' as root", "ZFS_UNAVAILABLE"),
        ("cannot destroy 'tank/a@s': dataset is busy", "SNAPSHOT_HELD"),
        (
            "cannot destroy snapshot t/a/b@s: it's being held.\ncannot destroy 't/a': dataset already exists",
            "SNAPSHOT_HELD",
        ),
        ("cannot destroy 'tank/a': dataset is busy", "DATASET_BUSY"),
        ("cannot create 'tank/a': out of space", "NO_SPACE"),
        ("cannot mount '/tank/a': directory is not empty", "DATASET_BUSY"),
        ("something new", None),
    ],
)
def test_a_text_without_a_record_has_its_reason(text: str, reason: str | None) -> None:
    assert reason_of(text) == reason


def test_a_failure_that_nobody_knows_keeps_the_command_and_all_that_it_said() -> None:
    completed = Completed(argv=("zfs", "x"), status=3, stdout=b"", stderr=b"what is this\n", seconds=0.0)
    error = failure(completed, "tank/x")
    assert isinstance(error, InternalError)
    assert (error.reason, error.detail["stderr"], error.detail["status"]) == ("COMMAND_FAILED", "what is this", "3")


def test_not_found_is_about_the_thing_that_was_asked_for() -> None:
    error = failure(_recorded(_FREEBSD, "zfs get -Hp guid tank/missing"), "tank/missing")
    assert isinstance(error, NotFoundError)
    assert error.resource == "tank/missing"


def test_freebsds_tree_is_read_with_its_inherited_mountpoints() -> None:
    found = parse.values(_recorded(_FREEBSD, "zfs get -rHp").text)
    assert found["tank/jaild"]["mountpoint"] == ("/tank/jaild", "inherited from tank")
    read = parse.dataset("tank/jaild", found["tank/jaild"])
    assert (read.guid, read.mountpoint, read.mounted, read.readonly, read.origin) == (
        18294337729516039914,
        Path("/tank/jaild"),
        True,
        False,
        "",
    )
    assert read.available == 5388815360


def test_an_inherited_user_property_is_not_the_datasets_own() -> None:
    found = parse.values(_recorded(_FREEBSD, "zfs get -Hp -o name,property,value,source jaild:jail").text)
    sources = {name: values["jaild:jail"][1] for name, values in found.items()}
    assert sources == {
        "tank/jaild/jails/web": "local",
        "tank/jaild/jails/web/data": "inherited from tank/jaild/jails/web",
    }


def test_a_value_with_tabs_and_newlines_is_read_whole_and_does_not_spoil_what_follows() -> None:
    text = "t/a\tx:y\tone\ttwo\nthree\tfour\tlocal\nt/a\tx:z\t\treceived\nt/b\tguid\t7\t-\n"
    assert parse.values(text) == {
        "t/a": {"x:y": ("one\ttwo\nthree\tfour", "local"), "x:z": ("", "received")},
        "t/b": {"guid": ("7", "-")},
    }


def test_zfs_fuse_can_what_its_usage_text_says() -> None:
    usage = _recorded(_FUSE, "zfs version").error_text
    detected = detect(usage, "", None)
    can = detected.capabilities
    assert not detected.get_types
    assert can.implementation == "zfs-fuse"
    assert not any((can.resumable_receive, can.bookmarks, can.written, can.set_many, can.receive_properties))
    assert not any((can.rich_send, can.estimates, can.lists_holds, can.encryption))


def test_openzfs_can_what_its_usage_text_says() -> None:
    usage = """usage: zfs command args ...
\tbookmark <snapshot|bookmark> <newbookmark>
\tset <property=value> ... <filesystem|volume|snapshot> ...
\tget [-rHp] [-d max] [-o "all" | field[,...]]
\t    [-t type[,...]] [-s source[,...]]
\tsend [-DnPpRvLecwhb] [-[i|I] snapshot] <snapshot>
\tsend [-nvPe] -t <receive_resume_token>
\treceive [-vMnsFhu] [-o <property>=<value>] ... [-x <property>] ...
\t    <filesystem|volume|snapshot>
\treceive -A <filesystem|volume>
\tholds [-rH] <snapshot> ...
"""
    detected = detect(usage, "\twritten@<snap>   NO       NO   <size>\n", "zfs-2.1.9-FreeBSD_g92e0d9d18")
    can = detected.capabilities
    assert detected.get_types
    assert (can.implementation, can.version) == ("openzfs", "zfs-2.1.9-FreeBSD_g92e0d9d18")
    assert all((can.resumable_receive, can.bookmarks, can.written, can.set_many, can.receive_properties))
    assert all((can.rich_send, can.estimates, can.lists_holds))


def test_an_estimate_is_read_from_the_line_that_holds_the_size() -> None:
    assert parse.estimate(_recorded(_FREEBSD, "zfs send -nPLec -i").text) == 624
    assert parse.estimate("") is None


def test_pool_features_are_the_enabled_ones_and_a_version_stands_for_itself() -> None:
    openzfs = "NAME PROPERTY VALUE SOURCE\nt version - default\nt feature@a active local\nt feature@b disabled local\n"
    assert parse.features(openzfs) == {"a"}
    assert parse.features(_recorded(_FUSE, "zpool get all").text) == {"version:23"}


def test_the_snapshot_of_a_resume_token_is_read_off_what_a_dry_send_tells() -> None:
    told = (
        "resume token contents:\nnvlist version: 0\n\tfromguid = 0x595d9f81aa9dddab\n\tobject = 0x1\n\toffset = 0x0\n"
        "\tbytes = 0x0\n\ttoguid = 0x854f02a2dd32cf0d\n\ttoname = pool1/test@b\n"
    )
    assert parse.token_guid(told) == 0x854F02A2DD32CF0D
    assert parse.token_guid("resume token contents:\nnvlist version: 0\n") is None
