"""Ports of the host that lead into a jail on Linux: what nft(8) is told, and what is refused before."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from jaild.adapters.oci import ports as oci_ports
from jaild.adapters.oci.ports import Redirects
from jaild.model.errors import UnavailableError
from jaild.model.jails.spec import JailSpec, Mode, Network, Port
from tests.contract.runtime_contract import run_spec
from tests.fakes.processes import Argv, Said, ScriptedProcesses

OWN = Network(
    mode=Mode.VNET,
    addresses=("10.0.0.5/24", "fd00::5/64"),
    ports=(Port(host=8080, jail=80), Port(host=53, protocol="udp", address="192.0.2.7")),
)
TABLE = """\
add table inet jlx-web
delete table inet jlx-web
table inet jlx-web {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    meta nfproto ipv4 fib daddr type local tcp dport 8080 dnat ip to 10.0.0.5:80
    meta nfproto ipv6 fib daddr type local tcp dport 8080 dnat ip6 to [fd00::5]:80
    meta nfproto ipv4 ip daddr 192.0.2.7 udp dport 53 dnat ip to 10.0.0.5:53
  }
  chain output {
    type nat hook output priority -100;
    oif lo ip daddr 127.0.0.0/8 accept
    meta nfproto ipv4 fib daddr type local tcp dport 8080 dnat ip to 10.0.0.5:80
    meta nfproto ipv6 fib daddr type local tcp dport 8080 dnat ip6 to [fd00::5]:80
    meta nfproto ipv4 ip daddr 192.0.2.7 udp dport 53 dnat ip to 10.0.0.5:53
  }
}
"""


class Nft:
    """An nft(8) that is told."""

    def __init__(self, folder: Path, *, installed: bool = True, forwards: str = "1\n") -> None:
        self.scripts: list[str] = []
        self._installed = installed
        for name in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_text(forwards)
        self.redirects = Redirects(ScriptedProcesses(self._answer), Path("/run/jaild"), folder)

    async def _answer(self, argv: Argv, stdin: bytes) -> Said:
        if not self._installed:
            raise UnavailableError("PROGRAM_MISSING", "nft: no such program", resource="nft")
        if argv == ("nft", "-f", "-"):
            self.scripts.append(stdin.decode())
        return Said()

    async def codes(self, network: Network) -> list[str]:
        found = await self.redirects.problems(JailSpec(base="b", network=network), "jails/web")
        return [problem.reason for problem in found]


def free(protocol: str = "tcp") -> Network:
    with socket.socket(socket.AF_INET6) as one:
        one.bind(("::", 0))
        return replace_ports(Port(host=one.getsockname()[1], protocol=protocol))  # type: ignore[arg-type]


def replace_ports(*ports: Port) -> Network:
    return Network(mode=Mode.VNET, addresses=OWN.addresses, ports=ports)


def test_a_jails_table_is_made_in_one_transaction_whatever_was_there() -> None:
    assert oci_ports.script("jlx-web", OWN) == TABLE


async def test_ports_are_loaded_and_cleared_by_the_jails_name_and_a_jail_without_any_touches_nothing(
    tmp_path: Path,
) -> None:
    nft = Nft(tmp_path)
    run = replace(run_spec(), network=OWN)
    await nft.redirects.load(run)
    await nft.redirects.clear(run)
    made, gone = nft.scripts
    name = oci_ports.table(Path("/run/jaild"), "web")
    assert made == TABLE.replace("jlx-web", name)
    assert gone == f"add table inet {name}\ndelete table inet {name}\n"
    await nft.redirects.load(run_spec())
    await nft.redirects.clear(run_spec())
    assert len(nft.scripts) == 2


async def test_a_host_without_nft_or_forwarding_is_told_so_only_if_ports_are_wanted(tmp_path: Path) -> None:
    assert await Nft(tmp_path / "a", installed=False).codes(free()) == ["PORTS_UNSUPPORTED"]
    assert await Nft(tmp_path / "b", forwards="0\n").codes(free()) == ["PORTS_UNSUPPORTED"] * 2
    assert await Nft(tmp_path / "c", installed=False, forwards="0\n").codes(Network()) == []
    assert await Nft(tmp_path / "d").codes(free()) == []


@pytest.mark.parametrize("address", [None, "127.0.0.1"])
async def test_a_port_that_a_program_listens_on_is_refused_whatever_address_it_has(
    tmp_path: Path, address: str | None
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = Port(host=server.getsockname()[1], address=address)
        assert await Nft(tmp_path).codes(replace_ports(port)) == ["PORT_TAKEN"]
