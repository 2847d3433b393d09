"""What jaild runs on FreeBSD to build releases and bases: tests/golden/freebsd/builds/*.txt, to be read as such.

After a wanted change, read it anew:
`JAILD_UPDATE_GOLDEN=1 .venv/bin/pytest tests/unit/adapters/freebsd/test_golden_builds.py`.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from jaild.adapters.archives.bsdtar import BsdtarArchives
from jaild.adapters.files.host import HostFiles
from jaild.adapters.system.process import ProcessRunner
from jaild.engine.operations import Handle, Operations
from jaild.layers.build_steps import BuildLog, BuildSteps, Job
from jaild.layers.sandbox import BuildSandbox
from jaild.model.errors import JaildError
from jaild.model.etc import regenerate as etctools
from jaild.model.etc.tree import Entry, Kind
from jaild.model.jails import specfile
from jaild.model.jails.spec import Mode, Network
from jaild.model.layers.records import BaseRecord, Family
from jaild.model.operation import Operation
from jaild.model.policy import BuildPolicy
from jaild.ports.runtime import Output
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryStore
from tests.unit.adapters.freebsd.test_golden import Stage

GOLDEN = Path(__file__).parents[3] / "golden/freebsd/builds"
BASE = BaseRecord(name="14.1", family=Family.FREEBSD, version="14.1-RELEASE", abi="FreeBSD:14:amd64", osreldate=1401000)
REPOSITORY = """
repository:
  name: own
  url: "https://pkg.example.net/packages/141amd64-default"
  public_key: |
    -----BEGIN PUBLIC KEY-----
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA
    -----END PUBLIC KEY-----
"""
RECIPE = f"""
base: "14.1"
manifest:
  command: [/usr/local/sbin/nginx, -g, daemon off;]
  users: [{{name: web, uid: 900, gid: 900}}]
  groups: [{{name: web, gid: 900}}]
network: host
environment: {{LANG: C.UTF-8}}
{REPOSITORY}
steps:
  - pkg: [nginx, www/mod_zip]
  - copy: {{from: etc, to: /usr/local/etc/nginx}}
  - run: [/usr/local/sbin/nginx, -t]
"""
Scenario = Callable[["BuildStage"], Awaitable[None]]
SCENARIOS: dict[str, tuple[str, Scenario]] = {}


class BuildStage(Stage):
    """A host that is told, on which steps are carried out."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for name in ("home", "var/db"):
            (self.base / name).mkdir(exist_ok=True)
        (self.base / "etc/master.passwd").write_text("root:*:0:0::0:0::/root:/bin/sh\n")
        for place in ("work/root/sbin", "uploads/2"):
            (folder / place).mkdir(parents=True)
        (folder / "uploads/2/nginx.conf").write_text("")
        (folder / "work/root/sbin/pkg").write_text("ELF")
        pkg = ("/usr/local/sbin/pkg", "--repo-conf-dir", "/var/tmp/jaild-pkg", "-o", "ABI=FreeBSD:14:amd64", "-o")
        self.pkg = (*pkg, "OSVERSION=1401000", "-o", "ASSUME_ALWAYS_YES=yes")
        self.says(("/usr/sbin/pwd_mkdb", "-p", "-d", "/etc", "/etc/master.passwd"))
        self.says(("/usr/sbin/pkg", "bootstrap"), "Bootstrapping pkg from https://pkg.example.net/...\n")
        self.says((*self.pkg, "install", "-r", "own", "nginx", "www/mod_zip"), "[1/2] Installing nginx-1.28.0...\n")
        self.says((*self.pkg, "query", "%n-%v\t%At\t%Av"), "nginx-1.28.0\tFreeBSD_version\t1401000\n")
        self.says((*self.pkg, "query", "%n-%v"), "pkg-1.21.3\nnginx-1.28.0\nmod_zip-1.3.0\n")
        self.says(("/usr/local/sbin/nginx", "-t"))

    def says(self, command: tuple[str, ...], stdout: str = "", status: int = 0, stderr: str = "") -> None:
        self.host.scripts[command] = (status, stdout.encode(), stderr.encode())

    async def built(self, recipe: str = RECIPE) -> tuple[str, ...]:
        files = HostFiles(self.folder / "spool")
        wanted = specfile.parse_recipe(recipe)
        assert wanted.manifest is not None
        job = Job(
            recipe=wanted,
            base=BASE,
            base_tree=self.base,
            manifest=wanted.manifest,
            release=self.folder / "work/root",
            scratch=self.folder / "work/build/scratch",
            uploads=self.folder / "uploads",
            policy=BuildPolicy(),
        )
        store = MemoryStore()
        await store.put_operation(Operation(id="0123456789abcdef", kind="build", target="apps/web/1"))
        operations = Operations(store, FakeClock())
        await operations.load()
        log = BuildLog(files, self.folder / "build.log", Handle(operations, "0123456789abcdef"))
        (self.folder / "work/build").mkdir()
        steps = BuildSteps(BuildSandbox(self.runtime), BsdtarArchives(ProcessRunner()), files)
        return (await steps.carry_out("0123456789abcdef", job, log)).packages

    async def tell(self, heading: str, work: Awaitable[object]) -> None:
        """As `shown`, with what looks at the host and changes nothing left out."""
        await self.shown(heading, work)
        looks = ("$ jls ", "$ mount -v", "$ ps -J", "$ devfs rule", "$ ifconfig -l")
        lines, self.lines, left_out = self.lines, [], False
        for line in lines:
            left_out = line.startswith(looks) or (left_out and line.startswith(("# status", "err|")))
            self.lines += [] if left_out else [line]

    def show(self, path: str, told: str) -> None:
        self.lines += [f"## {told}", (self.folder / path).read_text()]

    def text(self, about: str) -> str:
        text = super().text(about)
        work = "/tank/jaild/apps/web/1"
        return text.replace(str(self.folder / "work"), work).replace(str(self.folder), "/var/log/jaild/builds")


