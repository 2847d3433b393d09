from __future__ import annotations

import pytest

from jaild.model.errors import InvalidArgumentError
from jaild.model.jails.mounts import Layers, Mount, MountKind, tree_of
from jaild.model.layers.records import Family


def drawn(mounts: tuple[Mount, ...]) -> list[str]:
    return [
        f"{m.target} {m.folder or m.kind}{' ro' if m.readonly else ''}{f' {m.size}' * bool(m.size)}" for m in mounts
    ]


def test_a_freebsd_jail_is_base_release_data_configuration_and_the_releases_package_database() -> None:
    layers = Layers(
        family=Family.FREEBSD,
        base="/p/bases/14.3",
        release="/p/apps/web/1/root",
        packages="/p/apps/web/1/root",
        generation="/p/jails/web/generations/7",
        data="/p/jails/web/data",
        volumes={"/var/cache": "/p/jails/web/cache", "/var/cache/hot": "/p/jails/web/hot"},
    )
    assert drawn(tree_of(layers)) == [
        "/ /p/bases/14.3 ro",
        "/var /p/jails/web/data/var",
        "/root /p/jails/web/data/root",
        "/home /p/jails/web/data/home",
        "/etc /p/jails/web/generations/7/etc",
        "/tmp tmpfs",
        "/usr/local /p/apps/web/1/root ro",
        "/var/cache /p/jails/web/cache",
        "/usr/local/etc /p/jails/web/generations/7/usr-local-etc",
        "/var/db/pkg /p/apps/web/1/root/var/db/pkg ro",
        "/var/cache/hot /p/jails/web/hot",
    ]


def test_a_linux_jail_shows_the_bases_package_database_over_the_data() -> None:
    layers = Layers(
        family=Family.LINUX,
        base="/b",
        packages="/b",
        release="/r",
        mount_point="/opt/redis",
        release_has_etc=False,
        generation="/g",
        data="/d",
        tmpfs={"/tmp": 1024, "/run": 0},
    )
    assert drawn(tree_of(layers)) == [
        "/ /b ro",
        "/var /d/var",
        "/root /d/root",
        "/home /d/home",
        "/etc /g/etc",
        "/tmp tmpfs 1024",
        "/run tmpfs",
        "/opt/redis /r ro",
        "/var/lib/dpkg /b/var/lib/dpkg ro",
    ]


def test_a_jail_of_the_base_alone_has_neither_release_nor_its_configuration() -> None:
    layers = Layers(family=Family.FREEBSD, base="/b", generation="/g", data="/d")
    assert [m.target for m in tree_of(layers)] == ["/", "/var", "/root", "/home", "/etc", "/tmp"]


def test_only_data_configuration_volumes_and_tmpfs_can_be_written() -> None:
    layers = Layers(
        family=Family.FREEBSD,
        base="/b",
        release="/r",
        packages="/k",
        generation="/g",
        data="/d",
        volumes={"/srv": "/v"},
    )
    assert {m.target for m in tree_of(layers) if m.readonly} == {"/", "/usr/local", "/var/db/pkg"}
    assert {m.kind for m in tree_of(layers) if m.target == "/tmp"} == {MountKind.TMPFS}


@pytest.mark.parametrize("more", [{"volumes": {"/var/": "/v"}}, {"mount_point": "/etc"}, {"volumes": {"/tmp": "/v"}}])
def test_two_layers_at_one_place_are_refused(more: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        tree_of(Layers(family=Family.LINUX, base="/b", release="/r", generation="/g", data="/d", **more))  # type: ignore[arg-type]
    assert caught.value.reason == "DUPLICATE_MOUNT"
