"""The file of an export: what was written is read, and whatever else comes is refused before anything is made of it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import msgspec
import pytest

from jaild.model.errors import JaildError
from jaild.model.exports.container import Contents, Reader, Writer
from jaild.model.exports.header import CONFIG, DatasetEntry, Form, Header, LayerEntry, decode
from jaild.model.jails.spec import JailSpec, Volume
from jaild.model.layers.records import Generation

PART = 1024
HEADER = Header(
    format=1,
    jail="web",
    uid="1",
    host="alpha",
    taken=1.7e9,
    snapshot="s",
    zfs="fake 1",
    generation=Generation(number=3, spec=JailSpec(base="deb-1", volumes={"db": Volume(path="/db")}), base="deb-1"),
    layers=(LayerEntry(path="bases/deb-1", guid=7, record="{}", included=True),),
    datasets=(DatasetEntry(path="data", guid=1), DatasetEntry(path="db", form=Form.TAR)),
    part=PART,
)
CONTENT = {
    CONFIG: b"c" * 10,
    "layers/0.zfs.zst": b"l" * PART,
    "datasets/data.zfs.zst": bytes(range(256)) * 10,
    "datasets/db.tar.zst": b"d",
}


def pieces(header: Header = HEADER) -> Iterator[bytes]:
    writer = Writer(header)
    yield writer.begin()
    for name, content in CONTENT.items():
        section = writer.section(name)
        for start in range(0, len(content), PART):
            yield from section.part(content[start : start + PART])
    yield writer.end()


FILE = b"".join(pieces())


def read(content: bytes, size: int = 1 << 20) -> Contents:
    reader = Reader()
    for start in range(0, len(content), size):
        reader.feed(content[start : start + size])
    return reader.finish()


def reason(content: bytes) -> str:
    try:
        read(content)
    except JaildError as error:
        return error.reason
    return ""


@pytest.mark.parametrize("size", [1, 511, 513, 1 << 20])
def test_what_was_written_is_read_in_pieces_of_any_size(size: int) -> None:
    contents = read(FILE, size)
    assert contents.header == HEADER
    assert contents.size == len(FILE)
    for name, content in CONTENT.items():
        ranges = contents.sections[name].ranges(PART)
        assert b"".join(FILE[start : start + length] for start, length in ranges) == content


def test_tar_reads_it_and_its_sections_are_the_parts_put_together() -> None:
    with tarfile.open(fileobj=io.BytesIO(FILE)) as tar:
        assert tar.getnames()[0] == "jail.json"
        assert tar.getnames()[-1] == "checksums.json"
        parts = [m for m in tar if m.name.startswith("datasets/data.zfs.zst.")]
        assert [part.name[-7:] for part in parts] == [".000000", ".000001", ".000002"]
        found = [tar.extractfile(part) for part in parts]
        assert b"".join(each.read() for each in found if each is not None) == CONTENT["datasets/data.zfs.zst"]


def test_a_file_that_ends_anywhere_before_its_end_is_refused() -> None:
    for end in range(0, len(FILE), 7):
        assert reason(FILE[:end]) in {"EXPORT_TRUNCATED", "NOT_AN_EXPORT"}, end
    assert reason(FILE[:-1]) == "EXPORT_TRUNCATED"


def test_a_byte_that_is_another_one_anywhere_is_refused() -> None:
    for place in range(len(FILE)):
        flipped = bytearray(FILE)
        flipped[place] ^= 0x04
        assert reason(bytes(flipped)), place


def test_what_follows_the_end_is_refused() -> None:
    assert reason(FILE + b"x") == "EXPORT_DAMAGED"
    assert reason(FILE + bytes(512)) == "EXPORT_DAMAGED"


def entries(*named: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return a tar of these after the header of the export."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in named:
            info = tarfile.TarInfo(name)
            info.size, info.type = len(content), kind
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        Writer(HEADER).begin() + entries(("datasets/data.zfs.zst.000000", b"x")),  # before the others
        Writer(HEADER).begin() + entries((f"{CONFIG}.000001", b"x")),
        Writer(HEADER).begin() + entries((f"{CONFIG}.000000", b"")),
        Writer(HEADER).begin() + entries((f"{CONFIG}.000000", b"x" * (PART + 1))),
        Writer(HEADER).begin() + entries((f"{CONFIG}.000000", b"x"), (f"{CONFIG}.000001", b"x")),  # after a short one
        Writer(HEADER).begin() + entries(("../etc/passwd", b"x")),
        Writer(HEADER).begin() + entries((".000000", b"x")),
        Writer(HEADER).begin() + Writer(HEADER).begin(),
        Writer(HEADER).begin() + Writer(HEADER).end(),  # without its sections
        Writer(HEADER).begin() + entries((f"{CONFIG}.000000", b""), kind=tarfile.SYMTYPE),
    ],
)
def test_an_entry_that_is_not_what_comes_next_is_refused(content: bytes) -> None:
    assert reason(content) == "EXPORT_DAMAGED"


def test_what_is_no_export_is_told_so_and_what_is_encrypted_how_to_read_it() -> None:
    assert reason(b"") == "NOT_AN_EXPORT"
    assert reason(b"\x28\xb5\x2f\xfd" * 200) == "NOT_AN_EXPORT"
    assert reason(entries(("etc/passwd", b"x"))) == "NOT_AN_EXPORT"
    with pytest.raises(JaildError) as refused:
        read(b"age-encryption.org/v1\n-> X25519")
    assert refused.value.reason == "EXPORT_ENCRYPTED"
    assert "age -d" in refused.value.hint


def test_a_newer_format_is_refused_and_fields_that_are_not_known_are_passed_over() -> None:
    text = msgspec.json.decode(msgspec.json.encode(HEADER))
    assert decode(msgspec.json.encode({**text, "later": 1})) == HEADER
    with pytest.raises(JaildError) as refused:
        decode(msgspec.json.encode({**text, "format": 2, "generation": "another shape"}))
    assert refused.value.reason == "EXPORT_TOO_NEW"


@pytest.mark.parametrize(
    "changed",
    [
        {"jail": "../web"},
        {"part": 0},
        {"part": 513},
        {"part": 1 << 40},
        {"datasets": []},
        {"layers": []},
        {"layers": [{"path": "bases/../x", "guid": 1, "record": ""}]},
        {"generation": {"number": 1}},
        {"datasets": [{"path": "data"}, {"path": "../db"}]},
    ],
)
def test_a_header_that_contradicts_itself_or_names_what_it_must_not_is_refused(changed: dict[str, object]) -> None:
    text = msgspec.json.decode(msgspec.json.encode(HEADER))
    with pytest.raises(JaildError) as refused:
        decode(msgspec.json.encode({**text, **changed}))
    assert refused.value.reason in {"EXPORT_DAMAGED", "INVALID_NAME"}
