"""The port's skeleton fits the project, its own packing list, what is known of the ports tree, and portlint's rules."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from jaild.manual import commands, daemon, settings, spec

ROOT = Path(__file__).parents[4]
FREEBSD = ROOT / "templates" / "freebsd"
PORT = FREEBSD / "port"
MISSING = FREEBSD / "py-grpcio-health-checking"  # what the tree does not have: a skeleton of its own
MAKEFILE = (PORT / "Makefile").read_text()
_DEPENDENCY = re.compile(r"PYTHON_PKGNAMEPREFIX\}([A-Za-z0-9-]+)>=([^:]+):([^@\s]+)@\$\{PY_FLAVOR\}")

# Ports whose Makefile was seen in github.com/freebsd/freebsd-ports in November 2026.
IN_THE_TREE = {
    "devel/py-click",
    "devel/py-googleapis-common-protos",
    "devel/py-grpcio",
    "devel/py-grpcio-reflection",
    "devel/py-Jinja2",
    "devel/py-msgspec",
    "devel/py-opentelemetry-api",
    "devel/py-protobuf",
    "devel/py-pyelftools",
    "devel/py-pyyaml",
    "devel/py-setuptools",
    "devel/py-structlog",
    "devel/py-wheel",
    "net-mgmt/py-prometheus-client",
    "net/py-h11",
    "textproc/py-merge3",
    "textproc/py-rich",
    "www/py-starlette",
    "www/py-uvicorn",
}


def test_the_port_installs_what_its_packing_list_says_and_every_source_is_in_the_tree() -> None:
    installed = set()
    for source, target in re.findall(r"\$\{INSTALL_(?:DATA|SCRIPT)\} (\S+) (\S+)", MAKEFILE):
        plain = source.replace("${WRKSRC}/", "").replace(
            "${WRKDIR}/480.jaild", "templates/freebsd/port/files/480.jaild.in"
        )
        assert (ROOT / plain).exists(), source
        installed.add(target.replace("${STAGEDIR}${ETCDIR}", "%%ETCDIR%%").replace("${STAGEDIR}${PREFIX}/", ""))
    installed |= set(re.findall(r">\$\{STAGEDIR\}\$\{PREFIX\}/(\S+)", MAKEFILE))
    assert "-m jaild.manual ${STAGEDIR}${PREFIX}/share/man\n" in MAKEFILE
    pages = (commands.page(), daemon.page(), settings.page(), spec.page())
    installed |= {f"share/man/{page.path}.gz" for page in pages}
    listed = (PORT / "pkg-plist").read_text().splitlines()
    assert {line.removeprefix("@sample ") for line in listed if not line.startswith("@dir")} == installed
    made = set(re.findall(r"\$\{STAGEDIR\}(\S+)", "\n".join(re.findall(r"\$\{MKDIR\} .*", MAKEFILE))))
    for line in listed:
        if line.startswith("@dir"):
            assert line.split()[1].replace("%%ETCDIR%%", "${ETCDIR}") in made


def test_the_port_depends_on_what_the_project_depends_on_in_no_lower_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"DISTVERSION=\t{project['version']}\n" in MAKEFILE
    wanted = {}
    for dependency in project["dependencies"]:
        name, _, versions = dependency.partition(">=")
        wanted[name] = versions
    block = MAKEFILE.partition("RUN_DEPENDS=")[2].partition("\n\n")[0]
    found = {}
    for name, versions, _ in _DEPENDENCY.findall(block):
        found[name] = re.sub(r"(\d),1\b", r"\1", versions).replace("<", ",<")  # the port's epoch
    assert found == wanted
    assert f"USES=\t\tpython:{project['requires-python'].removeprefix('>=')}+\n" in MAKEFILE


def test_the_port_has_an_option_for_each_extra_of_those_who_run_it() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = {extra.upper(): sorted(of) for extra, of in extras.items() if of and extra not in {"test", "dev", "proto"}}
    blocks = re.findall(r"^([A-Z]+)_RUN_DEPENDS=((?:.*\\\n)*.*)", MAKEFILE, re.MULTILINE)
    found = {
        option: sorted(f"{name.lower()}>={version}" for name, version, _ in _DEPENDENCY.findall(block))
        for option, block in blocks
    }
    assert found == wanted
    options = MAKEFILE.partition("OPTIONS_DEFINE=\t")[2].partition("\n")[0].split()
    assert options == ["EXAMPLES", *sorted(wanted)]
    for folder in MAKEFILE.partition('COPYTREE_SHARE} "')[2].partition('"')[0].split():
        assert (ROOT / "templates" / folder).is_dir()


def test_every_dependency_is_a_port_of_the_tree_or_has_a_skeleton_here() -> None:
    for makefile in (PORT / "Makefile", MISSING / "Makefile"):
        text = makefile.read_text()
        named = re.findall(r"\$\{PYTHON_PKGNAMEPREFIX\}\S+", text)
        found = _DEPENDENCY.findall(text)
        assert len(found) == len([each for each in named if ">=" in each]), makefile
        for name, _, origin in found:
            assert origin in IN_THE_TREE | {f"devel/{MISSING.name}"}, origin
            assert origin.rpartition("/")[2] == f"py-{name}"


# What ports-mgmt/portlint says of a Makefile, a description and a packing list, as far as it needs no ports tree.
ORDER = (
    *(
        "PORTNAME",
        "DISTVERSION",
        "CATEGORIES",
        "MASTER_SITES",
        "PKGNAMEPREFIX",
        "DISTNAME",
        "MAINTAINER",
        "COMMENT",
        "WWW",
    ),
    *(
        "LICENSE",
        "LICENSE_FILE",
        "BUILD_DEPENDS",
        "RUN_DEPENDS",
        "USES",
        "USE_PYTHON",
        "USE_RC_SUBR",
        "NO_ARCH",
        "SUB_FILES",
    ),
    *("PORTEXAMPLES", "OPTIONS_DEFINE"),
)
COMMANDS = ("cat", "chmod", "cp", "env", "install", "ln", "mkdir", "mv", "python", "rm", "sed")


@pytest.mark.parametrize("makefile", [PORT / "Makefile", MISSING / "Makefile"], ids=lambda path: path.parent.name)
def test_a_makefile_is_as_portlint_wants_it(makefile: Path) -> None:
    text = makefile.read_text()
    assert text.endswith("\n.include <bsd.port.mk>\n")
    assert not re.search(r"[ \t]+$|\n\n\n", text, re.MULTILINE)
    assert re.findall(r"^[A-Z_]+[+?]?= ", text, re.MULTILINE) == []  # a tab, not spaces
    comment = re.search(r"^COMMENT=\t(.*)$", text, re.MULTILINE)
    assert comment is not None
    assert len(comment[1]) <= 70
    assert re.match(r"(?!An? )[A-Z]", comment[1])
    assert not comment[1].endswith(".")
    first = {name: text.index(f"\n{name}=") if f"\n{name}=" in text else 0 for name in ORDER if f"{name}=" in text}
    assert list(first.values()) == sorted(first.values())
    for line in re.findall(r"^\t(?![\t ])(.*)$", text, re.MULTILINE):
        assert line.split()[0] not in COMMANDS, line


@pytest.mark.parametrize("folder", [PORT, MISSING], ids=lambda path: path.name)
def test_a_description_is_short_ascii_and_no_line_is_long(folder: Path) -> None:
    text = (folder / "pkg-descr").read_text(encoding="ascii")
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) <= 24
    assert text.endswith("\n")


def test_a_packing_list_has_everything_once_files_before_folders_and_what_is_edited_as_a_sample() -> None:
    listed = (PORT / "pkg-plist").read_text().splitlines()
    assert len(set(listed)) == len(listed)
    folders = [line.startswith("@dir") for line in listed]
    assert folders == sorted(folders)
    edited = [line for line in listed if line.startswith("etc/") and not line.startswith("etc/periodic/")]
    assert edited == []
