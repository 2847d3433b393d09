"""The daemon comes and goes, is killed at any moment, or its host loses power: jails go on, nothing half-done stays."""

from __future__ import annotations

import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.longrunning import operations_pb2

from jaild.model.errors import InvalidArgumentError, UnavailableError
from jaild.ports.process import PATH
from jaild.v1 import bases_pb2, host_pb2, jails_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client, refused, until
from tests.e2e.node import CHECKOUT, Node, surroundings
from tests.tars import file

pytestmark = pytest.mark.real(*LINUX_HOST)
RUNNING, STOPPED = jails_pb2.Jail.STATE_RUNNING, jails_pb2.Jail.STATE_STOPPED
# Not sync(1): that does not reach through FUSE, and nothing promises that it does.
ACKNOWLEDGE = "echo acknowledged | dd of=/var/mine conv=fsync 2>/dev/null"
SEED = 20_240_611  # of the moments at which the daemon is killed


@pytest.fixture(scope="module")
def large(workshop: Path) -> Path:
    """A base whose import takes long enough to be hit."""
    ballast = [file(f"srv/{number}", secrets.token_bytes(1 << 18)) for number in range(48)]
    return trees.base(workshop / "large.tgz", "1", None, *ballast)


@pytest.fixture(autouse=True)
def clean_again(node: Node) -> Iterator[None]:
    yield
    for name in node.api.names_of_jails():
        node.api.delete(name)
    for name in set(node.api.names_of_bases()) - {"tiny-1"}:  # of a test that failed: it fails none after it
        delete_base(node.api, name)
    assert node.jail_processes() == []
    assert [name for name in node.traces()["datasets"] if name.startswith("/jails/")] == []


def terminate(node: Node) -> None:
    node.terminate()


def kill(node: Node) -> None:
    node.kill()


@pytest.mark.parametrize("end", [terminate, kill])
def test_jails_go_on_without_the_daemon_and_the_next_one_has_them(
    node: Node, jail: str, end: Callable[[Node], None]
) -> None:
    node.api.sh(jail, "echo kept > /tmp/in-memory")
    before, generation = node.jail_processes(jail), node.api.jail(jail).generation
    end(node)
    assert node.jail_processes(jail) == before
    api = node.start()
    assert node.jail_processes(jail) == before
    found = api.jail(jail)
    assert (found.state, found.generation) == (RUNNING, generation)
    assert api.sh(jail, "cat /tmp/in-memory") == "kept\n"
    assert list(api.info().repairs) == []
    api.deploy(jail, "web/2")
    assert api.sh(jail, "cat /usr/local/version") == "version 2\n"


def test_a_jail_that_ended_without_the_daemon_is_started_by_the_next_one(node: Node, jail: str) -> None:
    api = node.api
    api.sh(jail, "(sleep 1; kill -TERM 1) >/dev/null 2>&1 &")
    node.kill()
    until(lambda: node.jail_processes(jail) == [])
    node.start().wait_for(jail, lambda found: found.state == RUNNING)
    assert node.jail_processes(jail)


def test_a_stopped_jail_stays_stopped_over_a_restart(node: Node, jail: str) -> None:
    node.api.stop(jail)
    node.kill()
    api = node.start()
    assert api.jail(jail).state == STOPPED
    assert node.jail_processes() == []


def test_operations_and_events_survive_a_restart(node: Node, jail: str) -> None:
    done = node.api.deploy(jail, "web/2")
    node.kill()
    api = node.start()
    found = api.call(api.operations.GetOperation, operations_pb2.GetOperationRequest(name=done.name))
    assert found == done


