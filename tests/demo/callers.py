"""The fleet seen from outside: everybody's certificates, each host's configuration, and who calls the hosts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from jaild.adapters.certificates import CertificateAuthority
from jaild.adapters.system.process import ProcessRunner
from jaild.rpc.tls import TlsFiles
from tests.demo.fleet import Answer, Who
from tests.demo.hosts import CHECKOUT
from tests.demo.programs import environment
from tests.demo.remote import RemoteWriter
from tests.patience import patient

PORT = 8443
JAILCTL = Path(sys.executable).with_name("jailctl")
_USERS = {
    Who.PRODUCT: {"roles": ["product"], "apps": ["redis"]},
    Who.SOURCE: {"roles": ["source"]},
    Who.OPERATOR: {"roles": ["operator"]},
}
_LONGEST = patient(600.0)  # seconds for one jailctl


class CallError(Exception):
    """jailctl on the client's machine could not be set up."""


class ClientMachine(Protocol):
    """Where the clients are: it reaches all hosts."""

    def argv(self, argv: Sequence[str | Path]) -> list[str]:
        """The command that runs `argv` there."""


class Callers:
    """Calls hosts at `addresses` from `client`; what it makes is in `folder`. Writers end with `stack`."""

    def __init__(self, client: ClientMachine, folder: Path, addresses: Mapping[str, str], stack: ExitStack) -> None:
        self._client = client
        self._folder = folder
        self._addresses = addresses
        self._stack = stack

    async def certificates(self, *others: str) -> dict[str, TlsFiles]:
        """Issue one for each host, each user and others, by name."""
        authority = CertificateAuthority(ProcessRunner(), self._folder / "tls")
        hosts = {name: await authority.issue(name, [address]) for name, address in self._addresses.items()}
        return {**hosts, **{who: await authority.issue(who) for who in (*Who, *others)}}

    def configuration(self, name: str, files: TlsFiles) -> dict[str, Any]:
        """Return what a host's daemon has to know of the others, with `files` as that host finds them."""
        own = {"certificate": str(files.certificate), "key": str(files.key), "authority": str(files.authority)}
        others = {other: address for other, address in self._addresses.items() if other != name}
        peers: dict[str, Any] = {host: {"roles": ["peer"]} for host in self._addresses}
        return {
            "name": name,
            "listen": {"address": f"{self._addresses[name]}:{PORT}", "tls": own},
            "grants": {str(user): grant for user, grant in _USERS.items()} | peers,
            "peers": {other: {"address": f"{address}:{PORT}", "tls": own} for other, address in others.items()},
        }

    def add_contexts(self, files: Mapping[str, TlsFiles]) -> None:
        """Make `who@host` known to jailctl for every user and host."""
        for who in Who:
            for name, address in self._addresses.items():
                told = files[who]
                words = ["--address", f"{address}:{PORT}", "--ca", str(told.authority)]
                words += ["--cert", str(told.certificate), "--key", str(told.key)]
                answer = self._run("context", "add", f"{who}@{name}", *words)
                if answer.status != 0:
                    raise CallError(answer.complaint)

    def jailctl(self, who: Who, host: str, *words: str) -> Answer:
        """Run one on the client's machine, which sees this machine's files."""
        return self._run("--context", f"{who}@{host}", "-o", "json", *words)

    def open_writer(self, address: str) -> RemoteWriter:
        """Start a client that writes."""
        process = subprocess.Popen(
            self._client.argv([sys.executable, "-m", "tests.demo.client", address]),
            env=environment(PYTHONPATH=str(CHECKOUT), PYTHONDONTWRITEBYTECODE="1"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # an interrupt at the terminal is the caller's to answer
        )
        writer = RemoteWriter(process)
        self._stack.callback(writer.close)
        return writer

    @property
    def environment(self) -> dict[str, str]:
        """What a jailctl needs to know its contexts."""
        return environment(XDG_CONFIG_HOME=str(self._folder / "config"), NO_COLOR="1")

    def _run(self, *words: str) -> Answer:
        began = time.monotonic()
        done = subprocess.run(
            self._client.argv([JAILCTL, *words]),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_LONGEST,
            start_new_session=True,
        )
        return Answer(
            command=f"jailctl {' '.join(words)}",
            status=done.returncode,
            output=done.stdout,
            complaint=done.stderr,
            seconds=time.monotonic() - began,
        )
