from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest
import yaml

from jaild.model.layers.records import Manifest
from tests.demo import debian, redis
from tests.demo.cache import Cache, digest_of
from tests.demo.elfclosure import MissingLibraryError, to_bundle

HERE = "http://one.example/debian/"


def test_the_mirror_is_the_full_archive_and_neither_security_nor_updates() -> None:
    lines = [
        "http://s.example/debian-security/|Debian|bookworm-security|main",
        "http://u.example/debian/|Debian|bookworm-updates|main",
        "http://f.example/debian/|Debian|bookworm|non-free",
        f"{HERE}|Debian|bookworm|main",
    ]
    assert debian.choose_mirror(lines) == HERE


def test_an_archive_of_someone_else_is_not_taken_for_debian() -> None:
    with pytest.raises(debian.NoMirrorError):
        debian.choose_mirror(["http://v.example/node/|Vendor|bookworm|main", "not a row"])


def test_before_apt_has_fetched_anything_the_address_tells_the_archive() -> None:
    assert debian.choose_mirror([f"{HERE}||bookworm|main"]) == HERE


def test_a_suite_newer_than_the_machines_debootstrap_uses_the_script_that_all_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "SCRIPTS", tmp_path)
    (tmp_path / "bookworm").touch()
    assert debian.debootstrap_argv("bookworm", tmp_path, HERE)[-1] == HERE
    assert debian.debootstrap_argv("trixie", tmp_path, HERE)[-1] == str(tmp_path / "sid")


def test_debootstrap_always_checks_signatures(tmp_path: Path) -> None:
    argv = debian.debootstrap_argv("trixie", tmp_path, HERE)
    assert any(word.startswith("--keyring=") for word in argv)
    assert "--no-check-gpg" not in argv


def test_stripping_takes_what_links_point_from_and_never_what_they_point_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    tree = tmp_path / "tree"
    for folder in ("dev", "usr/share/doc/pkg", "usr/lib"):
        (tree / folder).mkdir(parents=True)
    (tree / "usr/lib/kept").touch()
    (tree / "dev/shm").symlink_to(outside)
    debian.strip(tree)
    assert sorted(path.name for path in (tree / "dev").iterdir()) == []
    assert list((tree / "usr/share/doc").iterdir()) == []
    assert (outside / "kept").exists()
    assert (tree / "usr/lib/kept").exists()


def test_a_folder_is_built_once_for_the_same_inputs(tmp_path: Path) -> None:
    built = []
    cache = Cache(tmp_path)
    for digest in ("1", "1", "2"):
        folder = cache.folder("thing", digest, lambda part: built.append((part / "x").write_text("x")))
        assert (folder / "x").exists()
    assert len(built) == 2


def test_a_build_that_fails_leaves_nothing_that_could_pass_for_a_result(tmp_path: Path) -> None:
    def fail(part: Path) -> None:
        (part / "half").touch()
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        Cache(tmp_path).folder("thing", "1", fail)
    assert [path.name for path in tmp_path.iterdir()] == [".thing.lock"]


def test_the_rest_of_a_killed_build_is_removed_by_the_next_one(tmp_path: Path) -> None:
    (tmp_path / ".thing.abc.part").mkdir()
    Cache(tmp_path).folder("thing", "1", lambda part: (part / "x").touch())
    assert sorted(path.name for path in tmp_path.iterdir()) == [".thing.lock", "thing-1"]


def test_parallel_users_wait_for_one_build(tmp_path: Path) -> None:
    built, begun, go_on = [], threading.Event(), threading.Event()

    def build(_: Path) -> None:
        built.append(1)
        begun.set()
        go_on.wait(10)

    users = [threading.Thread(target=Cache(tmp_path).folder, args=("thing", "1", build)) for _ in range(3)]
    users[0].start()
    assert begun.wait(10)
    for user in users[1:]:
        user.start()
    go_on.set()
    for user in users:
        user.join(10)
    assert built == [1]


def test_a_digest_tells_apart_where_one_input_ends(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a")
    assert digest_of("a", "b") != digest_of("ab")
    assert digest_of(tmp_path / "f") == digest_of("a")


def test_libraries_of_libraries_are_bundled_and_the_c_library_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = {"server": ("libc.so.6", "liba.so"), "liba.so": ("libb.so", "libc.so.6"), "libb.so": ("liba.so",)}
    monkeypatch.setattr("tests.demo.elfclosure.needed", lambda path: needs[path.name])
    available = {name: Path("/x") / name for name in ("liba.so", "libb.so", "libunused.so")}
    assert sorted(to_bundle([Path("server")], ["libc.so.6"], available)) == ["liba.so", "libb.so"]
    with pytest.raises(MissingLibraryError, match=r"liba\.so needs libb\.so"):
        to_bundle([Path("server")], ["libc.so.6"], {"liba.so": Path("/x/liba.so")})


def test_a_release_is_named_by_its_upstream_version() -> None:
    assert redis.upstream("5:8.0.2-3+deb13u2") == "8.0.2"


def test_every_configuration_syncs_before_it_answers_and_only_the_broken_one_is_elsewhere() -> None:
    for variant in (redis.PLAIN, redis.TUNED, redis.BROKEN):
        lines = redis.configuration(variant).splitlines()
        assert {"appendonly yes", "appendfsync always", "dir /var/lib/redis"} <= set(lines)
        assert (f"port {redis.PORT}" in lines) == (variant is not redis.BROKEN)


def test_the_manifest_as_written_is_the_manifest_as_meant() -> None:
    text = redis.manifest_text(redis.MANIFEST)
    assert msgspec.convert(yaml.safe_load(text), Manifest) == redis.MANIFEST