def test_after_a_power_cut_jails_that_should_run_do(node: Node, jail: str) -> None:
    api = node.api
    api.create("edge-2", trees.spec("tiny-1", "web/1", boot="{autostart: false}"))
    api.create("edge-3", trees.spec("tiny-1", "web/1"))
    api.stop("edge-3")
    address = node.addresses[4]
    api.create("edge-4", trees.spec("tiny-1", "web/1", network=f"{{mode: vnet, addresses: [{address}]}}"))
    api.sh(jail, ACKNOWLEDGE)
    node.power_cut()
    assert node.jail_processes() == []
    api = node.start()
    for name in (jail, "edge-4"):
        api.wait_for(name, lambda found: found.state == RUNNING)
    assert api.sh(jail, "cat /var/mine") == "acknowledged\n"
    assert address.partition("/")[0] in api.sh("edge-4", "ip address")
    assert [api.jail(name).state == RUNNING for name in ("edge-2", "edge-3")] == [False, False]
    api.start("edge-2")


def test_a_second_daemon_in_the_same_folder_is_refused(node: Node, jail: str) -> None:
    second = subprocess.run(node.argv(), cwd=CHECKOUT, env=surroundings(), capture_output=True, text=True, check=False)
    assert second.returncode != 0
    assert "ALREADY_RUNNING" in second.stderr
    assert node.api.jail(jail).state == RUNNING


# -- killed in the middle


def killed(node: Node, begin: Callable[[Client], Any], when: Callable[[Client, Any], None]) -> Any:
    """Begin an operation, kill the daemon `when` that returns, start it again; return the operation as it then is."""
    operation = begin(node.api)
    when(node.api, operation)
    node.kill()
    api = node.start()
    found = api.call(api.operations.GetOperation, operations_pb2.GetOperationRequest(name=operation.name))
    assert found.done
    if found.HasField("error"):
        with refused(UnavailableError, "DAEMON_STOPPED"):
            api.done(found)
    return found


def in_phase(phase: str) -> Callable[[Client, Any], None]:
    def when(api: Client, operation: Any) -> None:
        api.until_phase(operation, phase)

    return when


def after(seconds: float) -> Callable[[Client, Any], None]:
    def when(api: Client, operation: Any) -> None:
        del api, operation
        time.sleep(seconds)  # the moment is what is tested

    return when


def moments(count: int, within: float, salt: str) -> list[float]:
    chance = random.Random(f"{SEED}{salt}")  # noqa: S311
    return sorted(round(chance.uniform(0, within), 3) for _ in range(count))


def named(when: Any) -> str:
    return str(when)


@pytest.mark.sampled
@pytest.mark.parametrize("when", ["check", "unpack", "seal", *moments(1, 0.6, "import")], ids=named)
def test_of_an_import_that_was_killed_nothing_or_all_is_there(node: Node, large: Path, when: str | float) -> None:
    before = node.traces()
    moment = in_phase(when) if isinstance(when, str) else after(when)
    found = killed(node, lambda api: api.import_begin("large", large), moment)
    if found.HasField("error"):
        assert node.traces() == before
        assert node.api.names_of_bases() == ["tiny-1"]
        node.api.import_base("large", large)
    delete_base(node.api, "large")
    assert node.traces() == before


def test_of_an_import_that_was_killed_once_it_was_sealed_all_is_there_and_it_is_done(node: Node, large: Path) -> None:
    def sealed(api: Client, operation: Any) -> None:
        del api, operation
        until(lambda: "/bases/large@sealed" in node.datasets())

    found = killed(node, lambda api: api.import_begin("large", large), sealed)
    assert not found.HasField("error")
    assert node.api.names_of_bases() == ["large", "tiny-1"]
    delete_base(node.api, "large")


@pytest.mark.sampled
@pytest.mark.parametrize(
    "when", ["plan", "stage", "start", "health-check", "commit", *moments(2, 0.5, "create")], ids=named
)
def test_a_create_that_was_killed_is_undone_or_done(node: Node, when: str | float) -> None:
    before = node.traces()
    moment = in_phase(when) if isinstance(when, str) else after(when)
    killed(node, lambda api: api.create_begin("edge-1", trees.spec("tiny-1", "web/1")), moment)
    if "edge-1" not in node.api.names_of_jails():
        assert node.traces() == before
        assert node.jail_processes() == []
        node.api.create("edge-1", trees.spec("tiny-1", "web/1"))
    assert node.api.wait_for("edge-1", lambda found: found.state == RUNNING).generation == 1
    runs_exactly(node, "edge-1", "version 1")


