"""Carries out what `oci_network` says, knowing what is there already."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from jaild.adapters.oci import namespaces, rtnetlink
from jaild.adapters.oci import network as oci_network
from jaild.adapters.oci.network import HostNetwork
from jaild.adapters.oci.rtnetlink import Netlink, Request
from jaild.adapters.runtime import announce
from jaild.adapters.system.own_thread import in_own_thread
from jaild.model.errors import InternalError, JaildError
from jaild.model.jails.spec import Mode
from jaild.ports.process import Processes
from jaild.ports.runtime import Demands, Run, RunSpec, Traffic

_COUNTERS = Path("/proc/self/net/dev")  # of the daemon's network namespace, which /sys may not be


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
        for argv in oci_network.prepare(self._host, self._run_folder, bridge_exists=exists, bridge_mac=mac):
            await self._processes.run(argv)

    async def withdraw(self) -> list[str]:
        """Delete the bridges that this daemon made; return why those stay that something is on."""
        staying = []
        for name in await self._shown("type", "bridge", alias=oci_network.maker(self._run_folder)):
            if ports := await self._shown("master", name):
                staying.append(oci_network.stays(name, ports))
            else:
                await self._processes.run(("ip", "link", "delete", "dev", name))
        return staying

    async def _shown(self, *which: str, alias: str | None = None) -> list[str]:
        """Return the names of the interfaces that ip(8) shows, of those with `alias` if one is said."""
        shown = await self._processes.run(("ip", "-json", "link", "show", *which))
        rows: list[dict[str, Any]] = msgspec.json.decode(shown.stdout or b"[]")
        return [row["ifname"] for row in rows if row and alias in {None, row.get("ifalias", "")}]

    def problems(self, demands: Demands, resource: str) -> list[JaildError]:
        """Return NETWORK_MISSING if the host lacks what the network needs, ADDRESS_IN_USE for its own address."""
        own = oci_network.hosts_own(demands, self._host, resource)
        return [*own, *oci_network.missing(demands, self._host, _interfaces(), resource)]

    async def taken(self, run: RunSpec, held: Collection[str] = ()) -> list[JaildError]:
        """Return ADDRESS_IN_USE for what is on the shared interface and not in `held`."""
        if run.network.mode is not Mode.SHARED_IP:
            return []
        there = await self._addresses(oci_network.interface(run, self._host))
        return oci_network.taken(run, held, {address.partition("/")[0] for address in there})

    def namespace(self, run: RunSpec) -> Path | None:
        """Return the run's namespace of ip-netns(8); None if it uses the host's network, or none."""
        if run.network.mode is not Mode.VNET:
            return None
        return namespaces.FOLDER / oci_network.namespace(self._run_folder, run.jail, run.generation)

    def traffic(self, runs: Collection[Run]) -> Mapping[str, Traffic]:
        """Return what went over the networks of those that have their own, by jail, counted at the host's ends."""
        counted = oci_network.parse_counters(_COUNTERS.read_text("ascii"))
        names = {run.jail: oci_network.outer(self._run_folder, run.uid, run.generation) for run in runs}
        return {jail: counted[name] for jail, name in names.items() if name in counted}

    async def create(self, run: RunSpec) -> None:
        """Make the run's own network, attached to nothing."""
        if run.network.mode is Mode.VNET:
            await _called(run.name, "making its network", lambda: self._make(run))

    def _make(self, run: RunSpec) -> None:
        with Netlink() as host:  # which stays the host's when the thread is in the new namespace
            namespace = namespaces.make(oci_network.namespace(self._run_folder, run.jail, run.generation))
            try:
                host.carry_out(*ends(run, self._run_folder, namespace))
            finally:
                os.close(namespace)
        with Netlink() as jail:
            jail.carry_out(rtnetlink.up("lo"), rtnetlink.up(oci_network.INNER))
            jail.carry_out(*inside(run, socket.if_nametoindex(oci_network.INNER)))

    async def attach(self, run: RunSpec, pid: int) -> None:
        """Make the run, whose first process is `pid`, reachable."""
        if run.network.mode is Mode.VNET or (run.network.mode is not Mode.HOST and run.network.addresses):
            await _called(run.name, "attaching its network", lambda: self._attach(run, pid))

    def _attach(self, run: RunSpec, pid: int) -> None:
        if run.network.mode is Mode.VNET:
            bridge = socket.if_nametoindex(oci_network.bridge(run, self._host))
            self._carry_out(rtnetlink.put_on(oci_network.outer(self._run_folder, run.uid, run.generation), bridge))
        elif run.network.addresses:
            interface = "lo" if run.network.mode is Mode.NONE else oci_network.interface(run, self._host)
            if run.network.mode is Mode.NONE:
                namespaces.enter(Path(f"/proc/{pid}/ns/net"))
            index = socket.if_nametoindex(interface)
            self._carry_out(*(rtnetlink.address(index, address) for address in run.network.addresses))

    async def detach(self, run: RunSpec) -> None:
        """Make the run unreachable. No error if it is so."""
        outer = oci_network.outer(self._run_folder, run.uid, run.generation)
        requests = []
        if run.network.mode is Mode.VNET and outer in _interfaces():
            requests = [rtnetlink.put_on(outer, 0)]
        elif run.network.mode is Mode.SHARED_IP:
            interface = oci_network.interface(run, self._host)
            if there := await self._addresses(interface):
                requests = left(run, socket.if_nametoindex(interface), there)
        if requests:
            await _called(run.name, "detaching its network", lambda: self._carry_out(*requests))

    async def delete(self, jail: str, generation: int, uid: str) -> None:
        """Take a run's own network away, whatever is left of it. An empty `uid`: not known any more."""
        outer = oci_network.outer(self._run_folder, uid, generation)
        namespace = oci_network.namespace(self._run_folder, jail, generation)

        def take_away() -> None:
            if outer in _interfaces():
                self._carry_out(rtnetlink.delete(outer))
            namespaces.remove(namespace)

        if outer in _interfaces() or (namespaces.FOLDER / namespace).exists():
            await _called(f"{jail}.{generation}", "taking its network away", take_away)

    @staticmethod
    def _carry_out(*requests: Request) -> None:
        with Netlink() as socket_:
            socket_.carry_out(*requests)

    def names(self) -> list[str]:
        """Return the names of the runs that have a namespace."""
        prefix = oci_network.prefix(self._run_folder)
        found = namespaces.FOLDER.iterdir() if namespaces.FOLDER.is_dir() else ()
        return [p.name.removeprefix(prefix) for p in found if p.name.startswith(prefix)]

    async def announce(self, run: RunSpec) -> None:
        """Tell the neighbours where the run's addresses are."""
        if run.network.mode in {Mode.HOST, Mode.NONE} or not run.network.addresses:
            return
        namespace = self.namespace(run)
        interface = oci_network.INNER if namespace is not None else oci_network.interface(run, self._host)

        def send() -> None:
            if namespace is not None:
                namespaces.enter(namespace)
            announce.by_packet(interface, *run.network.addresses)

        await _called(run.name, "announcing its addresses", send)

    async def _addresses(self, interface: str) -> frozenset[str]:
        if interface not in _interfaces():
            return frozenset()
        shown = await self._processes.run(("ip", "-json", "addr", "show", "dev", interface))
        rows: list[dict[str, Any]] = msgspec.json.decode(shown.stdout)
        return frozenset(f"{a['local']}/{a['prefixlen']}" for row in rows for a in row.get("addr_info", ()))


