"""What the OCI runtime asks and reads must not grow with the number of runs, or only by each run's own."""

from __future__ import annotations

import os
import resource
from collections import Counter
from pathlib import Path

import pytest

from jaild.adapters.oci import mount_syscalls, mounts
from jaild.adapters.oci.network import HostNetwork
from jaild.adapters.oci.records import Record, Records
from jaild.adapters.oci.runtime import OciRuntime
from jaild.adapters.runtime import first_process
from tests.contract.runtime_contract import run_spec
from tests.fakes.processes import Argv, Said, ScriptedProcesses

NETWORK = HostNetwork(bridge="", address="", uplink="", shared="")


def recorded(folder: Path, jail: str, *, running: bool = True) -> None:
    """Write the record of a run whose first process is this one, or one that is gone."""
    spec = run_spec(jail=jail)
    lives = first_process.identify(os.getpid())
    assert lives is not None
    process = lives if running else first_process.FirstProcess(pid=lives.pid, ticks=1, boot=lives.boot)
    Records(folder / "runs").write(Record(spec=spec, process=process, started=1.0))


async def answer(argv: Argv, _: bytes) -> Said:
    return Said("runc version 1.1.5" if argv[1] == "--version" else "null")


async def test_all_runs_are_found_by_as_many_programs_as_one(tmp_path: Path) -> None:
    (tmp_path / "containers").mkdir()
    counts = []
    for number in range(6):
        recorded(tmp_path, f"j{number}", running=number != 2)
        processes = ScriptedProcesses(answer)
        found = await OciRuntime(processes, tmp_path, network=NETWORK, cgroup_parent="j").runs()
        counts.append(Counter(call.argv[0] for call in processes.calls))
    assert [(run.jail, run.running) for run in found] == [(f"j{number}", number != 2) for number in range(6)]
    assert counts[0] == counts[-1]
    ended = Records(tmp_path / "runs").read("j2.1")
    assert ended is not None
    assert ended.ended


def test_a_jails_addresses_are_looked_for_in_its_own_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for jail in ("web", "web.2", "other"):
        recorded(tmp_path, jail)
    records, reads, read = Records(tmp_path / "runs"), list[str](), Records.read

    def counted(self: Records, name: str) -> Record | None:
        reads.append(name)
        return read(self, name)

    monkeypatch.setattr(Records, "read", counted)
    assert records.held("web") == frozenset()
    assert reads == ["web.1"]
    assert records.names() == ["other.1", "web.1", "web.2.1"]


async def test_the_mount_table_of_the_host_is_read_only_where_something_may_be_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, reads = tmp_path.resolve() / "trees/web/1", list[str]()
    mounted = [f"60 27 0:4 / {tree} ro - tmpfs t rw\n", f"61 60 0:5 / {tree}/etc ro - tmpfs t rw\n"]

    def table() -> str:
        reads.append("")
        return "".join(mounted)

    def unmounted(folder: int, name: str) -> None:
        assert str(Path(f"/proc/self/fd/{folder}").readlink() / name) == mounted.pop().split()[4]

    monkeypatch.setattr(mounts, "mountinfo", table)
    monkeypatch.setattr(mount_syscalls, "unmount", unmounted)
    runtime = OciRuntime(ScriptedProcesses(answer), tmp_path, network=NETWORK, cgroup_parent="j")
    await runtime.remove("web", 2)  # which never was
    assert (mounts.mounted(tree), reads) == ([], [])
    for _ in range(2):
        await runtime.examine(run_spec(), "jails/web")
    assert len(reads) == 1  # for the control groups
    tree.mkdir(parents=True)
    await runtime.remove("web", 1)
    assert (mounted, len(reads)) == ([], 3)  # before, and after


THOUSAND_MILLION = 1 << 30  # as containers have it
NONE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1024, 4096), (4096, 4096)),
        ((1024, THOUSAND_MILLION), (65_536, THOUSAND_MILLION)),  # programs get it too, and some close all up to it
        ((1024, NONE), (65_536, NONE)),
        ((100_000, THOUSAND_MILLION), (100_000, THOUSAND_MILLION)),  # what somebody wanted
        ((NONE, NONE), (NONE, NONE)),
    ],
)
def test_a_daemon_may_wait_for_more_first_processes_than_a_shell_has_files_open(
    before: tuple[int, int], after: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {resource.RLIMIT_NOFILE: before}
    monkeypatch.setattr(resource, "getrlimit", limits.__getitem__)
    monkeypatch.setattr(resource, "setrlimit", limits.__setitem__)
    first_process.make_room()
    assert limits == {resource.RLIMIT_NOFILE: after}