@pytest.mark.sampled
@pytest.mark.parametrize(
    "when", ["plan", "stage", "cutover", "health-check", "commit", *moments(3, 0.8, "deploy")], ids=named
)
def test_after_a_deploy_that_was_killed_one_generation_runs(node: Node, jail: str, when: str | float) -> None:
    node.api.sh(jail, f"{ACKNOWLEDGE}; echo own > /etc/own")
    moment = in_phase(when) if isinstance(when, str) else after(when)
    killed(node, lambda api: api.deploy_begin(jail, "web/2"), moment)
    found = node.api.wait_for(jail, lambda found: found.state == RUNNING)
    runs_exactly(node, jail, f"version {found.generation}")
    assert node.api.sh(jail, "cat /var/mine /etc/own") == "acknowledged\nown\n"
    node.api.deploy(jail, "web/2")
    assert node.api.sh(jail, "cat /usr/local/version /etc/own") == "version 2\nown\n"


@pytest.mark.sampled
@pytest.mark.parametrize("when", ["commit", *moments(1, 0.3, "delete")], ids=named)
def test_a_delete_that_was_killed_is_finished_or_not_begun(node: Node, jail: str, when: str | float) -> None:
    moment = in_phase(when) if isinstance(when, str) else after(when)
    request = jails_pb2.DeleteJailRequest(name=f"jails/{jail}", force=True)
    killed(node, lambda api: api.call(api.jails.DeleteJail, request), moment)
    if jail in node.api.names_of_jails():
        node.api.wait_for(jail, lambda found: found.state == RUNNING)
        runs_exactly(node, jail, "version 1")


def test_a_deploy_of_a_sick_release_that_was_killed_in_its_health_checks_is_back_on_the_old_one(
    node: Node, jail: str
) -> None:
    killed(node, lambda api: api.deploy_begin(jail, "web/sick"), in_phase("health-check"))
    assert node.api.wait_for(jail, lambda found: found.state == RUNNING).generation == 1
    runs_exactly(node, jail, "version 1")


@pytest.mark.sampled
@pytest.mark.parametrize("phase", ["cutover", "commit"])
def test_a_power_cut_in_a_deploy_leaves_one_generation_that_starts(node: Node, jail: str, phase: str) -> None:
    node.api.sh(jail, ACKNOWLEDGE)
    operation = node.api.deploy_begin(jail, "web/2")
    node.api.until_phase(operation, phase)
    node.power_cut()
    found = node.start().wait_for(jail, lambda found: found.state == RUNNING)
    runs_exactly(node, jail, f"version {found.generation}")
    assert node.api.sh(jail, "cat /var/mine") == "acknowledged\n"


def test_a_daemon_told_to_end_in_a_deploy_ends_it_well(node: Node, jail: str) -> None:
    operation = node.api.deploy_begin(jail, "web/2")
    node.api.until_phase(operation, "cutover")
    node.terminate()
    api = node.start()
    found = api.call(api.operations.GetOperation, operations_pb2.GetOperationRequest(name=operation.name))
    assert found.done
    generation = api.wait_for(jail, lambda found: found.state == RUNNING).generation
    assert (generation == 2) == (not found.HasField("error"))
    runs_exactly(node, jail, f"version {generation}")