def ends(run: RunSpec, run_folder: Path, namespace: int) -> list[Request]:
    """Return what makes a run's veth, into its open namespace, and readies the host's end of it."""
    outside = oci_network.outer(run_folder, run.uid, run.generation)
    # No link-local address of the host towards the jail: it is reached over the bridge only.
    made = rtnetlink.veth(outside, oci_network.INNER, oci_network.mac(run.uid), namespace)
    return [made, rtnetlink.named(outside, run.name), rtnetlink.up(outside)]


def inside(run: RunSpec, index: int) -> list[Request]:
    """Return what gives the run's own end, which is up, its addresses; `index` is its interface's."""
    addresses, gateway = run.network.addresses, run.network.gateway
    given = [rtnetlink.address(index, address) for address in addresses]
    return [*given, *([rtnetlink.default_route(index, gateway)] if gateway else [])]


def left(run: RunSpec, index: int, present: Collection[str]) -> list[Request]:
    """Return what takes the addresses of a run in mode shared-ip off the host's interface, as far as they are there."""
    return [rtnetlink.without_address(index, address) for address in run.network.addresses if address in present]


async def _called(name: str, what: str, call: Callable[[], None]) -> None:
    """Call into the kernel, in a thread that this may put into another namespace."""

    def explained() -> None:
        try:
            call()
        except OSError as error:
            at = f" ({error.filename})" if error.filename else ""
            raise InternalError(
                "COMMAND_FAILED",
                f"{name}: {what}: {error.strerror or error}{at}",
                hint="see `ip link` and `ip netns`, and what the kernel says (dmesg)",
                resource=name,
            ) from error

    await in_own_thread(explained, f"{what}: {name}")


def within(pid: int) -> tuple[str, ...]:
    """Return the command that enters a process's network."""
    return ("nsenter", f"--net=/proc/{pid}/ns/net", "--")


def _interfaces() -> frozenset[str]:
    """Return the names of this network namespace's interfaces.

    Asked of the kernel, not of /sys/class/net: that shows the namespace in which /sys was mounted.
    """
    return frozenset(name for _, name in socket.if_nameindex())
