from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import LINUX_HOST
from tests.demo.hosts import CHECKOUT, NAMESPACES, RECORDS, Topology, children_of, stop, sweep, two_hosts
from tests.demo.programs import ProgramError

pytestmark = pytest.mark.real(*LINUX_HOST)

KILLED_RUN = """
import sys
from tests.demo.hosts import two_hosts
with two_hosts(sys.argv[1]) as made:
    made.alpha.start(["sleep", "1000"])
    print(made.name, made.alpha.pid, flush=True)
    sys.stdin.read()
"""

ENDS_WITH_7 = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print(1, flush=True)
signal.pause()
"""


def answers(topology: Topology, address: str) -> bool:
    try:
        topology.client.run(["busybox", "ping", "-c", "1", "-W", "2", address])
    except ProgramError:
        return False
    return True


def test_hosts_reach_each_other_and_see_only_their_own_processes() -> None:
    with two_hosts("jtest") as topology:
        assert answers(topology, topology.alpha.address)
        assert answers(topology, topology.beta.address)
        assert topology.alpha.run(["hostname"]) == "alpha\n"
        assert topology.alpha.run(["cat", "/proc/1/comm"]) != Path("/proc/1/comm").read_text()
        assert len([line for line in topology.alpha.run(["ls", "/proc"]).split() if line.isdigit()]) == 2
        assert topology.alpha.run(["ls", "/sys/fs/cgroup"]) != ""


def test_two_runs_at_once_do_not_meet() -> None:
    with two_hosts("jtest") as first, two_hosts("jtest") as second:
        assert first.name != second.name
        assert answers(first, first.beta.address)
        assert answers(second, second.beta.address)


def test_a_mount_in_one_host_is_seen_by_its_later_programs_and_by_nobody_else(tmp_path: Path) -> None:
    with two_hosts("jtest") as topology:
        topology.alpha.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path])
        topology.alpha.run(["touch", tmp_path / "mine"])
        assert topology.alpha.run(["ls", tmp_path]) == "mine\n"
        assert topology.beta.run(["ls", tmp_path]) == ""
        assert list(tmp_path.iterdir()) == []


def test_stopping_signals_the_program_itself_and_returns_its_status() -> None:
    with two_hosts("jtest") as topology:
        process = topology.alpha.start([sys.executable, "-c", ENDS_WITH_7], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        assert stop(process) == 7
        process.stdout.close()


def test_a_program_left_behind_is_reaped_when_it_ends() -> None:
    with two_hosts("jtest") as topology:
        assert topology.alpha.start(["setsid", "--fork", "sleep", "1000"]).wait(timeout=10) == 0
        (left,) = children_of(topology.alpha.pid)
        os.kill(left, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while Path(f"/proc/{left}").exists() and time.monotonic() < deadline:
            topology.alpha.run(["true"])
        assert children_of(topology.alpha.pid) == []


def test_a_host_that_ends_takes_its_programs_with_it_and_leaves_the_other() -> None:
    with two_hosts("jtest") as topology:
        process = topology.alpha.start(["sleep", "1000"])
        topology.alpha.end()
        assert process.wait(timeout=10) == -signal.SIGKILL
        assert topology.beta.run(["echo", "here"]) == "here\n"


def test_of_a_killed_run_nothing_is_left_after_the_next_sweep() -> None:
    prefix = f"jtest{os.getpid()}"
    run = subprocess.Popen(
        [sys.executable, "-c", KILLED_RUN, prefix],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with run:
        assert run.stdout is not None
        name, process_1 = run.stdout.readline().split()
        host = os.pidfd_open(int(process_1))
        assert sweep(prefix) == []  # a living run is left alone
        run.kill()
    signal_of_end, _, _ = select.select([host], [], [], 30)
    os.close(host)
    assert signal_of_end
    assert sweep(prefix) == [name]
    assert list(NAMESPACES.glob(f"{name}-*")) == []
    assert list(RECORDS.glob(f"{name}*")) == []