def test_what_a_command_does_after_its_daemon_was_killed_is_done_before_the_next_one_looks(
    node: Node, large: Path
) -> None:
    before, said = node.traces(), len(node.log())
    with stopping(node, "*create*/bases/large*") as caught, ThreadPoolExecutor(1) as beside:
        operation = node.api.import_begin("large", large)
        until(caught.exists)
        command = int(caught.read_text())
        until(lambda: state(command) == "T")
        try:
            node.kill()
            next_one = beside.submit(node.start)
            until(lambda: "waits for commands" in node.log()[said:])
            assert re.search(rf"\b{command} .*zfs create ", node.log()[said:])
        finally:
            os.kill(command, signal.SIGCONT)
        api = next_one.result(30.0)
    with refused(UnavailableError, "DAEMON_STOPPED"):
        api.done(operation)
    assert node.traces() == before
    api.import_base("large", large)
    delete_base(api, "large")
    assert node.traces() == before


def state(pid: int) -> str:
    """A process's state as proc_pid_stat(5) has it: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@contextmanager
def stopping(node: Node, words: str) -> Iterator[Path]:
    """Let each `zfs` whose words match a pattern of the shell stop itself before it begins; yields where its pid is.

    In the node's own mount namespace a script lies over the program, which goes on as the real one when it is let go.
    """
    caught, real, script = (node.folder / name for name in ("caught", "zfs.real", "zfs.stopping"))
    program = shutil.which("zfs", path=PATH)
    assert program is not None
    shutil.copy2(program, real)
    test = f'if [[ "$*" == {words} ]]; then echo $$ >{caught}.new; mv {caught}.new {caught}; kill -STOP $$; fi'
    script.write_text(f'#!/bin/bash\n{test}\nexec -a zfs {real} "$@"\n')
    script.chmod(0o755)
    node.run("mount", "--bind", str(script), program)
    try:
        yield caught
    finally:
        node.run("umount", program)


def test_a_daemon_told_to_end_in_an_import_leaves_nothing_of_it(node: Node, large: Path) -> None:
    before = node.traces()
    operation = node.api.import_begin("large", large)
    node.api.until_phase(operation, "unpack")
    node.terminate()
    api = node.start()
    with refused(UnavailableError, "DAEMON_STOPPED"):
        api.done(operation)
    assert node.traces() == before
    assert list(api.info().repairs) == []


def test_a_configuration_is_read_again_whole_or_not_at_all(node: Node) -> None:
    path = node.folder / "jaild.yaml"
    before, written = path.read_text(), len(node.log())

    def hang_up(text: str, told: str) -> None:
        path.write_text(text)
        os.kill(node.pid, signal.SIGHUP)
        until(lambda: told in node.log()[written:])

    more = "grants: {ops: {roles: [operator]}}\nboot_starts: 3\n"
    hang_up(f"{before}grants: {{ops: {{roles: [king]}}}}\nboot_starts: 3\n", "configuration refused, the old one stays")
    hang_up(before + more, "configuration reloaded")
    asked = host_pb2.ReloadConfigurationRequest()
    done = node.api.call(node.api.host.ReloadConfiguration, asked)
    assert (list(done.applied), list(done.needs_restart)) == ([], ["boot_starts"])
    path.write_text("nonsense: 1\n")
    with refused(InvalidArgumentError, "INVALID_CONFIG"):
        node.api.call(node.api.host.ReloadConfiguration, asked)
    path.write_text(before)
    done = node.api.call(node.api.host.ReloadConfiguration, asked)
    assert (list(done.applied), list(done.needs_restart)) == (["grants.ops"], [])


def runs_exactly(node: Node, jail: str, version: str) -> None:
    """One generation runs, it is the active one, and no other one has a run, a tree or a mark."""
    generation = node.api.jail(jail).generation
    assert node.api.sh(jail, "cat /usr/local/version") == f"{version}\n"
    until(lambda: node.traces()["run/runs"] == [f"{jail}.{generation}"])  # the old one is tidied after the commit
    tree = str(node.folder / "run/trees" / jail / str(generation))
    assert [path for path in node.tree_mounts() if not path.startswith(tree)] == []
    assert list(node.seen(f"jails/{jail}").glob("generations/*/staged")) == []


def delete_base(api: Client, name: str) -> None:
    api.done(api.call(api.bases.DeleteBase, bases_pb2.DeleteBaseRequest(name=f"bases/{name}")))
