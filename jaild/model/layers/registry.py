"""Images in registries: how they are named, which registries this host may use, and what an image says of itself.

The words are skopeo's (containers-transports(5)): docker://HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]. Nothing is
left out of them: no host means docker.io to some programs, and no tag `latest`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, PermissionDeniedError
from jaild.model.layers import ociimage
from jaild.model.layers.ociimage import Platform
from jaild.model.loopback import is_loopback

TRANSPORT = "docker://"
MANIFEST = "dev.jaild.manifest"  # annotation of an image, or label: a release's manifest, YAML or JSON
KIND = "dev.jaild.kind"  # annotation: base or release
_HOST = r"(?P<host>localhost|[a-z0-9.-]*[a-z0-9][.:][a-z0-9.:-]*|\[[0-9a-f:]+\](?::[0-9]+)?)"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"  # distribution-spec, "Pulling manifests"
_IMAGE = re.compile(
    rf"{_HOST}/(?P<path>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_PREFIX = re.compile(rf"{_HOST}(?:/{_PART})*")
_LONGEST = 1000  # characters


class Registry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this host may use a registry, or what is below a path of one. Read by `jaild.config`."""

    authfile: Path | None = None  # containers-auth.json(5): who we are to it; anybody if not said
    certificates: Path | None = None  # folder of its authority (*.crt), our certificate (*.cert) and key (*.key)
    signatures: Path | None = None  # containers-policy.json(5): whose signatures images must have; none if not said
    push: bool = False  # whether images may be pushed there
    plain_http: bool = False  # without TLS; registries of this host itself may be without it anyway


Registries = Mapping[str, Registry]  # by HOST[:PORT][/PATH]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An image in a registry, or where one is to be."""

    host: str  # with its port
    path: str
    tag: str = ""
    digest: str = ""  # sha256:...

    def __str__(self) -> str:
        return TRANSPORT + self.repository + (f":{self.tag}" if self.tag else "") + (self.digest and f"@{self.digest}")

    @property
    def repository(self) -> str:
        """Host and path."""
        return f"{self.host}/{self.path}"

    @property
    def exact(self) -> str:
        """The name by which it is asked for: by its digest if that is known. Programs take no tag beside it."""
        return TRANSPORT + self.repository + (f"@{self.digest}" if self.digest else f":{self.tag}")

    def resolved(self, digest: str) -> Reference:
        """Return it with what its tag leads to."""
        return replace(self, digest=digest)


class _Container(msgspec.Struct, frozen=True, rename={"labels": "Labels"}):
    labels: dict[str, str] | None = None


class Config(msgspec.Struct, frozen=True):
    """What is read of an image's configuration beside its platform."""

    config: _Container | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return (self.config and self.config.labels) or {}


@dataclass(frozen=True, kw_only=True)
class Found:
    """An image of a registry, by digest, before any layer of it is here."""

    reference: Reference  # with the digest
    manifest: ociimage.Manifest
    platform: Platform  # of its configuration
    labels: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Of its manifest, sha256 in hex."""
        return ociimage.hexadecimal(self.reference.digest)

    @property
    def size(self) -> int:
        """Bytes of its layers, as they are in the registry."""
        return sum(layer.size for layer in self.manifest.layers)

    @property
    def release_manifest(self) -> str:
        """What it says of itself as a release, as text; '' if nothing."""
        return self.manifest.annotations.get(MANIFEST) or self.labels.get(MANIFEST, "")


def digest_of(document: bytes) -> str:
    """Return the digest of a manifest or a configuration."""
    return f"sha256:{hashlib.sha256(document).hexdigest()}"


def is_image(text: str) -> bool:
    """Tell whether a text is meant as an image in a registry."""
    return text.startswith(TRANSPORT)


def parse(text: str) -> Reference:
    """Read one that is there: with a tag, a digest or both. `InvalidArgumentError` (INVALID_IMAGE)."""
    found = _IMAGE.fullmatch(text.removeprefix(TRANSPORT)) if is_image(text) and len(text) <= _LONGEST else None
    if found is None:
        raise _invalid(text, "is not an image in a registry")
    if not found["tag"] and not found["digest"]:
        raise _invalid(text, "has neither tag nor digest")
    return Reference(host=found["host"], path=found["path"], tag=found["tag"] or "", digest=found["digest"] or "")


def destination(text: str) -> Reference:
    """Read where one is to be: with a tag. `InvalidArgumentError` (INVALID_IMAGE)."""
    found = parse(text)
    if found.digest:
        raise _invalid(text, "names a digest, and what is pushed has its own")
    return found


def require_prefix(text: str) -> None:
    """Raise `ValueError` unless a text is HOST[:PORT][/PATH]."""
    if not _PREFIX.fullmatch(text):
        raise ValueError(f"{text!r} is no registry: write HOST[:PORT][/PATH], without docker:// and tag")


def allowed(registries: Registries, reference: Reference, *, push: bool = False) -> Registry:
    """Return the setting for an image: that of the longest prefix. `PermissionDeniedError` (REGISTRY_NOT_ALLOWED)."""
    name = reference.repository
    fitting = [prefix for prefix in registries if name == prefix or name.startswith(f"{prefix}/")]
    if not fitting:
        known = ", ".join(sorted(registries)) or "none"
        raise PermissionDeniedError(
            "REGISTRY_NOT_ALLOWED",
            f"this host's configuration has no registry {name}",
            hint=f"it has: {known}; operators: `registries` of jaild.yaml",
            resource=name,
        )
    prefix = max(fitting, key=len)
    if push and not registries[prefix].push:
        raise PermissionDeniedError(
            "REGISTRY_NOT_ALLOWED",
            f"this host may pull from {prefix}, and not push to it",
            hint=f"operators: `registries`, {prefix}: {{push: true}}",
            resource=name,
        )
    return registries[prefix]


def without_tls(registry: Registry, host: str) -> bool:
    """Tell whether a registry is asked without (verified) TLS: where that is said, and this host itself."""
    name = host.rpartition(":")[0] if re.search(r":[0-9]+$", host) else host
    return registry.plain_http or (registry.certificates is None and is_loopback(name.strip("[]")))


def require_release_platform(found: Found, wanted: Platform) -> None:
    """Raise `FailedPreconditionError` (OCI_PLATFORM) if it says that it is for another system. An artifact does not."""
    if found.platform.known:
        ociimage.require_platform(found.platform, wanted)


def require_digest(found: Found, sha256: str) -> None:
    """Raise `InvalidArgumentError` (DIGEST_MISMATCH) unless an image is the one that was asked for, if any was."""
    if sha256 and sha256.lower() != found.digest:
        raise InvalidArgumentError(
            "DIGEST_MISMATCH",
            f"{found.reference} is not the image of sha256 {sha256}",
            hint="ask by @sha256:... in the place of the tag, which names another image now",
            detail={"expected": sha256, "found": found.digest},
        )


def no_manifest(found: Found) -> FailedPreconditionError:
    """Return the error for an image that does not say what it is as a release."""
    return FailedPreconditionError(
        "IMAGE_WITHOUT_MANIFEST",
        f"{found.reference} has no annotation or label {MANIFEST}",
        hint="give the release's manifest (--manifest), or push the image with it: docs/product-teams.md",
        resource=str(found.reference),
    )


def _invalid(text: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "INVALID_IMAGE",
        f"{text[:_LONGEST]!r} {why}",
        hint="write docker://HOST[:PORT]/REPOSITORY:TAG, or @sha256:DIGEST in the place of the tag",
    )
