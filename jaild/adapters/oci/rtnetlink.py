"""What a jail's network takes of rtnetlink(7): its requests, and a socket that makes them. No program is started.

Numbers and layouts are those of linux/rtnetlink.h, if_link.h, if_addr.h and veth.h; all fields are in the machine's own
byte order, addresses in the network's.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_HEADER = struct.Struct("=IHHII")  # length, kind, flags, number, port
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, which of them are changed
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=8BI")  # family, lengths of destination and source, tos, table, protocol, scope, type, flags
_ATTRIBUTE = struct.Struct("=HH")  # length, kind
_NUMBER = struct.Struct("=I")

_NEW_LINK, _DELETE_LINK, _NEW_ADDRESS, _DELETE_ADDRESS, _NEW_ROUTE = 16, 17, 20, 21, 24
_REQUEST, _ACKNOWLEDGE, _REPLACE, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x100, 0x200, 0x400
_ERROR = 2  # the kind of every answer here: error 0 acknowledges
_MAC, _NAME, _MASTER, _INFO, _ALIAS, _OF_FAMILIES, _NAMESPACE = 1, 3, 10, 18, 20, 26, 28  # IFLA_…
_INFO_KIND, _INFO_DATA, _VETH_PEER, _GENERATED_ADDRESS, _NONE = 1, 2, 1, 8, 1
_UP = 0x1
_LOCAL, _WITHOUT_DAD = 2, 0x02  # IFA_LOCAL, IFA_F_NODAD
_OUT, _GATEWAY, _MAIN, _BOOT, _UNICAST = 4, 5, 254, 3, 1
_PEER_ADDRESS = 1  # IFA_ADDRESS
_ANSWER = 1 << 16  # bytes


@dataclass(frozen=True)
class Request:
    """One request. `what` says it as a person would, for errors."""

    what: str
    kind: int
    flags: int
    body: bytes


def veth(outer: str, inner: str, mac: str, namespace: int) -> Request:
    """Make a pair of interfaces: `outer` here, `inner` with the MAC address in an open namespace. Both are down."""
    peer = (_text(_NAME, inner), _attribute(_MAC, bytes.fromhex(mac.replace(":", ""))), _number(_NAMESPACE, namespace))
    data = _attribute(_INFO_DATA, _attribute(_VETH_PEER, _link(), *peer))
    info = _attribute(_INFO, _attribute(_INFO_KIND, b"veth"), data)
    return Request(f"making {outer}", _NEW_LINK, _CREATE | _EXCLUSIVE, _link() + _text(_NAME, outer) + info)


def named(name: str, alias: str) -> Request:
    """Give an interface another name for people, and no IPv6 address of the kernel's own when it comes up."""
    of_ipv6 = _attribute(socket.AF_INET6, _attribute(_GENERATED_ADDRESS, bytes([_NONE])))
    also = _attribute(_ALIAS, alias.encode()) + _attribute(_OF_FAMILIES, of_ipv6)
    return Request(f"naming {name}", _NEW_LINK, 0, _link() + _text(_NAME, name) + also)


def up(name: str) -> Request:
    """Bring an interface up."""
    return Request(f"bringing {name} up", _NEW_LINK, 0, _link(flags=_UP, changed=_UP) + _text(_NAME, name))


def put_on(name: str, bridge: int) -> Request:
    """Put an interface on the bridge of that index; 0: on none."""
    return Request(f"the bridge of {name}", _NEW_LINK, 0, _link() + _text(_NAME, name) + _number(_MASTER, bridge))


def delete(name: str) -> Request:
    """Take an interface away, and its peer with it."""
    return Request(f"deleting {name}", _DELETE_LINK, 0, _link() + _text(_NAME, name))


def address(index: int, text: str) -> Request:
    """Give an interface an address with its prefix length; one that it has stays.

    Without duplicate address detection: a jail's address moves with it, and a second of waiting would be downtime.
    """
    return Request(f"address {text}", _NEW_ADDRESS, _CREATE | _REPLACE, _address(index, text))


def without_address(index: int, text: str) -> Request:
    """Take an address from an interface."""
    return Request(f"taking address {text} away", _DELETE_ADDRESS, 0, _address(index, text))


def default_route(index: int, gateway: str) -> Request:
    """Send what is for nobody near through a gateway; another such route is replaced."""
    via = ipaddress.ip_address(gateway)
    family = socket.AF_INET6 if isinstance(via, ipaddress.IPv6Address) else socket.AF_INET
    head = _ROUTE.pack(family, 0, 0, 0, _MAIN, _BOOT, 0, _UNICAST, 0)
    body = head + _attribute(_GATEWAY, via.packed) + _number(_OUT, index)
    return Request(f"default route by {gateway}", _NEW_ROUTE, _CREATE | _REPLACE, body)


class Netlink:
    """A socket to the network namespace that its thread is in when it is made, wherever that goes later."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._socket.close()

    def carry_out(self, *requests: Request) -> None:
        """Make requests in order. The first that fails raises `OSError`, whose file name says what it was."""
        for request in requests:
            self._sent += 1
            flags = _REQUEST | _ACKNOWLEDGE | request.flags
            head = _HEADER.pack(_HEADER.size + len(request.body), request.kind, flags, self._sent, 0)
            self._socket.send(head + request.body)
            if number := self._answer():
                raise OSError(number, os.strerror(number), request.what)

    def _answer(self) -> int:
        while True:
            told = self._socket.recv(_ANSWER)
            _, kind, _, number, _ = _HEADER.unpack_from(told)
            if kind == _ERROR and number == self._sent:
                (error,) = struct.unpack_from("=i", told, _HEADER.size)
                return -int(error)


def _link(*, flags: int = 0, changed: int = 0) -> bytes:
    return _LINK.pack(socket.AF_UNSPEC, 0, 0, flags, changed)


def _address(index: int, text: str) -> bytes:
    given = ipaddress.ip_interface(text)
    v6 = isinstance(given, ipaddress.IPv6Interface)
    family, flags = (socket.AF_INET6, _WITHOUT_DAD) if v6 else (socket.AF_INET, 0)
    head = _ADDRESS.pack(family, given.network.prefixlen, flags, 0, index)
    return head + _attribute(_LOCAL, given.ip.packed) + _attribute(_PEER_ADDRESS, given.ip.packed)


def _attribute(kind: int, *content: bytes) -> bytes:
    data = b"".join(content)
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(data), kind) + data + bytes(-len(data) % 4)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode(), b"\0")


def _number(kind: int, number: int) -> bytes:
    return _attribute(kind, _NUMBER.pack(number))
