"""Carries out `oci_network`'s commands, knowing what is there already."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from jaild.adapters.oci import network as oci_network
from jaild.adapters.oci.network import NAMESPACES, Command, HostNetwork
from jaild.adapters.runtime import announce
from jaild.model.errors import JaildError
from jaild.ports.process import Processes
from jaild.ports.runtime import Demands, RunSpec


class Links:
    """The networks of one daemon's runs."""

    def __init__(self, processes: Processes, run_folder: Path, host: HostNetwork) -> None:
        self._processes = processes
        self._run_folder = run_folder
        self._host = host

    async def prepare(self) -> None:
        """Make the bridge, or bring it to what is wanted."""
        mac = oci_network.mac(os.urandom(16).hex())
        exists = self._host.bridge in _interfaces()
        await self._run(oci_network.prepare(self._host, bridge_exists=exists, bridge_mac=mac))

    def problems(self, demands: Demands, resource: str) -> list[JaildError]:
        """Return NETWORK_MISSING if the host lacks what the network needs, ADDRESS_IN_USE for its own address."""
        own = oci_network.hosts_own(demands, self._host, resource)
        return [*own, *oci_network.missing(demands, self._host, _interfaces(), resource)]

    async def taken(self, run: RunSpec, held: Collection[str] = ()) -> list[JaildError]:
        """Return ADDRESS_IN_USE for what is on the shared interface and not in `held`."""
        if run.network.mode != "shared":
            return []
        there = await self._addresses(oci_network.interface(run, self._host))
        return oci_network.taken(run, held, {address.partition("/")[0] for address in there})

    def namespace(self, run: RunSpec) -> Path | None:
        """Return the run's namespace of ip-netns(8); None if it uses the host's network, or none."""
        if run.network.mode != "own":
            return None
        return NAMESPACES / oci_network.namespace(self._run_folder, run.jail, run.generation)

    async def create(self, run: RunSpec) -> None:
        """Make the run's own network, attached to nothing."""
        if run.network.mode == "own":
            await self._run(oci_network.create(run, self._run_folder))

    async def attach(self, run: RunSpec, pid: int) -> None:
        """Make the run, whose first process is `pid`, reachable."""
        commands = oci_network.attach(run, self._host, self._run_folder)
        if run.network.mode == "none":
            commands = [replace(command, argv=(*within(pid), *command.argv)) for command in commands]
        await self._run(commands)

    async def detach(self, run: RunSpec) -> None:
        """Make the run unreachable. No error if it is so."""
        present = _interfaces()
        if run.network.mode == "shared":
            present = await self._addresses(oci_network.interface(run, self._host))
        await self._run(oci_network.detach(run, self._host, self._run_folder, present=present))

    async def delete(self, jail: str, generation: int, uid: str) -> None:
        """Take a run's own network away, whatever is left of it. An empty `uid`: not known any more."""
        outer = oci_network.outer(self._run_folder, uid, generation)
        if outer in _interfaces():
            await self._processes.run(("ip", "link", "del", "dev", outer))
        inside = oci_network.namespace(self._run_folder, jail, generation)
        if (NAMESPACES / inside).exists():
            await self._processes.run(("ip", "netns", "del", inside))

    def names(self) -> list[str]:
        """Return the names of the runs that have a namespace."""
        prefix = oci_network.prefix(self._run_folder)
        found = NAMESPACES.iterdir() if NAMESPACES.is_dir() else ()
        return [p.name.removeprefix(prefix) for p in found if p.name.startswith(prefix)]

    async def announce(self, run: RunSpec) -> None:
        """Tell the neighbours where the run's addresses are."""
        # -I and -S: nothing of the daemon's environment or site-packages is needed, and starting takes half as long.
        program = (sys.executable, "-I", "-S", announce.__file__, "packet")
        if run.network.mode in {"host", "none"} or not run.network.addresses:
            return
        if run.network.mode == "shared":
            interface = oci_network.interface(run, self._host)
            await self._processes.run((*program, interface, *run.network.addresses))
            return
        # nsenter and not `ip netns exec`: the latter remounts /sys in a mount namespace of its own, for nothing.
        enter = ("nsenter", f"--net={self.namespace(run)}", "--")
        await self._processes.run((*enter, *program, oci_network.INNER, *run.network.addresses))

    async def _addresses(self, interface: str) -> frozenset[str]:
        if interface not in _interfaces():
            return frozenset()
        shown = await self._processes.run(("ip", "-json", "addr", "show", "dev", interface))
        rows: list[dict[str, Any]] = msgspec.json.decode(shown.stdout)
        return frozenset(f"{a['local']}/{a['prefixlen']}" for row in rows for a in row.get("addr_info", ()))

    async def _run(self, commands: Sequence[Command]) -> None:
        for command in commands:
            stdin = None if command.script is None else command.script.encode()
            await self._processes.run(command.argv, stdin=stdin)


def within(pid: int) -> tuple[str, ...]:
    """Return the command that enters a process's network."""
    return ("nsenter", f"--net=/proc/{pid}/ns/net", "--")


def _interfaces() -> frozenset[str]:
    """Return the names of this network namespace's interfaces.

    Asked of the kernel, not of /sys/class/net: that shows the namespace in which /sys was mounted.
    """
    return frozenset(name for _, name in socket.if_nameindex())
