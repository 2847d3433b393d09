from __future__ import annotations

import io
import os
import random
import sys
import tarfile
import tracemalloc
import zlib
from pathlib import Path

import pytest

from jaild.adapters.archives.bsdtar import BsdtarArchives
from jaild.adapters.archives.tarstream import TarRewriter, TarStream
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import DataLossError, InvalidArgumentError, NotFoundError
from jaild.model.layers.archive import EntryKind, Policy, base_policy, release_policy
from tests.tars import Item, bsdtar, file, folder, hardlink, node, pack, picture, symlink

BASE, RELEASE = base_policy(), release_policy()


@pytest.fixture
def archives() -> BsdtarArchives:
    return BsdtarArchives(ProcessRunner())


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        pytest.param([file("../x")], "ARCHIVE_PATH_ESCAPES", id="dotdot first"),
        pytest.param([folder("a"), file("a/../../x")], "ARCHIVE_PATH_ESCAPES", id="dotdot inside"),
        pytest.param([file("/etc/x")], "ARCHIVE_PATH_ESCAPES", id="absolute"),
        pytest.param([symlink("a", "/etc"), file("a/x")], "ARCHIVE_PATH_ESCAPES", id="through a symlink"),
        pytest.param(
            [symlink("a", "b"), folder("b"), folder("a/c")], "ARCHIVE_PATH_ESCAPES", id="through an inner link"
        ),
        pytest.param(
            [file("f"), symlink("a", "/etc"), hardlink("b", "a"), file("b/x")],
            "ARCHIVE_PATH_ESCAPES",
            id="through a twin",
        ),
        pytest.param([symlink("./", "/etc"), file("passwd")], "ARCHIVE_PATH_ESCAPES", id="root as a symlink"),
        pytest.param([symlink("a", "../x"), file("a/x")], "ARCHIVE_PATH_ESCAPES", id="through one above the root"),
        pytest.param([hardlink("a", "../x")], "ARCHIVE_LINK_ESCAPES", id="hard link above the root"),
        pytest.param([hardlink("a", "/etc/passwd")], "ARCHIVE_LINK_ESCAPES", id="absolute hard link"),
        pytest.param([hardlink("a", "missing")], "ARCHIVE_LINK_ESCAPES", id="hard link to nothing"),
        pytest.param([hardlink("a", "b"), file("b")], "ARCHIVE_LINK_ESCAPES", id="hard link to what comes later"),
        pytest.param(
            [symlink("s", "/etc"), hardlink("a", "s/passwd")], "ARCHIVE_LINK_ESCAPES", id="hard link through a symlink"
        ),
        pytest.param([node("x")], "ARCHIVE_DEVICE_NODE", id="device"),
        pytest.param([node("usr/dev/x", tarfile.BLKTYPE)], "ARCHIVE_DEVICE_NODE", id="device in another dev"),
        pytest.param([node("var/f", tarfile.FIFOTYPE)], "ARCHIVE_DEVICE_NODE", id="fifo"),
        pytest.param([file("a"), file("./a")], "ARCHIVE_DUPLICATE_ENTRY", id="one name written in two ways"),
        pytest.param([file("a/b"), symlink("a", "/etc")], "ARCHIVE_DUPLICATE_ENTRY", id="folder becomes a symlink"),
        pytest.param([file("a"), file("a//b")], "ARCHIVE_DUPLICATE_ENTRY", id="file becomes a folder"),
        pytest.param([file("n" * 1100)], "ARCHIVE_PATH_TOO_LONG", id="long name"),
        pytest.param([folder("d/" * 101)], "ARCHIVE_PATH_TOO_LONG", id="deep folders"),
        pytest.param([], "ARCHIVE_UNREADABLE", id="empty"),
    ],
)
@pytest.mark.parametrize("policy", [BASE, RELEASE], ids=["base", "release"])
async def test_an_evil_entry_is_refused_before_anything_is_written(
    archives: BsdtarArchives, tmp_path: Path, items: list[Item], reason: str, policy: object
) -> None:
    archive = pack(tmp_path / "evil.tar", *items)
    with pytest.raises(InvalidArgumentError) as caught:
        await archives.verify(archive, BASE if policy is BASE else RELEASE)
    assert caught.value.reason == reason
    assert caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["evil.tar"]


