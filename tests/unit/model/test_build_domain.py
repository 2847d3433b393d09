"""What a build makes of packages and accounts; what FreeBSD's /etc needs after a merge."""

from __future__ import annotations

import pytest

from jaild.model.etc import buildaccounts
from jaild.model.etc import regenerate as etctools
from jaild.model.etc.tree import Entry, Kind, Tree
from jaild.model.layers import compatibility as compat
from jaild.model.layers import pkgstep
from jaild.model.layers.recipe import Repository
from jaild.model.layers.records import BaseRecord, Built, Family, Group, Manifest, User

BASE = BaseRecord(name="14.1", family=Family.FREEBSD, version="14.1-RELEASE", abi="FreeBSD:14:amd64", osreldate=1401000)
PWD, CAP, SERVICES, CERTS = "pwd_mkdb", "cap_mkdb", "services_mkdb", "certctl"


def etc(**files: str) -> Tree:
    return {name.replace("_", "."): Entry(kind=Kind.FILE, content=text.encode()) for name, text in files.items()}


# -- packages


def test_a_package_of_a_newer_freebsd_is_found_and_one_of_the_bases_own_or_an_older_one_is_not() -> None:
    annotated = (
        "nginx-1.28.0\tFreeBSD_version\t1402000\n"
        "nginx-1.28.0\trepository\town\n"
        "pcre2-10.43\tFreeBSD_version\t1401000\n"
        "zlib-1\tFreeBSD_version\t1400097\n"
    )
    assert pkgstep.too_new(annotated, BASE) == (("nginx-1.28.0", 1402000),)


def test_a_repository_is_trusted_by_what_the_recipe_says_and_nothing_else() -> None:
    key = "-----BEGIN PUBLIC KEY-----\nM\n-----END PUBLIC KEY-----\n"
    signed = pkgstep.files(Repository(url="https://x", public_key=key))
    assert signed["repository.pub"] == key
    assert 'signature_type: "pubkey"' in signed["repository.conf"]
    official = pkgstep.files(Repository(url="https://x", fingerprints="/usr/share/keys/pkg"))
    assert list(official) == ["repository.conf"]
    assert 'signature_type: "fingerprints"' in official["repository.conf"]
    assert 'signature_type: "none"' in pkgstep.files(Repository(url="https://x", unsigned=True))["repository.conf"]


def test_nothing_tells_pkg_to_ignore_the_version_of_the_system() -> None:
    commands = (
        *pkgstep.install(Repository(url="https://x", unsigned=True), BASE, ("nginx",)),
        *pkgstep.bootstrap(),
        *pkgstep.environment(BASE),
    )
    assert not [word for word in commands if "IGNORE_OSVERSION" in word]
    assert "OSVERSION=1401000" in commands


@pytest.mark.parametrize(
    ("osversion", "family", "found"),
    [
        (1401000, Family.FREEBSD, []),
        (1400097, Family.FREEBSD, []),
        (1402000, Family.FREEBSD, ["BASE_TOO_OLD"]),
        (1402000, Family.LINUX, []),
    ],
)
def test_a_release_does_not_run_on_a_base_older_than_the_one_it_was_built_on(
    osversion: int, family: Family, found: list[str]
) -> None:
    base = BaseRecord(name="b", family=family, version="1", abi="a", osreldate=1401000)
    built = Built(base="x", abi="a", osversion=osversion)
    assert [problem.code for problem in compat.check_osversion(built, base)] == found


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (("FreeBSD:14:amd64", "14.3-RELEASE-p5"), ("FreeBSD:14:amd64", "14.3-RELEASE-p4"), ["BASE_OLDER"]),
        (("FreeBSD:14:amd64", "14.3-RELEASE-p9"), ("FreeBSD:14:amd64", "14.3-RELEASE-p10"), []),
        (("FreeBSD:14:amd64", "14.3-RELEASE"), ("FreeBSD:13:amd64", "13.5-RELEASE-p2"), ["BASE_OLDER"]),
        (("debian:13:amd64", "13"), ("debian:12:amd64", "12"), ["BASE_OLDER"]),
        (("debian:12:amd64", "12"), ("debian:12:amd64", "12"), []),
        (("debian:13:amd64", "13"), ("alpine:3:amd64", "3"), []),
        (("arch:rolling:amd64", "rolling"), ("arch:rolling:amd64", "rolling"), []),
    ],
)
def test_a_base_that_is_older_than_the_jails_is_noted(
    before: tuple[str, str], after: tuple[str, str], found: list[str]
) -> None:
    one, other = (
        BaseRecord(name="b", family=Family.LINUX, abi=abi, version=version) for abi, version in (before, after)
    )
    assert [(each.code, each.severity) for each in compat.check_downgrade(one, other)] == [
        (code, "note") for code in found
    ]


