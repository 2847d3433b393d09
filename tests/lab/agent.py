"""Process 1 of a machine of the lab, and the agent that runs what the host asks for (standard library only).

Settings come on the kernel's command line: lab.name, lab.address (of the private network; may be absent). The network
is a bridge, so that jails can join it. A machine whose pools bring a configuration of jaild runs its daemon, always.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from tests.lab.frames import PIECE, WINDOW, Kind, packed, unpack

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PORT = "lab"  # the name of our virtio port
MOUNTS = (
    ("proc", "proc", "/proc", ""),
    ("sysfs", "sys", "/sys", ""),
    ("devtmpfs", "dev", "/dev", ""),
    ("devpts", "devpts", "/dev/pts", ""),
    ("tmpfs", "tmp", "/tmp", ""),
    ("tmpfs", "shm", "/dev/shm", ""),
    ("cgroup2", "cgroup", "/sys/fs/cgroup", ""),
)


LIBRARIES = "/opt/libraries"  # what jaild imports
CONFIG = Path("/var/db/jaild/jaild.yaml")  # on a pool: the root file system is as new at every boot
MODULES = CONFIG.with_name("python")  # what of Python is not on PyPI: py-libzfs, where there is one
LOG = CONFIG.with_name("daemon.log")


def settings() -> dict[str, str]:
    words = Path("/proc/cmdline").read_text().split()
    return dict(word.removeprefix("lab.").split("=", 1) for word in words if word.startswith("lab."))


def command(*argv: str) -> None:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        say(f"{' '.join(argv)}: status {done.returncode}: {done.stderr.strip()}")


def say(text: str) -> None:
    print(f"lab: {time.monotonic():.1f} s: {text}", flush=True)  # noqa: T201 -- the console is all that there is


def boot() -> None:
    """Bring the machine up as far as an init does."""
    for kind, source, target, options in MOUNTS:
        if not os.path.ismount(target):
            Path(target).mkdir(exist_ok=True)
            command("mount", "-t", kind, *(["-o", options] if options else []), source, target)
    chosen = settings()
    socket.sethostname(chosen.get("name", "lab"))
    command("modprobe", "-a", "virtio_console", "virtio_net", "bridge")
    command("ip", "link", "set", "lo", "up")
    if "address" in chosen:
        # With a MAC of its own: without one it takes its ports' lowest, which each jail may change.
        mac = Path("/sys/class/net/eth0/address").read_text().strip()
        command("ip", "link", "add", "name", "br0", "address", mac, "type", "bridge")
        command("ip", "link", "set", "eth0", "master", "br0", "up")
        command("ip", "link", "set", "br0", "up")
        command("ip", "address", "add", chosen["address"], "dev", "br0")
    if Path("/dev/vdc").exists():
        Path(LIBRARIES).mkdir()
        command("mount", "-o", "ro", "/dev/vdc", LIBRARIES)
    # Each machine is another host to ZFS; without a number it would take the other's pools for its own.
    command("modprobe", "spl", f"spl_hostid={sum(socket.gethostname().encode()) + 1}")
    command("modprobe", "zfs")
    command("zpool", "import", "-a", "-d", "/dev", "-o", "cachefile=none")
    say("up")


def keep_daemon() -> None:
    """Run jaild, and run it again when it has ended, as daemon(8) does on FreeBSD."""
    paths = f"{os.environ['PYTHONPATH']}:{LIBRARIES}:{MODULES}"
    environment = {
        "PATH": PATH,
        "HOME": "/root",
        "PYTHONPATH": paths,
        "PYTHONPYCACHEPREFIX": str(CONFIG.parent / "pyc"),
    }
    while True:
        if CONFIG.exists():
            with LOG.open("ab") as log:
                argv = ["python3", "-m", "jaild", "--config", str(CONFIG)]
                done = subprocess.run(
                    argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
                )
            say(f"jaild ended: {done.returncode}")
        time.sleep(0.2)  # nothing tells when a configuration comes


def device() -> Path:
    """Return the device of our virtio port."""
    for entry in Path("/sys/class/virtio-ports").iterdir():
        if (entry / "name").read_text().strip() == PORT:
            return Path("/dev") / entry.name
    raise FileNotFoundError(f"no virtio port named {PORT}")


class Port:
    """The wire's end in the machine."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._writing = threading.Lock()

    def read(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            piece = os.read(self._fd, size - len(found))
            if not piece:
                raise EOFError  # the host has closed its end
            found += piece
        return bytes(found)

    def send(self, kind: Kind, channel: int, data: bytes = b"", number: int = 0) -> None:
        view = memoryview(packed(kind, channel, data, number))
        # A host that is gone is told to `serve`, by its end of file.
        with self._writing, contextlib.suppress(BrokenPipeError):
            while view:
                view = view[os.write(self._fd, view[: 1 << 15]) :]  # the driver copies at most 32 KiB at a time


class Program:
    """One program, fed and read by threads."""

    def __init__(self, port: Port, channel: int, asked: dict[str, Any]) -> None:
        self._port = port
        self._channel = channel
        self._room = threading.Condition()
        self._unread = 0  # bytes of stdout that the host has not consumed
        self._input: list[bytes] = []
        self._exited = False
        self._killed = False  # nobody wants its output any more
        output = open(asked["output"], "ab") if asked["output"] else None  # noqa: SIM115, PTH123 -- the child's
        self._process = subprocess.Popen(
            asked["argv"],
            stdin=subprocess.PIPE,
            stdout=output or subprocess.PIPE,
            stderr=output or subprocess.PIPE,
            cwd=asked["cwd"],
            env={"PATH": PATH, "LC_ALL": "C", "HOME": "/root", **asked["env"]},
            start_new_session=True,
            pipesize=PIECE,
        )
        if output:
            output.close()
        works = (self._feed, lambda: self._drain(Kind.STDOUT), lambda: self._drain(Kind.STDERR), self._end)
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]

    def run(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def take(self, data: bytes) -> None:
        with self._room:
            self._input.append(data)
            self._room.notify_all()

    def room(self, size: int) -> None:
        with self._room:
            self._unread -= size
            self._room.notify_all()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        with self._room:
            self._killed = True
            self._room.notify_all()

    def _feed(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            while data := self._next_input():
                view = memoryview(data)
                while view:
                    view = view[os.write(stdin.fileno(), view) :]
                self._port.send(Kind.ROOM, self._channel, number=len(data))
            return
        self._port.send(Kind.STDIN_GONE, self._channel)

    def _next_input(self) -> bytes:
        with self._room:
            self._room.wait_for(lambda: self._input or self._exited or self._killed)
            return self._input.pop(0) if self._input else b""

    def _drain(self, kind: Kind) -> None:
        pipe = self._process.stdout if kind is Kind.STDOUT else self._process.stderr
        if pipe is not None:
            with pipe:
                self._copy(pipe.fileno(), kind)
        self._port.send(kind, self._channel)

    def _copy(self, fd: int, kind: Kind) -> None:
        while data := os.read(fd, PIECE):
            with self._room:
                if kind is Kind.STDOUT:
                    self._room.wait_for(lambda: self._killed or self._unread < WINDOW)
                    self._unread += len(data)
                if self._killed:
                    continue
            self._port.send(kind, self._channel, data)

    def _end(self) -> None:
        status = self._process.wait()
        with self._room:
            self._exited = True
            self._room.notify_all()
        self._port.send(Kind.EXIT, self._channel, number=status)


def serve(port: Port) -> None:
    """Do what the host says until it goes away; then end what it had started."""
    programs: dict[int, Program] = {}
    try:
        while True:
            kind, channel, data, number = unpack(port.read)
            if kind is Kind.HELLO:
                port.send(Kind.HELLO, channel)
            elif kind is Kind.START:
                start(port, programs, channel, data)
            elif channel in programs:
                tell(programs, channel, (kind, data, number))
    except EOFError:
        for program in programs.values():
            program.kill()
        for program in programs.values():
            program.join()


def start(port: Port, programs: dict[int, Program], channel: int, asked: bytes) -> None:
    try:
        programs[channel] = Program(port, channel, json.loads(asked))
    except OSError as error:
        why = json.dumps({"errno": error.errno, "filename": str(error.filename)})
        port.send(Kind.FAILED, channel, why.encode())
    else:
        programs[channel].run()


def tell(programs: dict[int, Program], channel: int, frame: tuple[Kind, bytes, int]) -> None:
    kind, data, number = frame
    if kind is Kind.STDIN:
        programs[channel].take(data)
    elif kind is Kind.ROOM:
        programs[channel].room(number)
    else:
        programs[channel].kill()


def reap(agent: int) -> None:
    """Be process 1: collect orphans, and end the machine with the agent."""
    while True:
        pid, status = os.wait()
        if pid == agent:
            say(f"the agent ended: {os.waitstatus_to_exitcode(status)}")
            Path("/proc/sysrq-trigger").write_text("o")


def main() -> None:
    os.environ["PATH"] = PATH
    if agent := os.fork():
        reap(agent)
    boot()
    threading.Thread(target=keep_daemon, daemon=True).start()
    port = Port(os.open(device(), os.O_RDWR))
    while True:
        serve(port)
        time.sleep(0.05)  # nothing tells when the host comes back


if __name__ == "__main__":
    main()