async def test_a_refusal_names_the_entry_on_one_line(archives: BsdtarArchives, tmp_path: Path) -> None:
    archive = pack(tmp_path / "evil.tar", node("line\nbreak"))
    with pytest.raises(InvalidArgumentError, match=r"'line\\nbreak' is a character device"):
        await archives.verify(archive, RELEASE)


async def test_device_nodes_below_dev_are_left_out_of_a_base_with_a_note(
    archives: BsdtarArchives, tmp_path: Path
) -> None:
    archive = pack(tmp_path / "a.tar", folder("./dev"), node("./dev/null"), node("dev/pts/x"), file("bin/sh", b"1234"))
    listing = await archives.verify(archive, BASE)
    assert (listing.files, listing.size) == (3, 4)
    assert listing.notes == ("left out 2 entries below dev: a jail's /dev is mounted",)


async def test_device_nodes_below_dev_are_refused_in_a_release(archives: BsdtarArchives, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await archives.verify(pack(tmp_path / "a.tar", node("dev/null")), RELEASE)
    assert caught.value.reason == "ARCHIVE_DEVICE_NODE"


async def test_links_that_an_os_tree_normally_has_pass(archives: BsdtarArchives, tmp_path: Path) -> None:
    archive = pack(
        tmp_path / "a.tar",
        folder("./"),
        file("usr/bin/vi", b"x"),
        hardlink("usr/bin/ex", "./usr/bin/vi"),
        symlink("etc/localtime", "/usr/share/zoneinfo/UTC"),
        symlink("usr/lib/libc.so", "../../lib/libc.so.7"),
        folder("usr/bin/"),
    )
    assert (await archives.verify(archive, BASE)).files == 8


@pytest.mark.parametrize("policy", [BASE, RELEASE], ids=["base", "release"])
async def test_links_above_the_root_pass_with_a_note(archives: BsdtarArchives, tmp_path: Path, policy: Policy) -> None:
    items = [symlink("a", "../x"), symlink("b/c", "../d/../../x"), symlink("b/d", "../x"), symlink("e", "/../x")]
    listing = await archives.verify(pack(tmp_path / "a.tar", *items), policy)
    assert listing.notes == ("2 symlinks above the root, in a jail to it: 'a', 'b/c'",)


async def test_setuid_files_of_a_release_are_noted(archives: BsdtarArchives, tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tar", file("bin/su", mode=0o4755), file("bin/w", mode=0o2755), file("bin/ls"))
    assert (await archives.verify(archive, RELEASE)).notes == ("2 setuid or setgid files: 'bin/su', 'bin/w'",)


async def test_names_are_bytes_whatever_they_hold(archives: BsdtarArchives, tmp_path: Path) -> None:
    names: list[str | bytes] = [
        "a b\nc=#\\x",
        b"lat\xe9",
        "naïve",
        "*[glob]?",
        "-C",
        "@x",
        "\x01\x7f",
        "l" * 250 + "/" + "m" * 250,
        b"\xffx" * 80,
    ]
    archive = pack(tmp_path / "a.tar", *(file(name, b"1") for name in names))
    raw = bsdtar("-c", "-P", "--format=pax", "-f", "-", f"@{archive}")
    stream = TarStream()
    found = [entry.name for at in range(0, len(raw), 700) for entry in stream.feed(raw[at : at + 700])]
    assert found == [name if isinstance(name, bytes) else name.encode() for name in names]
    assert stream.complete
    assert (await archives.verify(archive, RELEASE)).size == len(names)


def test_the_stream_gives_the_same_entries_in_pieces_of_any_size() -> None:
    store = io.BytesIO()
    with tarfile.open(fileobj=store, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, size in (("x" * 300, 1000), ("d", 0), ("big", 5 << 20)):
            info = tarfile.TarInfo(name)
            info.size = size
            archive.addfile(info, io.BytesIO(bytes(size)))
    raw = store.getvalue()
    whole = TarStream().feed(raw)
    assert [(entry.name, entry.size) for entry in whole] == [(b"x" * 300, 1000), (b"d", 0), (b"big", 5 << 20)]
    for step in (1, 511, 513, 4096):
        stream = TarStream()
        part = raw[:8192] if step == 1 else raw
        expected = TarStream().feed(part)
        assert [entry for at in range(0, len(part), step) for entry in stream.feed(part[at : at + step])] == expected


def test_a_size_beyond_octal_digits_is_read() -> None:
    info = tarfile.TarInfo("huge")
    info.size = 1 << 40
    (entry,) = TarStream().feed(info.tobuf(format=tarfile.PAX_FORMAT))
    assert (entry.kind, entry.size) == (EntryKind.FILE, 1 << 40)


@pytest.mark.parametrize("form", ["gz", "xz", "bz2", "zst"])
async def test_every_usual_compression_is_read(archives: BsdtarArchives, tmp_path: Path, form: str) -> None:
    if form == "zst":
        plain = pack(tmp_path / "a.tar", file("f", b"12345"))
        archive = tmp_path / "a.tar.zst"
        bsdtar("-c", "--zstd", "-f", archive, f"@{plain}")
    else:
        archive = pack(tmp_path / "a", file("f", b"12345"), form=f"w:{form}")
    assert (await archives.verify(archive, RELEASE)).size == 5


@pytest.mark.parametrize("option", ["--gzip", "--xz", "--zstd", "--bzip2", "--lz4", "--no-mac-metadata"])
@pytest.mark.parametrize("share", [0.3, 0.9])
async def test_an_archive_that_ends_early_is_damaged(
    archives: BsdtarArchives, tmp_path: Path, option: str, share: float
) -> None:
    if option == "--lz4" and sys.platform.startswith("freebsd") and b"liblz4" not in bsdtar("--version"):
        pytest.skip("bsdtar of FreeBSD's base packs no lz4 (libarchive 3.8.7 without liblz4)")
    noise = random.Random(7).randbytes(200_000)  # noqa: S311 -- no secret
    plain = pack(tmp_path / "a.tar", file("a", noise), file("b", noise))
    archive = tmp_path / "packed"
    bsdtar("-c", option, "-f", archive, f"@{plain}")
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * share)])
    with pytest.raises(DataLossError) as caught:
        await archives.verify(archive, RELEASE)
    assert caught.value.reason == "ARCHIVE_TRUNCATED"


