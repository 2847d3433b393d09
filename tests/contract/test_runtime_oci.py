"""The OCI runtime keeps the contract with real containers, and what only a real host can show."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from jaild.adapters.oci import cgroup as oci_cgroup
from jaild.adapters.oci import mounts
from jaild.model.errors import FailedPreconditionError, JaildError, ResourceExhaustedError
from jaild.model.jails.mounts import Mount, MountKind
from jaild.model.jails.spec import Limits, Mode, Network
from jaild.ports.runtime import RunSpec
from tests.conftest import LINUX_HOST
from tests.contract.oci_rig import FOLDERS, PROCESSES, OciRig, hosted, hosts_of, leftovers, log_has, started
from tests.contract.runtime_contract import RuntimeContract, only, output_of
from tests.contract.terminal_contract import TerminalContract

pytestmark = pytest.mark.real(*LINUX_HOST)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[OciRig]:
    async with hosted(tmp_path) as rig:
        yield rig


@pytest.fixture
def data(rig: OciRig) -> Path:
    return rig.data


class TestOciRuntime(RuntimeContract, TerminalContract):
    """The fixtures of this module."""


async def test_facts_name_the_runtime_and_the_kernel(rig: OciRig) -> None:
    facts = await rig.runtime.facts()
    assert facts.runtime.startswith(("runc 1.", "crun 1."))
    assert facts.kernel == os.uname().release
    assert facts.memory > 1 << 27
    assert facts.osreldate == 0


async def test_the_root_and_the_release_are_read_only_and_the_data_is_not(rig: OciRig) -> None:
    runtime = await started(rig, rig.spec())
    for sealed in ("/new", "/usr/local/new", "/etc/passwd", "/proc/sys/kernel/hostname"):
        status, _, stderr = await output_of(runtime, rig.spec(), "sh", "-c", f"echo x >> {sealed}")
        assert status != 0, sealed
        assert b"Read-only file system" in stderr, sealed
    assert (await output_of(runtime, rig.spec(), "sh", "-c", "echo 1 > /var/new && echo 1 > /tmp/new"))[0] == 0
    assert (rig.data / "new").read_text() == "1\n"
    assert hosts_of(rig.base) == sorted({name.split("/")[0] for name in FOLDERS})


def _with_run(rig: OciRig) -> RunSpec:
    """A base with folders of all kinds below /run, and a volume there."""
    for path in ("app/store", "app/inner", "postgresql"):
        (rig.base / "run" / path).mkdir(parents=True)
    os.chown(rig.base / "run/postgresql", 80, 81)
    (rig.base / "run/postgresql").chmod(0o2775)
    (rig.base / "run/app").chmod(0o700)
    (rig.base / "run/of-the-base").write_text("no folder")
    (rig.base / "run/app/store/beneath").mkdir()
    (rig.folder / "store").mkdir()
    (rig.folder / "store/kept").write_text("kept\n")
    volume = Mount(kind=MountKind.LAYER, source=str(rig.folder / "store"), target="/run/app/store")
    return replace(rig.spec(), mounts=(*rig.layers(), volume))


async def test_run_is_a_tmpfs_with_the_folders_of_the_base_at_each_start(rig: OciRig) -> None:
    runtime, spec = await started(rig, run := _with_run(rig)), run
    look = "cd /run; for f in . lock app app/inner postgresql; do stat -c '%n %a %u:%g' $f; done; ls -A . app/store"
    for _ in range(2):
        status, stdout, stderr = await output_of(runtime, spec, "sh", "-c", look)
        assert (status, stderr) == (0, b"")
        assert stdout.decode().split("\n")[:-1] == [
            ". 755 0:0",
            "lock 1777 0:0",
            "app 700 0:0",
            "app/inner 755 0:0",
            "postgresql 2775 80:81",
            ".:",
            *("app", "lock", "postgresql"),
            "",
            "app/store:",
            "kept",
        ]
        assert (await output_of(runtime, spec, "sh", "-c", "echo 1 > /run/old.pid; echo 1 > /run/lock/old"))[0] == 0
        await runtime.stop("web", 1)
        await runtime.start("web", 1)
    assert hosts_of(rig.base / "run") == ["app", "of-the-base", "postgresql"]


async def test_a_user_who_is_not_root_may_lock_and_write_no_more_of_run(rig: OciRig) -> None:
    runtime = await started(rig, spec := replace(_with_run(rig), user="www"))
    assert (await output_of(runtime, spec, "sh", "-c", "touch /run/lock/mine /run/postgresql/mine"))[0] == 0
    assert (await output_of(runtime, spec, "sh", "-c", "touch /run/mine"))[0] != 0


async def test_a_jail_cannot_remount_its_root_writable(rig: OciRig) -> None:
    runtime = await started(rig, rig.spec())
    assert (await output_of(runtime, rig.spec(), "mount", "-o", "remount,rw", "/"))[0] != 0


async def test_a_process_that_ignores_its_stop_signal_is_killed_after_the_timeout(rig: OciRig) -> None:
    deaf = ("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    runtime = await started(rig, replace(rig.spec(), command=deaf, stop_timeout=0.3))
    await log_has(rig.log, "ready")
    assert 0.3 <= await runtime.stop("web", 1) < 3
    assert (await only(runtime)).exit_status == -9


async def test_a_process_without_a_handler_is_not_waited_for(rig: OciRig) -> None:
    runtime = await started(rig, replace(rig.spec(), command=("sleep", "1000"), stop_timeout=60.0))
    assert await runtime.stop("web", 1) < 5


async def test_a_process_that_heeds_its_stop_signal_ends_by_itself(rig: OciRig) -> None:
    polite = ("sh", "-c", "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    runtime = await started(rig, replace(rig.spec(), command=polite))
    await log_has(rig.log, "ready")
    assert await runtime.stop("web", 1) < 5
    assert (await only(runtime)).exit_status == 7
    assert rig.log.read_text() == "ready\nbye\n"


async def test_the_log_is_appended_to_by_every_start(rig: OciRig) -> None:
    rig.log.write_text("before\n")
    runtime = await started(rig, replace(rig.spec(), command=("sh", "-c", "echo out; echo err >&2")))
    await runtime.wait("web", 1)
    await runtime.start("web", 1)
    assert (await runtime.wait("web", 1)).exit_status == 0
    assert rig.log.read_text() == "before\n" + "out\nerr\n" * 2


async def test_the_command_runs_as_its_user_with_its_environment(rig: OciRig) -> None:
    command = ("sh", "-c", "id -u; id -G; echo $COLOUR $HOME")
    runtime = await started(rig, replace(rig.spec(), user="www", command=command))
    await runtime.wait("web", 1)
    assert rig.log.read_text() == "80\n81 82\nblue /srv\n"


async def test_exec_runs_as_the_user_that_is_asked_for(rig: OciRig) -> None:
    runtime = await started(rig, rig.spec())
    pieces = [p async for p in runtime.exec("web", 1, ("id", "-u"), user="www", environment={"A": "1"})]
    assert b"".join(p.stdout for p in pieces) == b"80\n"
    with pytest.raises(FailedPreconditionError) as refused:
        await anext(aiter(runtime.exec("web", 1, ("id",), user="nobody-here")))
    assert refused.value.reason == "USER_MISSING"


def readable_by_others(folder: Path, secret: bytes) -> list[str]:
    """Return the files below a folder that hold something and that users other than root can open."""
    found = []
    for path in [p for p in folder.rglob("*") if p.is_file() and "trees" not in p.parts]:
        closed = any(not above.stat().st_mode & 0o001 for above in path.parents if above.is_relative_to(folder))
        if not (closed and not path.stat().st_mode & 0o077) and secret in path.read_bytes():
            found.append(str(path))
    return found


async def test_an_environment_is_in_no_list_of_processes_and_in_no_file_that_others_can_read(rig: OciRig) -> None:
    secret = b"s3cret-of-the-jail"
    runtime = await started(rig, replace(rig.spec(), environment={"PASSWORD": secret.decode()}))
    stream = runtime.exec("web", 1, ("sh", "-c", "echo $PASSWORD $T; exec sleep 4711"), environment={"T": "t0k"})
    async with aclosing(stream):
        assert (await anext(aiter(stream))).stdout == secret + b" t0k\n"
        lines = []
        for process in Path("/proc").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                lines.append((process / "cmdline").read_bytes() if process.name.isdigit() else b"")
        assert [line for line in lines if secret in line or b"t0k" in line] == []
        for said in (secret, b"T=t0k"):
            assert readable_by_others(rig.run_folder, said) == []
    written = [p for p in rig.run_folder.rglob("*.json") if secret in p.read_bytes()]
    assert {path.name for path in written} >= {"run.json", "config.json"}  # or this test would see nothing


async def test_closing_an_exec_kills_its_command(rig: OciRig) -> None:
    runtime = await started(rig, rig.spec())
    stream = runtime.exec("web", 1, ("sh", "-c", "echo $$; exec sleep 4711"))
    first = await anext(aiter(stream))
    assert await output_of(runtime, rig.spec(), "sh", "-c", f"kill -0 {first.stdout.decode()}") == (0, b"", b"")
    await stream.aclose()
    status, _, _ = await output_of(runtime, rig.spec(), "sh", "-c", f"kill -0 {first.stdout.decode()}")
    assert status != 0


async def test_a_command_that_cannot_be_executed_leaves_nothing(rig: OciRig) -> None:
    with pytest.raises(JaildError):
        await rig.runtime.create(replace(rig.spec(), command=("/no/such/program",)))
    assert leftovers(rig) == {}


async def test_a_program_of_no_known_format_fails_the_start(rig: OciRig) -> None:
    (rig.base / "bin/broken").write_bytes(b"\x7fELF nonsense")
    (rig.base / "bin/broken").chmod(0o755)
    await rig.runtime.create(replace(rig.spec(), command=("/bin/broken",)))
    with pytest.raises(JaildError) as failed:
        await rig.runtime.start("web", 1)
    assert failed.value.reason == "COMMAND_FAILED"
    assert not (await only(rig.runtime)).running
    await rig.runtime.remove("web", 1)
    assert leftovers(rig) == {}


@pytest.mark.parametrize("target", ["/link", "/link/inner"])
async def test_a_mount_target_behind_a_symlink_is_refused(rig: OciRig, target: str) -> None:
    (rig.base / "link").symlink_to(rig.data)
    (rig.data / "inner").mkdir()
    extra = Mount(kind=MountKind.LAYER, source=str(rig.release), target=target)
    with pytest.raises(FailedPreconditionError) as refused:
        await rig.runtime.create(replace(rig.spec(), mounts=(*rig.layers(), extra)))
    assert refused.value.reason == "MOUNT_TARGET_SYMLINK"
    assert leftovers(rig) == {}


async def test_a_missing_mount_target_is_refused(rig: OciRig) -> None:
    extra = Mount(kind=MountKind.LAYER, source=str(rig.release), target="/opt/app")
    with pytest.raises(FailedPreconditionError) as refused:
        await rig.runtime.create(replace(rig.spec(), mounts=(*rig.layers(), extra)))
    assert refused.value.reason == "MOUNT_TARGET_MISSING"
    assert leftovers(rig) == {}


async def test_remove_never_deletes_through_a_mount(rig: OciRig) -> None:
    runtime = await started(rig, rig.spec())
    tree = rig.run_folder / "trees/web/1"
    assert (tree / "var/precious").exists()
    await runtime.stop("web", 1)
    await runtime.remove("web", 1)
    assert (rig.data / "precious").read_text() == "do not lose\n"
    assert (rig.release / "version").exists()
    assert (rig.base / "bin/busybox").exists()
    assert leftovers(rig) == {}


async def test_a_tree_in_use_is_not_removed_and_the_mounts_are_named(
    rig: OciRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.runtime.create(rig.spec())
    patient = mounts.unmount_tree
    monkeypatch.setattr(mounts, "unmount_tree", lambda root: patient(root, patience=0.3))
    with (rig.run_folder / "trees/web/1/var/precious").open():
        with pytest.raises(FailedPreconditionError) as refused:
            await rig.runtime.remove("web", 1)
        assert refused.value.reason == "TREE_BUSY"
        assert "trees/web/1/var" in refused.value.message
        assert (await only(rig.runtime)).uid == rig.spec().uid
    await rig.runtime.remove("web", 1)
    assert leftovers(rig) == {}


async def test_what_a_crash_left_is_found_and_can_be_removed(rig: OciRig) -> None:
    await rig.runtime.create(replace(rig.spec(), network=Network(mode=Mode.VNET, addresses=(rig.inside,))))
    shutil.rmtree(rig.run_folder / "runs")
    adopted = rig.restarted()
    run = await only(adopted)
    assert (run.jail, run.generation, run.running, run.uid) == ("web", 1, False, "")
    await adopted.remove("web", 1)
    assert leftovers(rig) == {}


async def test_a_tree_that_is_gone_is_told_and_not_started_without(rig: OciRig) -> None:
    await rig.runtime.create(rig.spec())
    await mounts.unmount_tree((rig.run_folder / "trees/web/1").resolve())
    with pytest.raises(JaildError) as refused:
        await rig.runtime.start("web", 1)
    assert refused.value.reason == "RUN_NOT_FOUND"


async def test_layers_are_private_without_devices_and_read_only_where_they_are_sealed(rig: OciRig) -> None:
    await rig.runtime.create(rig.spec())
    tree = (rig.run_folder / "trees/web/1").resolve()
    found = {m.target: m.options & {"ro", "rw", "nodev", "nosuid"} for m in mounts.mounted()}
    assert {str(place.relative_to(tree)): found[place] for place in mounts.below(tree, mounts.mounted())} == {
        ".": {"ro", "nodev"},
        "var": {"rw", "nodev"},
        "tmp": {"rw", "nodev", "nosuid"},
        "usr/local": {"ro", "nodev"},
    }
    lines = [line.partition(" - ")[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    assert not [line for line in lines if str(tree) in line and "shared:" in line]


async def test_a_tree_that_the_running_generation_changed_is_not_started_and_leaves_nothing(rig: OciRig) -> None:
    (rig.data / "db/volume").mkdir(parents=True)
    volume = Mount(kind=MountKind.LAYER, source=str(rig.release), target="/var/db/volume")
    tree = (*rig.layers(), volume)
    runtime = await started(rig, rig.spec())
    await runtime.create(replace(rig.spec(2), mounts=tree))
    (rig.data / "db").rename(rig.data / "moved")
    await runtime.stop("web", 1)
    with pytest.raises(FailedPreconditionError) as refused:
        await runtime.start("web", 2)
    assert refused.value.reason == "MOUNT_MISPLACED"
    assert refused.value.detail["more"].endswith("/trees/web/2/var/moved/volume")
    await runtime.start("web", 1)
    for generation in (1, 2):
        await runtime.stop("web", generation)
        await runtime.remove("web", generation)
    assert leftovers(rig) == {}


async def test_limits_are_kept_by_the_kernel(rig: OciRig) -> None:
    limits = Limits(memory="64M", cpus=0.5, processes=33, open_files=123, cpuset="0")
    runtime = await started(rig, replace(rig.spec(), limits=limits))
    known = oci_cgroup.controllers(mounts.mounted())
    group = f"jaild-test-{rig.token}/web.1"

    def kept(controller: str, *names: str) -> str:
        return next(p.read_text().strip() for n in names if (p := known[controller] / group / n).exists())

    assert kept("memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert kept("cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    assert kept("pids", "pids.max") == "33"
    assert kept("cpuset", "cpuset.cpus") == "0"
    assert await output_of(runtime, rig.spec(), "sh", "-c", "ulimit -n") == (0, b"123\n", b"")


async def test_a_limit_that_cannot_be_kept_is_refused_before_anything_is_made(
    rig: OciRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = {k: v for k, v in oci_cgroup.controllers(mounts.mounted()).items() if k != "memory"}
    monkeypatch.setattr(oci_cgroup, "controllers", lambda _: without)
    with pytest.raises(ResourceExhaustedError) as refused:
        await rig.runtime.create(replace(rig.spec(), limits=Limits(memory="64M")))
    assert refused.value.reason == "LIMIT_UNSUPPORTED"
    assert leftovers(rig) == {}


async def test_a_run_ends_even_if_the_tool_of_an_exec_was_killed(rig: OciRig) -> None:
    runtime = await started(rig, rig.spec())
    stream = aiter(runtime.exec("web", 1, ("sh", "-c", "echo $$; exec sleep 4711")))
    await anext(stream)
    tools = [p.parent for p in Path("/proc").glob("[0-9]*/cmdline") if str(rig.run_folder).encode() in p.read_bytes()]
    (tool,) = [p for p in tools if b"exec-" in (p / "cmdline").read_bytes()]
    os.kill(int(tool.name), signal.SIGKILL)
    assert [piece.exit_status async for piece in stream][-1] == 128 + 9
    assert await runtime.stop("web", 1) < 10


async def test_a_run_ends_even_if_the_tool_of_an_exec_was_killed_before_it_told_its_pid(rig: OciRig) -> None:
    runtime = await started(rig, rig.spec())
    state = str(rig.run_folder / "containers")
    async with PROCESSES.start(["runc", "--root", state, "exec", "web.1", "sh", "-c", "echo here; sleep 4712"]) as tool:
        assert await anext(aiter(tool.read())) == b"here\n"
        tool.kill()
        await tool.wait()
    assert await runtime.stop("web", 1) < 10


DAEMON = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.contract import oci_rig as t

async def main():
    rig = t.OciRig(Path(sys.argv[1]))
    rig.token, rig.network = sys.argv[2], t.HostNetwork(bridge=sys.argv[3])
    await t.started_by(rig.restarted(), rig.spec())
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_run_survives_the_death_of_its_daemon_and_its_end_is_still_noticed(rig: OciRig) -> None:
    arguments = (sys.executable, "-c", DAEMON, str(rig.folder), rig.token, rig.network.bridge)
    died = await PROCESSES.run(arguments, cwd=Path(__file__).parents[2], check=False)
    assert died.status == -9, died.error_text
    run = await only(rig.runtime)
    assert run.running
    waiting = asyncio.create_task(rig.runtime.wait("web", 1))
    assert await rig.runtime.stop("web", 1) < 5
    assert not (await waiting).running
    await rig.runtime.start("web", 1)
    assert (await only(rig.runtime)).running


async def test_what_a_command_says_on_stderr_comes_while_it_runs_and_whole(rig: OciRig) -> None:
    runtime = await started(rig, rig.spec())
    heard = asyncio.Event()

    async def after_it_was_heard() -> AsyncIterator[bytes]:
        await heard.wait()
        yield b"go on\n"

    script = "echo early >&2; read line; yes 0123456 | head -c 300000 >&2; exit 3"
    said, status = b"", None
    async with aclosing(runtime.exec("web", 1, ("sh", "-c", script), inputs=after_it_was_heard())) as pieces:
        async for piece in pieces:
            said += piece.stderr
            status = piece.exit_status
            if b"early" in said:
                heard.set()
    assert (len(said), status) == (300_000 + len("early\n"), 3)
