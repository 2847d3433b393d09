"""Tell the neighbours where addresses are now: `python announce.py INTERFACE ADDRESS...`, run in the jail's network.

A program of its own, with nothing but the standard library, since a network namespace is entered per process.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys

_ARP, _IPV6 = 0x0806, 0x86DD
_BROADCAST = b"\xff" * 6
_ALL_NODES = ipaddress.IPv6Address("ff02::1").packed
_ALL_NODES_MAC = bytes.fromhex("333300000001")
_ICMPV6 = 58
_OVERRIDE = 0x20000000  # flag of a neighbour advertisement (RFC 4861, 4.4)


def gratuitous_arp(mac: bytes, address: ipaddress.IPv4Address) -> bytes:
    """Return the frame of an ARP announcement (RFC 5227, 2.3): a request for one's own address."""
    ethernet = _BROADCAST + mac + struct.pack("!H", _ARP)
    return ethernet + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + address.packed + bytes(6) + address.packed


def unsolicited_advertisement(mac: bytes, address: ipaddress.IPv6Address) -> bytes:
    """Return the frame of an unsolicited neighbour advertisement (RFC 4861, 7.2.6)."""
    body = struct.pack("!I", _OVERRIDE) + address.packed + struct.pack("!BB", 2, 1) + mac
    pseudo = address.packed + _ALL_NODES + struct.pack("!II", 4 + len(body), _ICMPV6)
    sum_ = checksum(pseudo + struct.pack("!BBH", 136, 0, 0) + body)
    message = struct.pack("!BBH", 136, 0, sum_) + body
    header = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, 255) + address.packed + _ALL_NODES
    return _ALL_NODES_MAC + mac + struct.pack("!H", _IPV6) + header + message


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def main(interface: str, *addresses: str) -> None:
    """Send one frame for each address."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((interface, 0))
        mac = raw.getsockname()[4]
        for text in addresses:
            address = ipaddress.ip_interface(text).ip
            frame = (
                gratuitous_arp(mac, address)
                if isinstance(address, ipaddress.IPv4Address)
                else unsolicited_advertisement(mac, address)
            )
            raw.send(frame)


if __name__ == "__main__":
    main(*sys.argv[1:])
