"""A small certificate authority for a fleet's hosts and clients, by openssl(1)."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from jaild.model.errors import InvalidArgumentError
from jaild.ports.process import Processes
from jaild.rpc.tls import TlsFiles

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_CA_DAYS = "3650"
_DAYS = "825"  # the most that clients in general accept
_CA_CONFIG = """\
[req]
distinguished_name = name
x509_extensions = authority
prompt = no
[name]
CN = jaild authority
[authority]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
"""
_REQUEST_CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = {addresses}
"""


class CertificateAuthority:
    """Signs certificates that serve both ends of a connection. Its files are in `folder`, made when first needed."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes = processes
        self._folder = folder
        self._one_at_a_time = asyncio.Lock()

    @property
    def certificate(self) -> Path:
        """The authority's own certificate, which both ends need."""
        return self._folder / "authority.pem"

    async def issue(self, name: str, addresses: Sequence[str] = ()) -> TlsFiles:
        """Return a new key and certificate for a host or client called `name`, reached by `addresses`.

        `addresses` are IP addresses and DNS names; `name` is always one of them. Replaces an earlier one.
        Raises `InvalidArgumentError` (INVALID_NAME), and what `Processes.run` raises.
        """
        alternatives = [_alternative(address) for address in dict.fromkeys((name, *addresses))]
        if not _NAME.fullmatch(name) or name == "authority":
            raise _invalid(name)
        async with self._one_at_a_time:
            await self._ensure_authority()
            await self._sign(name, ",".join(alternatives))
        return TlsFiles(
            certificate=self._folder / f"{name}.pem", key=self._folder / f"{name}.key", authority=self.certificate
        )

    async def _ensure_authority(self) -> None:
        if self.certificate.exists():
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        config = self._write("authority.cnf", _CA_CONFIG)
        fresh = self._folder / "authority.pem.new"
        key = self._new_key("authority")
        await self._openssl(
            "req", "-x509", "-new", *_KEY, "-keyout", key, "-out", fresh, "-days", _CA_DAYS, "-config", config
        )
        fresh.replace(self.certificate)  # last: where it is, the key is too

    async def _sign(self, name: str, alternatives: str) -> None:
        config = self._write(f"{name}.cnf", _REQUEST_CONFIG.format(name=name, addresses=alternatives))
        request = self._folder / f"{name}.csr"
        await self._openssl("req", "-new", *_KEY, "-keyout", self._new_key(name), "-out", request, "-config", config)
        await self._openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._folder / "authority.key"),
            *("-set_serial", f"0x{secrets.randbits(127):x}", "-days", _DAYS, "-sha256"),
            *("-extfile", config, "-extensions", "leaf", "-out", self._folder / f"{name}.pem"),
        )
        request.unlink()
        config.unlink()

    async def _openssl(self, *arguments: str | Path) -> None:
        await self._processes.run(["openssl", *map(str, arguments)], timeout=30.0)

    def _write(self, file: str, text: str) -> Path:
        path = self._folder / file
        path.write_text(text)
        return path

    def _new_key(self, name: str) -> Path:
        """Return the key's path, made empty first: older openssl would create it readable by all."""
        path = self._folder / f"{name}.key"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        return path


def _alternative(address: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(address)}"
    except ValueError:
        if not _NAME.fullmatch(address):
            raise _invalid(address) from None
        return f"DNS:{address}"


def _invalid(name: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "INVALID_NAME",
        f"{name!r} cannot stand in a certificate",
        hint="use an IP address, or up to 64 of A-Z, a-z, 0-9 and ._-, starting and ending with a letter or digit",
    )
