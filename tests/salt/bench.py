"""A master and minions of Salt on the loopback interface: ordinary processes in a folder, gone when the block ends."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import salt.client
import salt.config
import salt.runner
import salt.utils.event
import yaml
from salt.exceptions import SaltException

from tests.patience import patient
from tests.zfs_fuse import MEMORY

SECONDS = patient(120.0)  # that a start, or one call, may take
_ASK = 5.0  # seconds that one question for those who are there may take
_END = patient(20.0)
_HERE = "127.0.0.1"
# What clients in this process have to say is in what they raise; a master that does not answer yet is none of it.
logging.getLogger("salt").setLevel(logging.CRITICAL)


class Program:
    """A daemon of Salt's. It and what it starts are a process group."""

    def __init__(self, name: str, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder
        self._name = name
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def configured(self) -> Path:
        """The configuration's file."""
        return self.folder / self._name.removeprefix("salt-")

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.configured.write_text(yaml.safe_dump(dict(self._config)))
        command = [str(Path(sys.executable).with_name(self._name)), f"--config-dir={self.folder}", "--log-level=info"]
        with self._log().open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def stop(self) -> None:
        """End it as an init does, then whatever is left of its group."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a word."""
        self._end(signal.SIGKILL)

    def last_words(self) -> str:
        return f"{self._log()}: …{self._log().read_text()[-4000:]}" if self._log().exists() else ""

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if number is signal.SIGTERM:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END)
        # Until none of the group is left: one that still is would count as an instance to the next.
        deadline = time.monotonic() + _END
        with suppress(ProcessLookupError):
            while time.monotonic() < deadline:
                os.killpg(process.pid, signal.SIGKILL)
                process.poll()
                time.sleep(0.02)
        process.wait(_END)

    def _log(self) -> Path:
        return self.folder / "log"


class Bench:
    """A master with its minions. `states` and `pillar` are its folders of these: what is put there, minions get."""

    def __init__(self, folder: Path, minions: Mapping[str, Mapping[str, Any]], master: Mapping[str, Any]) -> None:
        self.folder = folder
        self.states, self.pillar = folder / "states", folder / "pillar"
        publish, returns = free_ports(2)
        self.master = Program(
            "salt-master",
            folder / "master",
            {
                **_common(folder / "master"),
                "interface": _HERE,
                "publish_port": publish,
                "ret_port": returns,
                "auto_accept": True,
                "worker_threads": 3,
                "file_roots": {"base": [str(self.states)]},
                "pillar_roots": {"base": [str(self.pillar)]},
                **master,
            },
        )
        self.minions = {
            name: Program(
                "salt-minion",
                folder / name,
                {
                    **_common(folder / name),
                    "id": name,
                    "master": _HERE,
                    "master_port": returns,
                    "acceptance_wait_time": 1,
                    "enable_fqdns_grains": False,
                    **config,
                },
            )
            for name, config in minions.items()
        }

    def start(self) -> None:
        """Start all, and wait until each minion answers."""
        for place in (self.states, self.pillar):
            place.mkdir(exist_ok=True)
        (self.pillar / "top.sls").write_text("base: {'*': [resources]}\n")
        (self.pillar / "resources.sls").write_text("resources: {jail: {}}\n")
        self.master.start()
        for minion in self.minions.values():
            minion.start()
        self.await_minions()

    def await_minions(self) -> None:
        """Wait until each minion answers."""
        wanted, seen = set(self.minions), set[str]()
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with suppress(SaltException):  # the master is not there yet
                answers = self.ask("*", "test.ping", timeout=_ASK)
                seen = {name for name, answer in answers.items() if answer is True}  # who is silent has a text there
            if seen >= wanted:  # and jails, which are targets, too
                return
        raise AssertionError(f"only {sorted(seen)} answer of {sorted(wanted)}")

    def ask(self, target: str, function: str, *args: Any, **options: Any) -> dict[str, Any]:
        """Run a function of execution modules; return by minion what it gave. Timeouts are whole numbers to Salt."""
        with salt.client.LocalClient(str(self.master.configured)) as client:
            found = client.cmd(target, function, args, **{"timeout": int(SECONDS), **options})
        return dict(found)

    def ask_jail(self, name: str, function: str, *args: Any) -> Any:
        """Run a function in a jail as a target; None if nobody answers for it."""
        return self.ask(f"T@jail:{name}", function, *args, tgt_type="compound").get(name)

    def await_jail(self, name: str, function: str, *args: Any, answer: Any) -> None:
        """Ask until it is answered so: who answers for a jail is told to the master a moment after it has changed."""
        deadline, told = time.monotonic() + SECONDS, None
        while time.monotonic() < deadline:
            if (told := self.ask_jail(name, function, *args)) == answer:
                return
        raise AssertionError(f"{function}: {told!r}, and not {answer!r}")

    def full(self, target: str, function: str, *args: Any, **options: Any) -> dict[str, Any]:
        """As `ask`, with `ret`, `retcode` and `jid` of each."""
        return self.ask(target, function, *args, full_return=True, **options)

    def run(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Run a function of runners, in this process, as salt-run does."""
        options = salt.config.master_config(str(self.master.configured))
        return salt.runner.RunnerClient(options).cmd(function, args, kwarg=kwargs, print_event=False)

    @contextmanager
    def listening(self) -> Iterator[Any]:
        """Yield the master's bus: what is sent from then on can be read with `get_event`."""
        options = salt.config.master_config(str(self.master.configured))
        with salt.utils.event.get_master_event(options, options["sock_dir"], listen=True) as bus:
            yield bus

    def stop(self) -> None:
        for program in (*self.minions.values(), self.master):
            program.stop()

    def last_words(self) -> str:
        return "\n".join(program.last_words() for program in (self.master, *self.minions.values()))


@contextmanager
def running(minions: Mapping[str, Mapping[str, Any]], master: Mapping[str, Any] | None = None) -> Iterator[Bench]:
    """Run a master with `minions` (by name, what their configurations have besides); nothing of it is left."""
    place = MEMORY if Path(MEMORY).is_dir() else "/var/tmp"
    folder = Path(tempfile.mkdtemp(prefix="jaild-salt-", dir=place))
    bench = Bench(folder, minions, master or {})
    try:
        bench.start()
        yield bench
    except BaseException as error:
        error.add_note(bench.last_words())
        raise
    finally:
        bench.stop()
        shutil.rmtree(folder)


def free_ports(count: int) -> Sequence[int]:
    """Ports of the loopback interface that nobody listened at just now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_HERE, 0))
        return [each.getsockname()[1] for each in sockets]


def _common(root: Path) -> dict[str, Any]:
    # Below root_dir, as all of Salt's folders. A sock_dir that is longer than the default of cachedir by 10 characters
    # Salt replaces by one in the latter (3008.5, config/__init__.py), and there no socket of a full host name fits into
    # the 107 bytes that its path may have: that minion never returns anything.
    return {"root_dir": str(root), "sock_dir": "/s", "user": "root", "log_level_logfile": "quiet"}
