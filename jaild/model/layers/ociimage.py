"""OCI images as they lie in a layout folder: which of them fits a host, and what it is made of.

Facts: image-spec 1.1, image-layout.md, image-index.md, manifest.md, layer.md. Nothing is believed but digests.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from jaild.model import quantity
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError

LAYOUT, INDEX = "oci-layout", "index.json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OPAQUE = b".wh..wh..opq"  # a folder in which nothing of the layers below is left
_WHITEOUT, _OF_AUFS = b".wh.", b".wh..wh."
_REFERENCE = "org.opencontainers.image.ref.name"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_INDEXES = frozenset(
    {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
)
_LAYERS = frozenset(
    {
        "application/vnd.oci.image.layer.v1.tar",
        LAYER,
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    }
)
CONFIGS = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)  # of images; artifacts have others
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "i386": "386"}  # as Go names them, and so images
_MAX_LAYERS = 200
_T = TypeVar("_T")


class Platform(msgspec.Struct, frozen=True):
    """What an image runs on."""

    architecture: str = ""
    os: str = ""

    @property
    def known(self) -> bool:
        """Whether anything is said. Builders that attest write `unknown`."""
        return bool(self.os) and self.os != "unknown"


class Descriptor(msgspec.Struct, frozen=True, rename={"media_type": "mediaType"}):
    """Names a blob."""

    digest: str
    size: int
    media_type: str = ""
    platform: Platform = Platform()
    annotations: dict[str, str] = {}

    @property
    def reference(self) -> str:
        """The name that was given to the image in its layout; empty for none."""
        return self.annotations.get(_REFERENCE, "")

    @property
    def is_index(self) -> bool:
        """Whether it is a list of further ones."""
        return self.media_type in _INDEXES


class Document(msgspec.Struct, frozen=True, rename={"media_type": "mediaType"}):
    """Either of the two below, as a registry gives them for a name."""

    media_type: str = ""  # an index of OCI may do without
    manifests: tuple[Descriptor, ...] | None = None

    @property
    def is_index(self) -> bool:
        """Whether it is a list of images."""
        return self.media_type in _INDEXES or (not self.media_type and self.manifests is not None)


class Index(msgspec.Struct, frozen=True):
    """index.json, or one below it."""

    manifests: tuple[Descriptor, ...]


class Manifest(msgspec.Struct, frozen=True):
    """One image."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


def parse(data: bytes, kind: type[_T], what: str) -> _T:
    """Read a document. `InvalidArgumentError` (OCI_UNREADABLE)."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise unreadable(f"{what}: {error}") from error


def hexadecimal(digest: str) -> str:
    """Return a digest's sha256. `InvalidArgumentError` (OCI_UNREADABLE) for another kind, or none."""
    found = _DIGEST.fullmatch(digest)
    if found is None:
        raise unreadable(f"{digest!r} is not a sha256 digest")
    return found[1]


def machine(name: str) -> str:
    """Return a machine's name (uname -p) as images have it."""
    return _MACHINES.get(name, name)


def choose(found: Sequence[Descriptor], reference: str, wanted: Platform) -> Descriptor:
    """Return the one that fits.

    `NotFoundError` (OCI_IMAGE_NOT_FOUND), `FailedPreconditionError` (OCI_PLATFORM, OCI_AMBIGUOUS).
    """
    named = [one for one in found if not reference or reference in {one.reference, one.digest}]
    if not named:
        known = ", ".join(sorted({one.reference or one.digest for one in found})) or "none"
        raise NotFoundError("OCI_IMAGE_NOT_FOUND", f"the layout has no image {reference!r}", hint=f"there are: {known}")
    fitting = [one for one in named if not one.platform.known or one.platform == wanted]
    if not fitting:
        raise other_platform(", ".join(sorted({_shown(one.platform) for one in named})), wanted)
    if len({one.digest for one in fitting}) > 1:
        raise FailedPreconditionError(
            "OCI_AMBIGUOUS",
            f"{quantity.count(len(fitting), 'image')} of the layout fit {_shown(wanted)}",
            hint="name one of them: " + ", ".join(sorted(one.reference or one.digest for one in fitting)),
        )
    return fitting[0]


def require_platform(config: Platform, wanted: Platform) -> None:
    """Raise `FailedPreconditionError` (OCI_PLATFORM) unless an image's own configuration says that it runs here."""
    if config != wanted:
        raise other_platform(_shown(config), wanted)


def require_layers(manifest: Manifest) -> None:
    """Raise `InvalidArgumentError` (OCI_UNREADABLE) if it is no image of layers that can be unpacked."""
    if not manifest.layers or len(manifest.layers) > _MAX_LAYERS:
        raise unreadable(f"it has {quantity.count(len(manifest.layers), 'layer')}")
    for layer in manifest.layers:
        if layer.media_type not in _LAYERS:
            raise unreadable(f"a layer is {layer.media_type or 'of no said type'}, not a tar")


def removed(name: bytes) -> bytes | None:
    """Return what the entry `name` of a layer removes from those below it; a folder and / for all that is in it.

    None if it is an ordinary entry; b"" for marks that some builders leave, and nobody heeds.
    """
    folder, slash, last = name.rstrip(b"/").rpartition(b"/")
    if not last.startswith(_WHITEOUT):
        return None
    if last == OPAQUE:
        return folder + b"/"
    if last.startswith(_OF_AUFS) or last in {_WHITEOUT, _WHITEOUT + b".", _WHITEOUT + b".."}:
        return b""
    return folder + slash + last.removeprefix(_WHITEOUT)


def unreadable(problem: str) -> InvalidArgumentError:
    """Return the error for what is no OCI layout."""
    return InvalidArgumentError(
        "OCI_UNREADABLE",
        f"this is no OCI image layout that can be imported: {problem}",
        hint="make one with: skopeo copy docker://IMAGE oci:FOLDER, or buildah push IMAGE oci-archive:FILE",
    )


def other_platform(found: str, wanted: Platform) -> FailedPreconditionError:
    """Return the error for an image of another system or machine."""
    return FailedPreconditionError(
        "OCI_PLATFORM",
        f"the image is for {found}, and this host runs {_shown(wanted)}",
        hint="take the image for this host's system and machine",
        detail={"found": found, "wanted": _shown(wanted)},
    )


def _shown(platform: Platform) -> str:
    return f"{platform.os or '?'}/{platform.architecture or '?'}"
