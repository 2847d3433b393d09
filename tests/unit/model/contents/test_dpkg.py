"""What dpkg's status file says is there."""

from __future__ import annotations

from jaild.model.contents import dpkg
from jaild.model.contents.index import Package
from jaild.model.contents.versions import Ecosystem

STATUS = """Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl (3.0.11-1)
Version: 3.0.11-1~deb12u2
Description: toolkit
 Package: not-one
 .

Package: gone
Status: deinstall ok config-files
Version: 1

Package: half
Status: install ok half-installed
Version: 1

Package: adduser
Status: hold ok installed
Version: 3.134
"""


def test_what_is_installed_is_there_and_what_left_its_configuration_is_not() -> None:
    openssl = Package(
        name="libssl3",
        version="3.0.11-1~deb12u2",
        ecosystem=Ecosystem.DPKG,
        arch="amd64",
        source="openssl",
        source_version="3.0.11-1",
    )
    assert list(dpkg.packages(STATUS)) == [openssl, Package(name="adduser", version="3.134", ecosystem=Ecosystem.DPKG)]


def test_an_image_without_dpkg_has_no_status_of_each() -> None:
    assert [each.name for each in dpkg.packages("Package: base-files\nVersion: 12\n", installed=True)] == ["base-files"]


def test_nonsense_is_no_package() -> None:
    assert list(dpkg.packages("Package:\nStatus: install ok installed\nVersion: 1\n\n:::\n\n\x00")) == []
