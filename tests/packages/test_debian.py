"""Debian's package in a clean Debian: lintian, installation, the programs, an upgrade that keeps edits, removal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.packages.conftest import Built, newer
from tests.packages.trees import Tree

pytestmark = pytest.mark.real("Linux", "debootstrap", "unshare", "mount")
EDITED = "/etc/jaild/jaild.yaml"


def test_lintian_finds_no_error(built: Built) -> None:
    inside = "/work-tree/build/deb/" + built.package.name
    status, said = built.tree.status(
        "lintian", "--allow-root", "--fail-on", "error", "--tag-display-limit", "0", inside
    )
    assert status == 0, said
    assert not re.search(r"^E: ", said, re.MULTILINE)


def test_both_are_told_what_they_depend_on_and_only_what_this_debian_has_not_comes_along(built: Built) -> None:
    told = built.tree.run("dpkg-deb", "--field", "/work-tree/build/deb/" + built.package.name, "Depends")
    python = {"bookworm": 11, "trixie": 13}[built.suite]
    assert f"python3 (>= 3.{python})" in told
    assert f"python3 (<< 3.{python + 1})" in told
    assert all(each in told for each in ("runc", "libarchive-tools", "iproute2", "libc6"))


def test_systemd_takes_the_units_as_they_are(installed: Tree) -> None:
    status, said = installed.status("systemd-analyze", "verify", "--man=no", "jaild.service", "jaild-jails.service")
    assert (status, said) == (0, "")
    status, said = installed.status("systemd-analyze", "security", "--offline=true", "--threshold=90", "jaild.service")
    assert status == 0, said  # what is above is UNSAFE


def test_nothing_is_enabled_and_what_one_edits_is_a_conffile(installed: Tree) -> None:
    for unit in ("jaild", "jaild-jails"):
        assert installed.status("systemctl", "is-enabled", unit)[1].strip() == "disabled"
    told = installed.run("dpkg-query", "--show", "--showformat=${Conffiles}", "jaild")
    assert {line.split()[0] for line in told.splitlines() if line.strip()} == {EDITED, "/etc/default/jaild"}
    assert installed.run("stat", "--format=%a", "/etc/jaild/tls").strip() == "700"


def test_the_programs_run_and_the_doctor_finds_what_this_host_lacks(installed: Tree) -> None:
    assert installed.run("jailctl", "--version").startswith("jailctl, version ")
    status, said = installed.status("jaild", "doctor")
    assert status == 1
    assert "Traceback" not in said
    assert "ZFS" in said
    assert "runc" in said
    assert "tank/jaild" in said or "zfs" in said
    status, said = installed.status("jailctl", "host", "show")
    assert (status, "/run/jaild/jaild.sock" in said) == (8, True)


def test_manual_and_completion_are_where_each_looks(installed: Tree) -> None:
    for page in ("man1/jailctl.1", "man5/jaild.yaml.5", "man5/jaild-spec.5", "man8/jaild.8"):
        assert installed.run("zcat", f"/usr/share/man/{page}.gz").startswith(".Dd ")
    complete = installed.run(
        "bash", "-c", ". /usr/share/bash-completion/completions/jailctl; complete -p jailctl; COMP_WORDS='jailctl mi' "
        "COMP_CWORD=1 _JAILCTL_COMPLETE=bash_complete jailctl"
    )  # fmt: skip
    assert "complete" in complete
    assert "plain,migration" in complete
    assert installed.run("cat", "/usr/share/zsh/vendor-completions/_jailctl").startswith("#compdef jailctl")
    assert "complete" in installed.run("cat", "/usr/share/fish/vendor_completions.d/jailctl.fish")


def test_an_upgrade_keeps_what_was_edited_and_a_purge_leaves_nothing(
    built: Built, installed: Tree, tmp_path: Path
) -> None:
    installed.run("sed", "-i", "s,tank/jaild,pool/mine,", EDITED)
    before = installed.run("cat", EDITED)
    newer(built, installed, tmp_path)
    installed.apt("install", "/newer.deb")
    assert installed.run("dpkg-query", "--show", "--showformat=${Version}", "jaild").endswith(".1")
    assert installed.run("cat", EDITED) == before
    assert installed.status("dpkg", "--verify", "jaild")[1].splitlines() == [f"??5?????? c {EDITED}"]
    installed.run("mkdir", "-p", "/var/lib/jaild/spool", "/var/log/jaild")
    installed.apt("remove", "jaild")
    assert installed.run("cat", EDITED) == before
    assert installed.status("test", "-e", "/usr/lib/jaild")[0] == 1
    installed.apt("purge", "jaild")
    for path in ("/etc/jaild", "/etc/default/jaild", "/var/lib/jaild", "/var/log/jaild", "/usr/bin/jaild"):
        assert installed.status("test", "-e", path)[0] == 1, path
    assert "jaild" not in installed.run(
        "sh", "-c", "find / -xdev -name '*jaild*' -not -path '/jaild.deb' -not -path '/proc/*'"
    )
