"""What a question asks for, and what of a layer answers it."""

from __future__ import annotations

import pytest

from jaild.model.contents.index import Contents, FileSums, Library, Package
from jaild.model.contents.question import Kind, in_contents, in_files, question
from jaild.model.contents.versions import Ecosystem
from jaild.model.errors import InvalidArgumentError

DPKG, RPM, PKG = Ecosystem.DPKG, Ecosystem.RPM, Ecosystem.PKG
CONTENTS = Contents(
    packages=(
        Package(name="libssl3", version="3.0.11-1~deb12u2", ecosystem=DPKG, source="openssl"),
        Package(name="zlib1g", version="1:1.2.13.dfsg-1", ecosystem=DPKG, source="zlib"),
        Package(name="openssl-libs", version="1:3.0.7-24.el9", ecosystem=RPM, source="openssl"),
        Package(name="bash", version="5.2-1+b7", ecosystem=DPKG, source="bash", source_version="5.2-1"),
    ),
    libraries=(
        Library(soname="libssl.so.3", path="/l/libssl.so.3", version="3.0.11-1~deb12u2", package="ssl", ecosystem=DPKG),
        Library(soname="libz.so.1", path="/lib/libz.so.1", version="1:1.2.13.dfsg-1", package="zlib1g", ecosystem=DPKG),
        Library(soname="libcrypto.so.30", path="/lib/libcrypto.so.30"),
        Library(soname="libfoo.so.1", path="/usr/local/lib/libfoo.so.1.2.3", version="1.2.3"),
        Library(soname="libbar.so.1", path="/usr/local/lib/libbar.so.1", version="3.0,1", ecosystem=PKG),
    ),
)  # fmt: skip


def asked(kind: Kind, text: str) -> list[str]:
    return [match.name for match in in_contents(question(kind, text), CONTENTS)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("libssl.so.3<3.0.15", ["libssl.so.3"]),
        ("libssl.so.3 < 3.0.11", []),
        ("libssl.so.3>=3.0.11", ["libssl.so.3"]),
        ("libssl.so.3", ["libssl.so.3"]),
        ("libssl.so", []),
        ("libz.so.1<1.3", ["libz.so.1"]),  # an epoch is its package's, not its makers'
        ("libz.so.1<1:1.3", ["libz.so.1"]),
        ("libz.so.1>=1:0", ["libz.so.1"]),
        ("libbar.so.1<3.1", ["libbar.so.1"]),
        ("libfoo.so.1>1.2,<1.2.4", ["libfoo.so.1"]),
        ("lib*.so.1=1.2.3", ["libfoo.so.1"]),
    ],
)
def test_a_library_is_asked_for_by_soname_and_the_version_of_its_makers(text: str, found: list[str]) -> None:
    assert asked(Kind.LIBRARY, text) == found


def test_a_library_whose_version_is_not_known_is_found_and_said_to_be_unsure() -> None:
    (found,) = in_contents(question(Kind.LIBRARY, "libcrypto.so.30<3.0.15"), CONTENTS)
    assert found.unsure
    (found,) = in_contents(question(Kind.LIBRARY, "libcrypto.so.30"), CONTENTS)
    assert not found.unsure


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("openssl<3.0.15", ["libssl3"]),  # by the name of its source, too; rpm's epoch counts
        ("openssl<1:3.0.8", ["libssl3", "openssl-libs"]),
        ("libssl3=3.0.11-1~deb12u2", ["libssl3"]),
        ("zlib1g<1.3", []),
        ("bash=5.2-1", ["bash"]),  # that of its source
        ("bash=5.2-1+b7", ["bash"]),
        ("*ssl*", ["libssl3", "openssl-libs"]),
    ],
)
def test_a_package_is_asked_for_by_its_own_name_or_its_sources(text: str, found: list[str]) -> None:
    assert asked(Kind.PACKAGE, text) == found


SUM = "ab" * 32
FILES = FileSums(
    files={"/usr/bin/dash": SUM, "/usr/lib/libz.so.1.2": SUM, "/odd": ""},
    links={"/bin": "/usr/bin", "/usr/bin/sh": "/usr/bin/dash", "/a": "/b", "/b": "/a"},
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/bin/sh", ["/usr/bin/dash"]),
        ("/usr/lib/libz*", ["/usr/lib/libz.so.1.2"]),
        (f"sha256:{SUM.upper()}", ["/usr/bin/dash", "/usr/lib/libz.so.1.2"]),
        (SUM, ["/usr/bin/dash", "/usr/lib/libz.so.1.2"]),
        ("/odd", ["/odd"]),
        ("/a", []),
    ],
)
def test_a_file_is_asked_for_by_path_through_links_or_by_its_sha256(text: str, found: list[str]) -> None:
    assert [match.path for match in in_files(question(Kind.FILE, text), FILES)] == found


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.LIBRARY, ""),
        (Kind.LIBRARY, "libssl.so.3<"),
        (Kind.LIBRARY, "libssl.so.3 3.0"),
        (Kind.PACKAGE, "<3"),
        (Kind.PACKAGE, "openssl<3<"),
        (Kind.FILE, "bin/sh"),
        (Kind.FILE, "sha256:ab"),
        (Kind.BASE, " "),
        (Kind.BASE, "*a" * 600),
        (Kind.FILE, "/" + "*a" * 600),
    ],
)
def test_what_is_no_question_is_refused(kind: Kind, text: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        question(kind, text)
    assert refused.value.reason == "INVALID_QUESTION"
