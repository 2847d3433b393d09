"""What an export says of itself: `jail.json`, the first entry of the file. docs/export-format.md documents it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from jaild.model import bounds, layout, names, quantity
from jaild.model.errors import DataLossError, FailedPreconditionError, InvalidArgumentError
from jaild.model.layers.records import Generation

FORMAT = 1  # what a reader of an older one would not understand raises it; a reader passes over fields it does not know
CONFIG = "config.tar.zst"
MOST_SECTIONS = 1000  # of one file: layers, data and volumes
_PART = 8 << 20  # bytes
_BLOCK = 512  # of tar: so that parts need no padding


class Form(StrEnum):
    """How a dataset's data are written."""

    ZFS = "zfs"  # zfs send, full, of one snapshot
    TAR = "tar"  # pax, for any file system


class Earlier(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A generation before the one that is in the file: told, not brought."""

    number: int
    base: str
    release: str = ""
    created: float = 0.0
    reason: str = ""
    actor: str = ""


class LayerEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A base or release that the jail runs on."""

    path: str  # bases/debian-12, apps/redis/7.0
    guid: int  # of its @sealed
    sha256: str = ""  # of the archive that it came as, where it came as one
    size: int = 0  # bytes that it takes
    record: str  # JSON, as its property holds it
    included: bool = False  # its stream is in the file


class DatasetEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The jail's data, or one of its volumes."""

    path: str  # data, or the volume's name
    form: Form = Form.ZFS
    guid: int = 0  # of the snapshot
    size: int = 0  # bytes that it refers to


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The header of an export."""

    format: int  # written always: the first thing that is read
    jail: str  # its name
    uid: str  # of the original: an import has another
    host: str  # name of the host that it was made on
    taken: float  # seconds since the epoch, when its snapshot was taken
    snapshot: str  # the part after @
    zfs: str  # which made the streams: openzfs 2.3.9
    generation: Generation  # with the spec, and so with the environment's values
    earlier: tuple[Earlier, ...] = ()  # newest first
    layers: tuple[LayerEntry, ...]
    datasets: tuple[DatasetEntry, ...]  # data first
    part: int = _PART  # bytes of each part of a section but its last

    def sections(self) -> Iterator[str]:
        """Yield the names of the file's sections, in order."""
        yield CONFIG
        for number, layer in enumerate(self.layers):
            if layer.included:
                yield layer_section(number)
        for dataset in self.datasets:
            yield dataset_section(dataset)


def layer_section(number: int) -> str:
    """Return the section of the layer with this place in the header."""
    return f"layers/{number}.zfs.zst"


def dataset_section(dataset: DatasetEntry) -> str:
    """Return the section of a dataset."""
    return f"datasets/{dataset.path}.{dataset.form}.zst"


def decode(text: bytes) -> Header:
    """Read a header, of whoever wrote it.

    `FailedPreconditionError` (EXPORT_TOO_NEW), `DataLossError` (EXPORT_DAMAGED), `InvalidArgumentError` (INVALID_NAME).
    """
    try:
        version = msgspec.json.decode(text, type=_Version).format
        if version > FORMAT:
            raise FailedPreconditionError(
                "EXPORT_TOO_NEW",
                f"the export has format {version}, this jaild knows {FORMAT}",
                hint="import it where jaild is as new as the one that made it",
            )
        header = msgspec.json.decode(text, type=Header)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise damaged(f"its header cannot be read: {error}") from error
    _require_sound(header)
    return header


class _Version(msgspec.Struct, frozen=True):
    format: int


def _require_sound(header: Header) -> None:
    names.jail(header.jail)
    for layer in header.layers:
        _require_layer(layer.path)
    spec = header.generation.spec
    wanted = [layout.DATA, *sorted(spec.volumes)]
    for path in spec.volumes:
        names.volume(path)
    if [dataset.path for dataset in header.datasets] != wanted:
        raise damaged("its datasets are not those of its generation")
    on = {f"bases/{header.generation.base}"}
    on |= {f"apps/{header.generation.release}"} if header.generation.release else set()
    if {layer.path for layer in header.layers} != on or len(header.layers) != len(on):
        raise damaged("its layers are not those of its generation")
    if not _BLOCK <= header.part <= bounds.EXPORT_PART or header.part % _BLOCK:
        raise damaged(f"its parts have {quantity.size(header.part)}")
    if len(header.layers) + len(header.datasets) >= MOST_SECTIONS:
        raise damaged("it has too many sections")


def _require_layer(path: str) -> None:
    kind, _, name = path.partition("/")
    if kind == "bases":
        names.base(name)
    elif kind == "apps":
        names.release(name)
    else:
        raise InvalidArgumentError(
            "INVALID_NAME", f"{path!r} is not a layer", hint="a layer is bases/NAME or apps/APP/VERSION"
        )


def damaged(what: str) -> DataLossError:
    """Return the error for an export that is not as it was made (EXPORT_DAMAGED)."""
    return DataLossError(
        "EXPORT_DAMAGED",
        f"the export is damaged: {what}; nothing was made of it",
        hint="compare its sha256 with the one that the export printed, and bring it again",
    )