# -- accounts


def test_accounts_that_a_build_made_are_added_to_those_of_the_manifest() -> None:
    before = etc(passwd="root:*:0:0::/root:/bin/sh\nwww:*:80:80::/:/x\n", group="wheel:*:0:root\n")
    after = etc(
        passwd="root:*:0:0::/root:/bin/csh\nwww:*:80:80::/srv:/x\nredis:*:535:535:Redis:/var/db/redis:/bin/sh\n"
        "toor:*:0:0::/root:\nodd:line\n",
        group="wheel:*:0:root,me\nredis:*:535:www,me\n",
    )
    told = Manifest(users=(User(name="app", uid=900, gid=900),))
    made = buildaccounts.with_made(told, before, after)
    assert made.users == (
        User(name="app", uid=900, gid=900),
        User(name="redis", uid=535, gid=535, comment="Redis", home="/var/db/redis", shell="/bin/sh"),  # noqa: S604 -- a login shell
    )
    assert made.groups == (Group(name="redis", gid=535, members=("www", "me")),)


def test_what_the_manifest_says_of_an_account_holds() -> None:
    told = Manifest(users=(User(name="redis", uid=535, gid=535, home="/data"),), groups=(Group(name="redis", gid=535),))
    after = etc(passwd="redis:*:535:535:Redis:/var/db/redis:/bin/sh\n", group="redis:*:535:\n")
    assert buildaccounts.with_made(told, {}, after) == told


# -- /etc


def tools(after: Tree, *known: Tree, rebased: bool = False, family: Family = Family.FREEBSD) -> list[str]:
    commands = etctools.commands(family, after, known, rebased=rebased)
    return [command[0].rpartition("/")[2] for command in commands]


SHIPPED = etc(master_passwd="root\n", passwd="root\n", pwd_db="1", spwd_db="1", login_conf="a", login_conf_db="2")


def test_an_etc_as_a_base_shipped_it_needs_nothing() -> None:
    assert tools(SHIPPED, SHIPPED) == []


@pytest.mark.parametrize(
    ("change", "needed"),
    [
        ({"master_passwd": "root\nredis\n"}, [PWD]),
        ({"passwd": "root\nredis\n"}, [PWD]),
        ({"login_conf": "b"}, [CAP]),
        ({"services": "http 80"}, [SERVICES]),
        ({"rc_conf": "x=1"}, []),
    ],
)
def test_what_is_made_of_a_changed_text_is_made_again(change: dict[str, str], needed: list[str]) -> None:
    assert tools({**SHIPPED, **etc(**change)}, SHIPPED) == needed


def test_texts_of_one_side_with_databases_of_the_other_are_made_again() -> None:
    mine = {**SHIPPED, **etc(master_passwd="root\nme\n", passwd="root\nme\n", pwd_db="me", spwd_db="me")}
    assert tools(mine, SHIPPED, mine) == []
    assert tools({**mine, **etc(pwd_db="1", spwd_db="1")}, SHIPPED, mine) == [PWD]


def test_on_another_base_everything_is_made_again_certificates_last() -> None:
    assert tools({**SHIPPED, **etc(services="x")}, SHIPPED, rebased=True) == [PWD, CAP, SERVICES, CERTS]


def test_elsewhere_than_on_freebsd_nothing_is_made() -> None:
    assert tools(etc(master_passwd="x"), rebased=True, family=Family.LINUX) == []
