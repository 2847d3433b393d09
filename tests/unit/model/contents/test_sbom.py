"""The bill of materials: by CycloneDX's own schema, with packages named as others name them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from jaild.model.contents.index import Contents, Library, Package
from jaild.model.contents.sbom import Subject, document, purl
from jaild.model.contents.versions import Ecosystem

SUBJECT = Subject(
    resource="bases/debian-12",
    name="debian-12",
    version="12",
    guid=17,
    abi="debian:12:amd64",
    is_base=True,
    sealed=1e9,
    sha256="ab" * 32,
)
OPENSSL = Package(
    name="libssl3", version="1:3.0.11-1~deb12u2+b1", ecosystem=Ecosystem.DPKG, arch="amd64", source="openssl"
)
CONTENTS = Contents(
    packages=(OPENSSL, OPENSSL, Package(name="bash", version="5.2", ecosystem=Ecosystem.DPKG)),
    libraries=(
        Library(soname="libssl.so.3", path="/usr/lib/libssl.so.3", package="libssl3"),
        Library(soname="libown.so.1", path="/opt/libown.so.1.2", version="1.2"),
        Library(soname="libodd.so", path="/opt/libodd.so"),
    ),
    problems=("rpm's database cannot be read",),
)


def made(subject: Subject = SUBJECT, contents: Contents = CONTENTS) -> dict[str, Any]:
    text = document(subject, contents, {"/opt/libown.so.1.2": "cd" * 32}, "0.1")
    errors = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert errors is None, errors
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_schema_that_cyclonedx_publishes_takes_it() -> None:
    found = made()
    assert found["metadata"]["component"]["type"] == "operating-system"
    assert found["metadata"]["timestamp"] == "2001-09-09T01:46:40+00:00"
    assert found["compositions"][0]["aggregate"] == "incomplete"
    release = Subject(resource="apps/web/releases/1", name="web", version="1", guid=18)
    bare = made(release, Contents())
    assert (bare["metadata"]["component"]["type"], bare["components"]) == ("application", [])
    assert bare["compositions"][0]["aggregate"] == "unknown"


def test_packages_are_in_it_once_and_libraries_that_no_package_brought() -> None:
    found = {each["name"]: each for each in made()["components"]}
    assert list(found) == ["libssl3", "bash", "libown.so.1", "libodd.so"]
    assert found["libssl3"]["properties"] == [{"name": "jaild:source", "value": "openssl"}]
    assert found["libown.so.1"]["hashes"][0]["content"] == "cd" * 32
    assert found["libown.so.1"]["evidence"]["occurrences"] == [{"location": "/opt/libown.so.1.2"}]
    assert "version" not in found["libodd.so"]


def test_a_layer_has_the_same_number_each_time_and_another_layer_another() -> None:
    assert made()["serialNumber"] == made()["serialNumber"]
    other = Subject(resource="bases/debian-12", name="debian-12", version="12", guid=18)
    assert made()["serialNumber"] != made(other)["serialNumber"]


@pytest.mark.parametrize(
    ("package", "abi", "wanted"),
    [
        (
            OPENSSL,
            "debian:12:amd64",
            ("deb", "debian", "1:3.0.11-1~deb12u2+b1", {"arch": "amd64", "distro": "debian-12"}),
        ),
        (
            Package(name="libssl3", version="1:3.0.7-24.el9", ecosystem=Ecosystem.RPM, arch="x86_64"),
            "fedora:39:x86_64",
            ("rpm", "fedora", "3.0.7-24.el9", {"arch": "x86_64", "distro": "fedora-39", "epoch": "1"}),
        ),
        (
            Package(name="libssl3", version="3.0.13_1,1", ecosystem=Ecosystem.PKG),
            "FreeBSD:14:amd64",
            ("generic", "freebsd", "3.0.13_1,1", {"distro": "freebsd-14"}),
        ),
        (Package(name="libssl3", version="1", ecosystem=Ecosystem.DPKG), "", ("deb", "debian", "1", {})),
    ],
)  # fmt: skip
def test_a_packages_url_is_read_by_others_as_it_is_meant(
    package: Package, abi: str, wanted: tuple[str, str, str, dict[str, str]]
) -> None:
    read = PackageURL.from_string(purl(package, abi))
    assert (read.type, read.namespace, read.version, read.qualifiers) == wanted
    assert read.name == "libssl3"
