"""Tell the neighbours where addresses are now. On FreeBSD that is a program of its own, of the standard library alone.

    python announce.py bpf JID INTERFACE MAC ADDRESS...     run on the host; JID 0: the host's own network

A jail on FreeBSD has neither Python nor /dev/bpf. So bpf(4) is opened on the host and bound to the interface after
jail_attach(2), which changes the network of this process too: names of interfaces are looked up in the jail's.
"""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import os
import socket
import struct
import sys

_ARP, _IPV6 = 0x0806, 0x86DD
_BROADCAST = b"\xff" * 6
_ALL_NODES = ipaddress.IPv6Address("ff02::1").packed
_ALL_NODES_MAC = bytes.fromhex("333300000001")
_ICMPV6 = 58
BIOCSETIF, BIOCSHDRCMPLT = 0x8020426C, 0x80044275  # net/bpf.h: _IOW('B', 108, ifreq), _IOW('B', 117, u_int)
_IFREQ = 32  # bytes: a name of 16, and what this call does not read
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


def frame(mac: bytes, text: str) -> bytes:
    """Return the frame that announces an address, with or without a prefix length."""
    address = ipaddress.ip_interface(text).ip
    if isinstance(address, ipaddress.IPv4Address):
        return gratuitous_arp(mac, address)
    return unsolicited_advertisement(mac, address)


def by_packet(interface: str, *addresses: str) -> None:
    """Send one frame for each address by packet(7), in this thread's network namespace."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((interface, 0))
        mac = raw.getsockname()[4]
        for text in addresses:
            raw.send(frame(mac, text))


def by_bpf(jid: str, interface: str, mac: str, *addresses: str) -> None:
    """Send one frame for each address by bpf(4), in the network of the jail `jid`."""
    frames = [frame(bytes.fromhex(mac.replace(":", "")), text) for text in addresses]
    device = os.open("/dev/bpf", os.O_RDWR | os.O_CLOEXEC)
    if int(jid):
        attach(int(jid))
    fcntl.ioctl(device, BIOCSETIF, interface.encode().ljust(_IFREQ, b"\0"))
    fcntl.ioctl(device, BIOCSHDRCMPLT, struct.pack("I", 1))  # the sender's address is in the frame already
    for each in frames:
        os.write(device, each)


def attach(jid: int) -> None:
    """Put this process into a jail (jail_attach(2)): there is no way back."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.jail_attach(jid) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), f"jail {jid}")


if __name__ == "__main__":
    by_bpf(*sys.argv[2:])
