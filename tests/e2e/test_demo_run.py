"""The demo as one types it: whatever ends it, nothing of it stays. That it ends well shows `make demo`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import LINUX_HOST
from tests.demo import leftovers, workspace
from tests.demo.hosts import CHECKOUT

pytestmark = [pytest.mark.real(*LINUX_HOST), pytest.mark.timeout(900)]  # a first run builds the bases


@contextmanager
def demo(report: Path, until: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a demo; yields it and its run's name as soon as it has printed a line with `until`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.demo", str(report)],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process, _name(process, until)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)


def _name(process: subprocess.Popen[str], until: str) -> str:
    if process.stdout is None:
        raise TypeError
    name, said = "", []
    for line in process.stdout:
        said.append(line)
        if "a daemon and a pool each" in line:
            name = line.partition(":")[0]
        if until in line:
            return name
    raise AssertionError("".join(said))


@pytest.mark.sampled
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_leaves_nothing(how: signal.Signals, tmp_path: Path) -> None:
    with demo(tmp_path / "demo.json", until="base import debian-12") as (process, name):
        process.send_signal(how)
        rest, _ = process.communicate(timeout=120)
    assert process.returncode == 130, rest
    assert "interrupted" in rest
    assert leftovers.find(name, workspace.ROOT / name) == []
    assert json.loads((tmp_path / "demo.json").read_text())["lost_writes"] is None


def test_what_a_killed_demo_leaves_is_swept(tmp_path: Path) -> None:
    with demo(tmp_path / "demo.json", until="jail create kv") as (process, name):
        process.kill()
        process.wait()
        assert leftovers.find(name, workspace.ROOT / name)
        assert name in workspace.sweep()
    assert leftovers.find(name, workspace.ROOT / name) == []


def test_leftovers_finds_a_process_a_folder_and_the_namespaces_of_a_run(tmp_path: Path) -> None:
    name = f"jdemo-test-{tmp_path.name}"
    argv = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", name]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # at the moment of its exec a process has no command line yet
        found = leftovers.find(name, tmp_path)
        assert found[0].startswith(f"process {process.pid}: ")
        assert str(tmp_path) in found
        with leftovers.pinned([process.pid]) as namespaces:
            assert process.pid in leftovers.processes("no such name", namespaces)
        process.communicate(b"")
    assert leftovers.find(name, tmp_path / "gone") == []