def scenario(about: str) -> Callable[[Scenario], Scenario]:
    def register(function: Scenario) -> Scenario:
        SCENARIOS[function.__name__.replace("_", "-")] = (about, function)
        return function

    return register


@scenario("# A recipe with a pkg, a copy and a run step. What only looks at the host (jls, ps, mount -v) is left out.")
async def recipe(stage: BuildStage) -> None:
    await stage.tell("accounts of the manifest, packages, files, a command; then what is installed", stage.built())
    stage.show("work/build/scratch/var/tmp/jaild-pkg/repository.conf", "/var/tmp/jaild-pkg/repository.conf in the jail")
    stage.show("work/build/scratch/etc/master.passwd", "/etc/master.passwd in the jail")


@scenario("# A recipe that begins with an earlier release: its packages become the repository's first.")
async def recipe_from(stage: BuildStage) -> None:
    stage.says((*stage.pkg, "upgrade", "-r", "own"), "Installed packages to be UPGRADED:\n\tlibzip: 1.0 -> 1.1\n")
    database = stage.folder / "work/root/var/db/pkg"
    for name in ("local.sqlite", "repo-own.sqlite", "repos/own/db"):
        (database / name).parent.mkdir(parents=True, exist_ok=True)
        (database / name).write_text("")
    await stage.tell("install", stage.built(RECIPE.replace("manifest:", 'from: "1.27"\nmanifest:')))
    stage.lines.append(f"## /var/db/pkg of the release: {' '.join(path.name for path in database.iterdir())}")


@scenario("# A package that was built on a newer FreeBSD than the base, whatever pkg(8) said to it.")
async def package_too_new(stage: BuildStage) -> None:
    stage.says((*stage.pkg, "query", "%n-%v\t%At\t%Av"), "nginx-1.28.0\tFreeBSD_version\t1403000\n")
    await stage.tell("install", stage.built())


@scenario("# A package that is not in the repository.")
async def package_missing(stage: BuildStage) -> None:
    missing = "pkg: No packages available to install matching 'nginx' have been found in the repositories\n"
    said = f"Updating own repository catalogue...\n{missing}"
    stage.says((*stage.pkg, "install", "-r", "own", "nginx", "www/mod_zip"), status=1, stderr=said)
    await stage.tell("install", stage.built())


@scenario("# The new /etc at an upgrade to another base: its tools, in a jail of it, before the cut-over.")
async def etc_after_upgrade(stage: BuildStage) -> None:
    shipped = {name: Entry(kind=Kind.FILE) for name in ("master.passwd", "login.conf", "services")}
    commands = etctools.commands(Family.FREEBSD, shipped, (), rebased=True)
    wanted = {"/", "/etc", "/tmp", "/usr/local", "/usr/local/etc"}
    mounts = tuple(mount for mount in stage.spec().mounts if mount.target in wanted)
    for command in commands:
        stage.says(command)

    async def make() -> None:
        opening = BuildSandbox(stage.runtime).open(
            "0123456789abcdef", BASE, mounts, network=Network(mode=Mode.NONE), log=Path("/dev/null")
        )

        async def hear(_: Output) -> None:
            return

        async with opening as bench, bench.started() as execute:
            for command in commands:
                assert await execute(command, hear) == 0
            stage.file("runs/work_0123456789ab.1/jail.conf")

    await stage.tell("the sandbox", make())


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[BuildStage]:
    stage = BuildStage(tmp_path)
    yield stage
    stage.host.kernel.close()


@pytest.mark.parametrize("name", SCENARIOS)
async def test_what_is_run_is_what_is_written_down(name: str, stage: BuildStage) -> None:
    about, function = SCENARIOS[name]
    await function(stage)
    text, file = stage.text(about), GOLDEN / f"{name}.txt"
    if os.environ.get("JAILD_UPDATE_GOLDEN") == "1":
        file.write_text(text)
    assert file.read_text() == text


def test_nothing_is_written_down_that_is_not_run() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(SCENARIOS)


async def test_the_packages_are_listed_by_name(stage: BuildStage) -> None:
    assert await stage.built() == ("mod_zip-1.3.0", "nginx-1.28.0", "pkg-1.21.3")


async def test_nothing_is_mounted_and_no_jail_is_left_of_a_build(stage: BuildStage) -> None:
    await stage.built()
    assert (stage.host.table.mounts, stage.host.jails) == ([], {})


async def test_nothing_is_mounted_and_no_jail_is_left_of_a_build_that_failed(stage: BuildStage) -> None:
    stage.says(("/usr/local/sbin/nginx", "-t"), status=1)
    with pytest.raises(JaildError):
        await stage.built()
    assert (stage.host.table.mounts, stage.host.jails) == ([], {})
