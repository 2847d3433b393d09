"""The software bill of materials of a layer, as CycloneDX 1.6: https://cyclonedx.org/docs/1.6/json/.

Packages, and shared libraries that no package brought. Packages are named by https://github.com/package-url/purl-spec:
deb and rpm are types of it; for pkg(8) there is none, so they are `generic`, below freebsd.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from jaild.model.contents.index import Contents, Library, Package
from jaild.model.contents.versions import Ecosystem

MEDIA_TYPE = "application/vnd.cyclonedx+json; version=1.6"
_NAMESPACE = uuid.UUID("6e1f0d0c-7a52-5c3e-9d0e-2f6f5d1f7c11")  # of serial numbers: one for each layer


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The layer that it is about."""

    resource: str  # bases/debian-12
    name: str
    version: str
    guid: int
    abi: str = ""  # debian:12:amd64, FreeBSD:14:amd64; '' of a release for any
    is_base: bool = False
    sealed: float = 0.0  # seconds since the epoch
    sha256: str = ""  # of the archive that it came as


def document(subject: Subject, contents: Contents, sums: Mapping[str, str], made_by: str) -> str:
    """Return the document; `sums`: sha256 of files by path, `made_by`: jaild's version."""
    own = [library for library in contents.libraries if not library.package]
    component: dict[str, Any] = {
        "bom-ref": subject.resource,
        "type": "operating-system" if subject.is_base else "application",
        "name": subject.name,
        "version": subject.version,
        "properties": _properties({"jaild:guid": str(subject.guid), "jaild:abi": subject.abi}),
    }
    if subject.sha256:
        component["hashes"] = [{"alg": "SHA-256", "content": subject.sha256}]
    metadata: dict[str, Any] = {
        "tools": {"components": [{"type": "application", "name": "jaild", "version": made_by}]},
        "component": component,
        "properties": [{"name": "jaild:not-in-the-index", "value": problem} for problem in contents.problems],
    }
    if subject.sealed:
        metadata["timestamp"] = datetime.fromtimestamp(subject.sealed, UTC).isoformat(timespec="seconds")
    made = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{subject.resource}@{subject.guid}')}",
        "version": 1,
        "metadata": metadata,
        "components": _distinct(
            [*(_package(each, subject.abi) for each in contents.packages), *(_library(each, sums) for each in own)]
        ),
        # What has no package, and what packages depend on, is not known.
        "compositions": [
            {"aggregate": "incomplete" if contents.problems else "unknown", "assemblies": [subject.resource]}
        ],
    }
    return json.dumps(made, indent=2, ensure_ascii=False)


def _package(package: Package, abi: str) -> dict[str, Any]:
    url = purl(package, abi)
    made: dict[str, Any] = {
        "bom-ref": url,
        "type": "library",
        "name": package.name,
        "version": package.version,
        "purl": url,
    }
    source = {"jaild:source": package.source, "jaild:source-version": package.source_version}
    if properties := _properties(source):
        made["properties"] = properties
    return made


def _library(library: Library, sums: Mapping[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "bom-ref": f"library:{library.path}",
        "type": "library",
        "name": library.soname,
        "evidence": {"occurrences": [{"location": library.path}]},
    }
    if library.version:
        made["version"] = library.version
    if digest := sums.get(library.path):
        made["hashes"] = [{"alg": "SHA-256", "content": digest}]
    return made


def purl(package: Package, abi: str) -> str:
    """Return a package's URL; `abi` tells of which distribution it is."""
    system, release, _ = [*abi.split(":"), "", "", ""][:3]
    system = system.lower()
    qualifiers = {"arch": package.arch, "distro": f"{system}-{release}" if system and release else ""}
    version = package.version
    match package.ecosystem:
        case Ecosystem.DPKG:
            kind, system = "deb", system or "debian"
        case Ecosystem.RPM:
            kind = "rpm"
            epoch, colon, rest = version.partition(":")
            if colon:
                qualifiers["epoch"], version = epoch, rest
        case _:
            kind, system = "generic", "freebsd"
    named = "/".join(quote(part, safe="") for part in (kind, system, package.name) if part)
    said = "&".join(f"{key}={quote(value, safe='')}" for key, value in sorted(qualifiers.items()) if value)
    return f"pkg:{named}@{quote(version, safe='')}" + (f"?{said}" if said else "")


def _properties(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items() if value]


def _distinct(components: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return components each once: a reference stands for one."""
    return list({component["bom-ref"]: component for component in components}.values())