@pytest.mark.parametrize(
    "content", [b"", b"no archive at all\n" * 100, bytes(range(256)) * 100], ids=["none", "text", "bytes"]
)
async def test_what_is_no_archive_is_said_to_be_none(archives: BsdtarArchives, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InvalidArgumentError) as caught:
        await archives.verify(tmp_path / "x", RELEASE)
    assert caught.value.reason == "ARCHIVE_UNREADABLE"


async def test_an_mtree_that_would_read_the_hosts_files_is_refused(archives: BsdtarArchives, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the host's")
    evil = tmp_path / "evil"
    evil.write_text(f"#mtree\n./x\\012Archive\\040Format:\\040tar, type=file contents={secret}\n")
    with pytest.raises(InvalidArgumentError) as caught:
        await archives.verify(evil, RELEASE)
    assert (caught.value.reason, caught.value.detail["format"]) == ("ARCHIVE_UNREADABLE", "mtree")


async def test_a_missing_archive_is_not_found(archives: BsdtarArchives, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        await archives.verify(tmp_path / "x", RELEASE)
    assert caught.value.reason == "ARCHIVE_MISSING"


@pytest.mark.exhaustive
async def test_more_empty_files_than_may_be_are_refused_soon_in_bounded_memory(
    archives: BsdtarArchives, tmp_path: Path
) -> None:
    packer = zlib.compressobj(1, wbits=31)
    info = tarfile.TarInfo("f-0000000")
    header = bytearray(info.tobuf(format=tarfile.USTAR_FORMAT))
    header[148:156] = b" " * 8
    constant = sum(header) - sum(header[2:9])  # of the checksum
    with (tmp_path / "many.tar.gz").open("wb") as out:
        for start in range(0, 100_000, 10_000):
            block = bytearray()
            for number in range(start, start + 10_000):
                digits = b"%07d" % number
                header[2:9] = digits
                header[148:156] = b"%06o\0 " % (constant + sum(digits))
                block += header
            out.write(packer.compress(bytes(block)))
        out.write(packer.flush())
    tracemalloc.start()  # and not the process's peak, which an earlier test may have set
    try:
        with pytest.raises(InvalidArgumentError) as caught:
            await archives.verify(tmp_path / "many.tar.gz", release_policy(max_files=50_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.reason == "ARCHIVE_TOO_MANY_FILES"
    assert peak < 8 << 20  # bytes; 50,000 names: 90,000 take 11 MiB


async def test_folders_that_names_imply_count_as_files(archives: BsdtarArchives, tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tar", *(file(f"{number}/" + "d/" * 90 + "f") for number in range(5)))
    with pytest.raises(InvalidArgumentError) as caught:
        await archives.verify(archive, release_policy(max_files=300))
    assert caught.value.reason == "ARCHIVE_TOO_MANY_FILES"


async def test_a_bomb_is_refused_by_its_unpacked_size(archives: BsdtarArchives, tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tgz", *(file(f"f{number}", bytes(1 << 20)) for number in range(3)), form="w:gz")
    with pytest.raises(InvalidArgumentError) as caught:
        await archives.verify(archive, release_policy(max_bytes=(2 << 20) + 1))
    assert (caught.value.reason, caught.value.detail["entry"]) == ("ARCHIVE_TOO_LARGE", "'f2'")


@pytest.mark.parametrize("names", [("hole", "x"), ("x", "hole"), ("hole",), ("hole", "hole2")])
async def test_a_file_that_is_all_hole_does_not_hide_what_comes_after_it(
    archives: BsdtarArchives, tmp_path: Path, names: tuple[str, ...]
) -> None:
    tree, archive, back = tmp_path / "tree", tmp_path / "a.tar", tmp_path / "back"
    tree.mkdir()
    back.mkdir()
    for name in names:
        (tree / name).write_bytes(b"12345" if name == "x" else b"")
        if name != "x":
            os.truncate(tree / name, 4 << 20)
    bsdtar("-c", "--format=pax", "-f", archive, "-C", tree, *names)
    listing = await archives.verify(archive, BASE)
    assert (listing.files, listing.size) == (len(names), sum(path.stat().st_size for path in tree.iterdir()))
    for step in (100, 512, 1 << 20):
        stream, rewriter = bsdtar("-c", "-P", "--format=pax", "-f", "-", f"@{archive}"), TarRewriter()
        again = b"".join(rewriter.feed(stream[at : at + step]) for at in range(0, len(stream), step))
        (tmp_path / "again.tar").write_bytes(again)
        bsdtar("-x", "-f", tmp_path / "again.tar", "-C", back)
        assert picture(back) == picture(tree)


async def test_a_sparse_file_counts_with_its_full_size(archives: BsdtarArchives, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "sparse").open("wb") as out:
        out.truncate(8 << 20)
    archive = tmp_path / "a.tar"
    bsdtar("-c", "-f", archive, "-C", tree, ".")
    assert archive.stat().st_size < 1 << 20
    assert (await archives.verify(archive, RELEASE)).size == 8 << 20
