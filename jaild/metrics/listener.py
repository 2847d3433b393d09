"""Where metrics are asked for: the setting `metrics` of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from jaild.model.loopback import is_loopback
from jaild.rpc.tls import TlsFiles

_PORTS = 1 << 16


class Listener(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address for GET /metrics: `host:port`, port 0 for any free one, or `unix:` and a socket's path.

    Without `tls` it is for this host alone.
    """

    address: str  # host:port, or unix:/path
    tls: TlsFiles | None = None  # with it a client shows a certificate that has the role metrics, or may read all
    insecure: bool = False  # without `tls`, listen on an address that other hosts reach, too: whoever does reads all
    every: Annotated[float, msgspec.Meta(ge=1)] = 60.0  # seconds between two looks at what takes long

    def __post_init__(self) -> None:
        """Refuse what is no address, and one that is open to all without being said to be."""
        if self.path is not None:
            if self.tls is not None:
                raise ValueError(f"{self.address} is for this host alone: it takes no tls")
            return
        host, _ = self.place
        if self.tls is None and not self.insecure and not is_loopback(host):
            raise ValueError(f"without tls {self.address} is open to other hosts: give it tls, or say insecure: true")

    @property
    def url(self) -> str:
        """What to ask, as far as the address says it: 0.0.0.0 is any of the host's."""
        if self.path is not None:
            return self.address
        return f"{'https' if self.tls is not None else 'http'}://{self.address}/metrics"

    @property
    def path(self) -> Path | None:
        """The socket's path; None for an address of the network."""
        kind, _, path = self.address.partition(":")
        if kind != "unix":
            return None
        if not path.startswith("/"):
            raise ValueError(f"{self.address} is no address: give unix: and an absolute path")
        return Path(path)

    @property
    def place(self) -> tuple[str, int]:
        """The address, and the port."""
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdecimal() or int(port) >= _PORTS:
            raise ValueError(
                f"{self.address} is no address: give host:port, such as 127.0.0.1:9464 or [::1]:9464, or unix:/path"
            )
        return host.removeprefix("[").removesuffix("]"), int(port)
