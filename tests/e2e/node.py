"""A real daemon of the test's own: `jaild --embedded` in a folder, to be stopped, killed or to lose its power."""

from __future__ import annotations

import ipaddress
import json
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import yaml

from jaild.adapters.zfs.embedded import pool_name_for
from jaild.adapters.zfs.private_namespace import MARKER
from tests.demo.programs import environment
from tests.e2e import ground
from tests.e2e.client import Client
from tests.patience import patient
from tests.zfs_fuse import MEMORY

CHECKOUT = Path(__file__).parents[2]
# What an embedded daemon makes in its folder.
_JAILDS = frozenset(
    {"state", "run", "log", "vdevs", "zfs", "jaild.sock", "zfs-fuse.pid", "zfs-fuse.log", "lock", "commands.lock"}
)
_SECONDS = patient(30.0)


class Node:
    """A host. `enter` is the command that enters its network, if it has one of its own; `code` has the jaild to run."""

    def __init__(
        self,
        name: str,
        *,
        config: Mapping[str, Any] | None = None,
        enter: Sequence[str] = (),
        pool_size: str = "2G",
        code: Path = CHECKOUT,
    ) -> None:
        # In memory where there is some: what a killed daemon wrote is as safe there, and nobody waits for a disk. Not
        # below pytest's own folder: a unix socket's path has 107 bytes.
        place = MEMORY if Path(MEMORY).is_dir() else "/var/tmp"
        self.folder = folder = Path(tempfile.mkdtemp(prefix=f"jaild-e2e-{name}-", dir=place))
        self.name = name
        self.code = code
        self.token = secrets.token_hex(3)
        # A /28 of its own in 198.18.0.0/15 (RFC 2544), so that hosts side by side do not meet.
        block = int(ipaddress.ip_address("198.18.0.0")) + secrets.randbelow(8192) * 16
        self.addresses = [f"{address}/28" for address in ipaddress.ip_network((block, 28)).hosts()]
        self.bridge = f"jle{self.token}"
        own = {"name": name, "network": {"bridge": self.bridge, "address": self.addresses[0]}}
        self.config = {**own, **(config or {})}
        self.pool = pool_name_for(folder)
        self._enter = list(enter)
        network = self.config["network"]
        made = isinstance(network, dict) and network.get("bridge") == self.bridge  # by the daemon, for itself
        self._ground = ground.of(folder, self.bridge if made else "", self._enter)
        self._pool_size = pool_size
        self._daemon: subprocess.Popen[bytes] | None = None
        self._client: Client | None = None

    # -- the daemon

    @property
    def api(self) -> Client:
        assert self._client is not None, "the daemon was not started"
        return self._client

    @property
    def pid(self) -> int:
        assert self._daemon is not None
        return self._daemon.pid

    def start(self) -> Client:
        """Start the daemon and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "jaild.yaml").write_text(yaml.safe_dump(self.config))
        with (self.folder / "daemon.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                self.argv("--pool-size", self._pool_size),
                cwd=self.code,
                env=surroundings() | self._watched(),
                stdout=log,
                stderr=log,
            )
        self._client = Client(self.folder / "jaild.sock")
        ready = grpc.channel_ready_future(self._client.channel)
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            with suppress(grpc.FutureTimeoutError):
                ready.result(timeout=0.5)
                return self._client
            assert self._daemon.poll() is None, self.log()[-3000:]
        raise AssertionError(f"the daemon does not answer: {self.log()[-3000:]}")

    def argv(self, *more: str) -> list[str]:
        """The command that starts the daemon."""
        own = [sys.executable, "-m", "jaild", "--embedded", str(self.folder)]
        return [*self._enter, *own, "--config", str(self.folder / "jaild.yaml"), *more]

    def log(self) -> str:
        return (self.folder / "daemon.log").read_text()

    def last_words(self) -> str:
        """What the daemon and its ZFS said last, for whoever reads of a test that failed."""
        logs = {name: self.folder / name for name in ("daemon.log", "zfs-fuse.log")}
        said = [f"{name}: …{path.read_text()[-2000:]}" for name, path in logs.items() if path.exists()]
        return "\n".join([*said, self._ground.state()])

    def busy(self) -> list[str]:
        """What kept the daemon's loop busy for more than 50 ms so far: milliseconds and callback, one a line."""
        path = self.folder / "loop.log"
        return path.read_text().splitlines() if path.exists() else []

    def programs(self) -> list[list[str]]:
        """The command lines of all programs that the daemon started so far, in order."""
        return [json.loads(line) for line in (self.folder / "programs.log").read_text().splitlines()]

    def _watched(self) -> dict[str, str]:
        """The environment in which `tests/loopwatch` is imported by the daemon's Python."""
        return {
            "PYTHONPATH": f"{self.code}:{CHECKOUT / 'tests' / 'loopwatch'}",
            "JAILD_TESTS_LOOP": str(self.folder / "loop.log"),
            "JAILD_TESTS_PROGRAMS": str(self.folder / "programs.log"),
        }

    def signal(self, number: signal.Signals) -> int:
        """Signal the daemon and wait for its end; return its status."""
        assert self._daemon is not None
        if self._client is not None:
            self._client.channel.close()
            self._client = None
        if self._daemon.poll() is None:
            self._daemon.send_signal(number)
        return self._daemon.wait(_SECONDS)

    def terminate(self) -> None:
        assert self.signal(signal.SIGTERM) == 0, self.log()[-3000:]

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def power_cut(self) -> None:
        """Kill the daemon, its ZFS and its jails; nothing is there but what is on the disks."""
        self.kill()
        self._ground.cut_power()

    # -- looking in

    def zfs(self, *words: str, timeout: float = _SECONDS) -> str:
        return self.run("zfs", *words, timeout=timeout)

    def run(self, *argv: str, timeout: float = _SECONDS) -> str:
        """Run a program among the node's own mounts; return what it prints."""
        done = subprocess.run(self.mounts_argv(*argv), check=True, capture_output=True, text=True, timeout=timeout)
        return done.stdout

    def mounts_argv(self, *argv: str) -> list[str]:
        """The command that runs another one among the node's own mounts, where its ZFS answers."""
        return self._ground.argv(argv)

    def inside(self, *words: str) -> list[str]:
        """The command that runs another one in the node's network."""
        return [*self._enter, *words]

    def seen(self, path: Path | str = "") -> Path:
        """Where this process sees a path below the node's mounted datasets."""
        return self._ground.seen(self.folder / "zfs" / path)

    def datasets(self) -> list[str]:
        """All datasets and snapshots below POOL/jaild, without that prefix."""
        listed = self.zfs("list", "-H", "-r", "-t", "all", "-o", "name", f"{self.pool}/jaild").split("\n")
        return sorted(line.removeprefix(f"{self.pool}/jaild") for line in listed if line)

    def traces(self) -> dict[str, Any]:
        """All that a request could leave behind."""
        state, run = self.folder / "state", self.folder / "run"
        folders = (state / "spool", state / "staging", run / "trees", run / "runs", run / "containers")
        traces: dict[str, Any] = {str(f.relative_to(self.folder)): _names(f) for f in folders}
        traces["datasets"] = self.datasets()
        traces["trees"] = sorted(self.tree_mounts())
        return traces

    def tree_mounts(self) -> list[str]:
        """Where jails' trees are mounted."""
        return [point for point in self._ground.mounts() if point.startswith(f"{self.folder}/run/")]

    def jail_processes(self, name: str = "") -> list[int]:
        """The processes of one jail, or of all."""
        return self._ground.jail_processes(name)

    # -- the end

    def close(self) -> None:
        """Stop the daemon and remove what it has, by its own means; then see that nothing is left."""
        assert f"\nexport JAILCTL_ADDRESS=unix://{self.folder}/jaild.sock\n" in self.log()
        self.terminate()
        argv, env = self.argv("--destroy"), surroundings()
        done = subprocess.run(argv, cwd=CHECKOUT, env=env, check=True, capture_output=True, timeout=2 * _SECONDS)
        assert self._ground.left() == []
        left = {path.name for path in self.folder.iterdir()}  # what tests put there, and "somebody else's" to jaild
        assert not left & _JAILDS, left
        told = done.stdout.decode()
        assert all(name in told for name in (f"{self.folder} stays: ", "daemon.log", "jaild.yaml")), told

    def wipe(self) -> None:
        """Remove whatever is left, however the test ended."""
        if self._daemon is not None:
            self.kill()
        self._ground.cut_power()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def hosted(node: Node) -> Iterator[Node]:
    """Run a node; nothing of it is left, however the block ends."""
    try:
        node.start()
        yield node
        node.close()
    except BaseException as error:
        error.add_note(node.last_words())
        raise
    finally:
        node.wipe()


def host_id(node: Node) -> str:
    """The id that a host keeps in its pool."""
    told = node.zfs("get", "-H", "-o", "value", "jaild:host", f"{node.pool}/jaild")
    return str(json.loads(told)["id"])


def surroundings() -> dict[str, str]:
    """The environment of a daemon."""
    found = environment(PYTHONPATH=str(CHECKOUT), PYTHONDONTWRITEBYTECODE="1")
    found.pop(MARKER, None)
    return found


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
