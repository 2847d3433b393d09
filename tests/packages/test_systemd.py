"""Under systemd itself, in clean Debians: jails outlive every stop, restart, crash and upgrade of the daemon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.demo.programs import run
from tests.e2e import trees as archives
from tests.integrations.servers import eventually
from tests.packages import trees
from tests.packages.booted import Machine, booted
from tests.packages.conftest import Built, newer
from tests.packages.trees import Tree

pytestmark = pytest.mark.real("Linux", "debootstrap", "unshare", "mount", "nsenter", "busybox")
EMBEDDED = "/srv/jaild"
# The unit as it is, but for the pool: that of an embedded host, in a file.
DROP_IN = f"""[Service]
ExecStart=
ExecStart=/usr/bin/jaild --config /etc/jaild/embedded.yaml --embedded {EMBEDDED} --pool-size 1G
"""
CONFIG = "socket: /run/jaild/jaild.sock\nnetwork: {bridge: ''}\n"
SPEC = "base: tiny-1\ncommand: [/bin/sleep, '86400']\nnetwork: {mode: none}\nstop: {timeout: 1}\n"


@pytest.fixture(scope="module")
def tree(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A clean Debian with the package, and a newer one beside it."""
    tree = trees.copy_of(trees.clean(built.suite), tmp_path_factory.mktemp(f"booted-{built.suite}"))
    run(["cp", str(built.package), str(tree.place("jaild.deb"))])
    tree.apt("install", "/jaild.deb")
    tree.apt("install", "zfs-fuse", "busybox-static")
    tree.place("etc/systemd/system/zfs-fuse.service").symlink_to("/dev/null")  # the package's own
    newer(built, tree, tmp_path_factory.mktemp("newer"))
    archives.base(tree.place("tiny-1.tgz"))
    for path, text in {
        "etc/systemd/system/jaild.service.d/embedded.conf": DROP_IN,
        "etc/jaild/embedded.yaml": CONFIG,
        "web.yaml": SPEC,
    }.items():
        tree.place(path).write_text(text)
    return tree


@pytest.fixture(scope="module")
def machine(tree: Tree) -> Iterator[Machine]:
    """It, booted, with the daemon started and a jail that runs."""
    with booted(tree) as machine:
        machine.run("systemctl", "enable", "--now", "jaild.service")
        eventually(lambda: answers(machine), "the daemon answers")
        machine.run("systemctl", "enable", "--now", "jaild-jails.service")
        machine.run("jailctl", "base", "import", "tiny-1", "/tiny-1.tgz")
        machine.run("jailctl", "jail", "create", "web", "-f", "/web.yaml")
        yield machine


def jail_of(machine: Machine) -> str:
    """Return the jail's process, by its number."""
    return machine.run("pgrep", "--full", "--exact", "/bin/sleep 86400").strip()


def answers(machine: Machine) -> bool:
    return machine.status("jailctl", "host", "show")[0] == 0


@pytest.mark.parametrize("how", ["restart", "crash", "stop and start", "upgrade"])
def test_the_jail_is_the_same_process_after_it(machine: Machine, how: str) -> None:
    jail, daemon = jail_of(machine), machine.property("jaild", "MainPID")
    if how == "restart":
        machine.run("systemctl", "restart", "jaild")
    elif how == "crash":
        machine.run("kill", "-KILL", daemon)
    elif how == "stop and start":
        machine.run("systemctl", "stop", "jaild")
        assert (machine.property("jaild", "ActiveState"), jail_of(machine)) == ("inactive", jail)
        machine.run("systemctl", "start", "jaild")
    else:
        machine.run(*trees.INSTALL, "/newer.deb")
    eventually(lambda: answers(machine), f"the daemon answers after a {how}")
    assert machine.property("jaild", "MainPID") != daemon
    assert jail_of(machine) == jail
    assert "running" in machine.run("jailctl", "jail", "ls", "--no-headers")
    assert machine.property("jaild-jails", "ActiveState") == "active"


def test_a_reload_is_told_what_came_of_it(machine: Machine) -> None:
    machine.run("sed", "-i", "$ a grants: {ops: {roles: [operator]}}", "/etc/jaild/embedded.yaml")
    machine.run("systemctl", "reload", "jaild")
    assert "grants" in machine.run("jailctl", "events", "--filter", 'kind = "host.reloaded"')
    machine.run("sed", "-i", "$ a nonsense: 1", "/etc/jaild/embedded.yaml")
    assert machine.status("systemctl", "reload", "jaild")[0] != 0
    machine.run("sed", "-i", "$ d", "/etc/jaild/embedded.yaml")


def test_the_log_is_in_the_journal(machine: Machine) -> None:
    assert '"event":"ready"' in machine.run("journalctl", "--unit=jaild", "--output=cat").replace(" ", "")


def test_jails_are_stopped_for_the_hosts_shutdown_and_started_at_boot(machine: Machine) -> None:
    machine.run("systemctl", "stop", "jaild-jails")
    assert machine.status("pgrep", "--full", "--exact", "/bin/sleep 86400")[0] == 1
    machine.run("systemctl", "start", "jaild-jails")
    eventually(lambda: machine.status("pgrep", "--full", "--exact", "/bin/sleep 86400")[0] == 0, "the jail runs again")


def test_what_is_removed_stops_the_jails_and_then_the_daemon_and_purging_leaves_the_pool(machine: Machine) -> None:
    machine.run(*trees.INSTALL[:-1], "remove", "jaild")
    assert machine.status("pgrep", "--full", "--exact", "/bin/sleep 86400")[0] == 1
    assert machine.status("pgrep", "--full", "/usr/bin/jaild")[0] == 1
    assert machine.status("test", "-d", EMBEDDED)[0] == 0
