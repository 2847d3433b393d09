"""docs/quickstart.md and the first commands of README, typed as they stand."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import ZFS
from tests.demo.programs import environment
from tests.e2e import trees
from tests.e2e.linux_ground import LinuxGround
from tests.tars import pack
from tests.transcripts import real
from tests.transcripts.pages import ROOT, said
from tests.zfs_fuse import MEMORY

pytestmark = pytest.mark.real("Linux", "runc", "bsdtar", "busybox", "openssl", "ip", "unshare", ZFS)

HOSTS = ("", "alpha", "beta")  # README has one, the quickstart two


@pytest.fixture
def names() -> Iterator[dict[str, str]]:
    """What is another one here than on the page, so that runs side by side do not meet; as long, for tables' sake.

    The hosts in its folder are gone afterwards.
    """
    port, subnet = 20_000 + 2 * secrets.randbelow(5000), f"198.19.{100 + secrets.randbelow(156)}."  # RFC 2544
    folder = Path(MEMORY if Path(MEMORY).is_dir() else "/tmp") / f"q{secrets.token_hex(2)}"
    found = {"/var/tmp/jaild": str(folder), "18443": str(port), "18444": str(port + 1), "198.51.100.": subnet}
    bridge = f"jq{secrets.token_hex(4)[1:]}"
    yield {**found, "jaild-try": bridge}
    for host in HOSTS:
        LinuxGround(folder / host, bridge, ()).cut_power()
    for left in folder.parent.glob(f"{folder.name}*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()


@pytest.mark.timeout(2 * real.SECONDS)
@pytest.mark.parametrize("page", ["docs/quickstart.md", "README.md"])
def test_a_page_that_is_followed_literally_leads_where_it_says(
    page: str, names: Mapping[str, str], tmp_path: Path
) -> None:
    text = (ROOT / page).read_text()
    wanted = real.steps(text)
    told = real.run(wanted, tmp_path, names, with_programs(tmp_path))
    if os.environ.get("JAILD_UPDATE_DOCS"):
        (ROOT / page).write_text(real.written(text, wanted, told))
        return
    for step, now in zip(wanted, told, strict=True):
        if step.shown is not None and step.everywhere:
            assert said(now) == said(step.shown), step.script
    folder = Path(names["/var/tmp/jaild"])
    assert list(folder.parent.glob(f"{folder.name}*")) == []
    assert [left for host in HOSTS for left in LinuxGround(folder / host, names["jaild-try"], ()).left()] == []


def with_programs(folder: Path) -> Mapping[str, str]:
    """An environment with this checkout's commands, and a debootstrap that makes a tiny userland."""
    programs = folder / "bin"
    programs.mkdir()
    pack(folder / "tiny.tar", *trees.base_items("12"))
    script = '#!/bin/sh\nfor folder; do case $folder in -*|bookworm) ;; *) break ;; esac; done\nmkdir -p "$folder"\n'
    (programs / "debootstrap").write_text(f'{script}tar -C "$folder" -xf {folder}/tiny.tar\n')
    (programs / "debootstrap").chmod(0o755)
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return environment(PATH=path, PYTHONDONTWRITEBYTECODE="1", XDG_CONFIG_HOME=str(folder / "config"), HOME=str(folder))


def test_each_output_belongs_to_the_block_before_it() -> None:
    shown = real.steps("```sh\na\n```\n\n<!-- run -->\n```sh\nb\n```\n\n<!-- output -->\n```text\nc\n```\n")
    assert [(step.script, step.shown) for step in shown] == [("b\n", "c\n")]
