"""Jails of pot and ezjail, whose trees are laid out in other ways; a thick one that was upgraded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jaild.model.foreign.jail import Tool
from jaild.model.foreign.wish import Wish
from jaild.model.layers.records import Family
from tests.fakes.host import FakeHost
from tests.hosts import foreign
from tests.hosts.asking import active, reason_of
from tests.unit.adoption.test_adoption import WISH, adopt, jail_folder, plan, problem_codes


def parts(of: str) -> dict[str, str | bytes]:
    """Return what the jail has below one folder, without it."""
    own = foreign.own()
    return {path.removeprefix(f"{of}/"): content for path, content in own.items() if path.startswith(f"{of}/")}


async def test_a_pot_of_type_multi_is_put_together_of_its_datasets(host: FakeHost, tmp_path: Path) -> None:
    root = tmp_path / "pot"
    await foreign.known(host, {"/opt/pot": root})
    jail = root / "jails/web"
    conf = "pot.level=1\npot.type=multi\npot.base=12\npot.cmd=/usr/local/bin/shop\nnetwork_type=inherit\n"
    foreign.write(jail / "conf", {"pot.conf": conf, "fscomp.conf": ""})
    foreign.write(root / "bases/12", foreign.userland())
    for folder, of in (("etc", "etc"), ("var", "var"), ("root", "root"), ("usr.home", "home")):
        foreign.write(jail / "custom" / folder, parts(of))
    foreign.write(jail / "custom/usr.local.etc", parts("usr/local/etc"))
    foreign.write(jail / "custom", {"usr.other/file": "x"})
    foreign.write(jail / "usr.local", {"bin/shop": "#!/bin/sh\n"})
    (jail / "usr.local/etc").symlink_to("../../opt/custom/usr.local.etc")
    wish = Wish(tool=Tool.POT, name="web", jail="web", base="deb-1")
    told = [problem for problem in (await plan(host, wish)).problems if problem.code == "FILES_NOT_ADOPTED"]
    assert [problem.evidence for problem in told] == [("/usr.other",)]
    assert reason_of(await adopt(host, wish)) == ""
    data = foreign.picture(jail_folder(host) / "data")
    assert (data["var/db/shop"], data["home/ann/letter"]) == (b"old\n", b"dear\n")
    release = foreign.picture(host.core.inventory.release("web/adopted-1").tree)
    assert release == {"bin/shop": b"#!/bin/sh\n", "etc/shop.ini": b"colour=blue\n"}
    assert (jail_folder(host) / "generations/1/etc/shop.conf").exists()
    assert active(host).spec.command == ("/usr/local/bin/shop",)


async def test_a_jail_of_ezjail_has_its_own_tree_only(host: FakeHost, tmp_path: Path) -> None:
    etc, jails = tmp_path / "ezjail", tmp_path / "jails"
    await foreign.known(host, {"/usr/local/etc/ezjail": etc, "/usr/jails": jails})
    foreign.write(
        etc, {"web": 'export jail_web_rootdir="/usr/jails/web"\nexport jail_web_exec_start="/usr/local/bin/shop"\n'}
    )
    foreign.write(jails / "web", foreign.userland() | foreign.own())
    assert reason_of(await adopt(host, Wish(tool=Tool.EZJAIL, name="web", jail="web", base="deb-1"))) == ""
    assert foreign.picture(jail_folder(host) / "data")["var/db/shop"] == b"old\n"


async def test_a_thick_jail_is_taken_for_what_it_is_by_now(host: FakeHost) -> None:
    await foreign.iocage(host)
    root = await foreign.root_of(host)
    foreign.write(root, {"etc/os-release": 'ID=debian\nVERSION_ID="13"\n', "lib/new": "of 13"})
    found = await plan(host, replace(WISH, base=""))
    assert {"NO_BASE_FOR_RELEASE"} <= problem_codes(found)
    other = await plan(host)  # on 12, which it was made of: what it changed since is told
    assert "OTHER_BASE" in problem_codes(other)
    told = [problem.evidence for problem in other.problems if problem.code == "FILES_NOT_ADOPTED"]
    assert any("/lib" in evidence for evidence in told)


async def test_on_freebsd_the_package_database_is_the_releases(host: FakeHost) -> None:
    host.runtime.host_facts = replace(host.runtime.host_facts, family=Family.FREEBSD, osreldate=1401000)
    await host.add_base("14.1", {"etc/motd": "welcome to deb-1\n"}, family=Family.FREEBSD)
    await foreign.iocage(host)
    foreign.write(await foreign.root_of(host), {"var/db/pkg/local.sqlite": "packages"})
    assert reason_of(await adopt(host, replace(WISH, base="14.1"))) == ""
    release = host.core.inventory.release("web/adopted-1").tree
    assert (release / "var/db/pkg/local.sqlite").read_text() == "packages"


async def test_a_jail_without_a_package_database_is_adopted_as_well(host: FakeHost) -> None:
    host.runtime.host_facts = replace(host.runtime.host_facts, family=Family.FREEBSD, osreldate=1401000)
    await host.add_base("14.1", {"etc/motd": "welcome to deb-1\n"}, family=Family.FREEBSD)
    await foreign.iocage(host)
    assert reason_of(await adopt(host, replace(WISH, base="14.1"))) == ""
