"""What tells the neighbours where an address is now: the frames, and how FreeBSD is asked to send them."""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import os
import struct
from typing import Any

import pytest

from jaild.adapters.runtime import announce

MAC = bytes.fromhex("0a0b0c0d0e0f")


def test_an_ipv4_address_is_announced_by_a_request_for_itself_to_everybody() -> None:
    frame = announce.frame(MAC, "10.0.0.5/24")
    address = ipaddress.ip_address("10.0.0.5").packed
    assert frame[:14] == b"\xff" * 6 + MAC + b"\x08\x06"
    assert struct.unpack("!HHBBH", frame[14:22]) == (1, 0x0800, 6, 4, 1)
    assert (frame[22:28], frame[28:32], frame[38:42]) == (MAC, address, address)


def test_an_ipv6_address_is_announced_by_an_advertisement_that_overrides_what_is_known() -> None:
    frame = announce.frame(MAC, "2001:db8::5/64")
    source = ipaddress.ip_address("2001:db8::5").packed
    header, message = frame[14:54], frame[54:]
    assert frame[:14] == bytes.fromhex("333300000001") + MAC + b"\x86\xdd"
    assert struct.unpack("!IHBB", header[:8]) == (6 << 28, len(message), 58, 255)  # a lower hop limit is not believed
    assert (header[8:24], header[24:40]) == (source, ipaddress.ip_address("ff02::1").packed)
    assert message[0] == 136
    assert struct.unpack("!I", message[4:8]) == (0x20000000,)
    assert message[8:24] == source
    assert message[24:] == b"\x02\x01" + MAC
    pseudo = header[8:40] + struct.pack("!II", len(message), 58)
    assert announce.checksum(pseudo + message) == 0


class Kernel:
    """FreeBSD as far as announcing needs it: what was asked of it, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[Any, ...]] = []

        def opened(path: str, _flags: int) -> int:
            self.asked.append(("open", path))
            return 77

        def ioctl(device: int, request: int, argument: bytes) -> int:
            self.asked.append(("ioctl", device, request, argument))
            return 0

        def written(device: int, data: bytes) -> int:
            self.asked.append(("write", device, data))
            return len(data)

        monkeypatch.setattr(os, "open", opened)
        monkeypatch.setattr(os, "write", written)
        monkeypatch.setattr(fcntl, "ioctl", ioctl)
        monkeypatch.setattr(announce, "attach", lambda jid: self.asked.append(("jail_attach", jid)))


def test_bpf_is_opened_on_the_host_and_bound_in_the_jails_network(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    announce.by_bpf("7", "jlc80362384e81b", "0a:0b:0c:0d:0e:0f", "10.0.0.5/24", "2001:db8::5/64")
    assert kernel.asked == [
        ("open", "/dev/bpf"),
        ("jail_attach", 7),
        ("ioctl", 77, 0x8020426C, b"jlc80362384e81b" + bytes(17)),
        ("ioctl", 77, 0x80044275, b"\x01\0\0\0"),
        ("write", 77, announce.frame(MAC, "10.0.0.5")),
        ("write", 77, announce.frame(MAC, "2001:db8::5")),
    ]


def test_a_shared_address_is_announced_from_the_host_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch)
    announce.by_bpf("0", "em0", "0a:0b:0c:0d:0e:0f", "10.0.0.5/24")
    assert [step[0] for step in kernel.asked] == ["open", "ioctl", "ioctl", "write"]


def test_requests_are_the_numbers_that_the_headers_macros_give() -> None:
    def write_request(group: str, number: int, size: int) -> int:  # sys/ioccom.h: _IOW
        return 0x80000000 | size << 16 | ord(group) << 8 | number

    assert write_request("B", 108, 32) == announce.BIOCSETIF
    assert write_request("B", 117, 4) == announce.BIOCSHDRCMPLT


def test_a_jail_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Libc:
        def jail_attach(self, _jid: int) -> int:
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Libc())
    monkeypatch.setattr(ctypes, "get_errno", lambda: 22)
    with pytest.raises(OSError, match="jail 7"):
        announce.attach(7)
