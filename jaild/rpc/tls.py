"""The three files that one end of a mutual TLS connection needs, and a listener's certificate that can be replaced."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import msgspec

from jaild.model.errors import UnavailableError


@dataclass(frozen=True, kw_only=True)
class Pem:
    """What stands in the three files."""

    certificate: bytes
    key: bytes
    authority: bytes


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PEM files. `authority` holds the certificates that the other end's must be signed by."""

    certificate: Path  # this host's own, with those between it and its authority
    key: Path  # of that certificate; nobody but root may read it
    authority: Path  # who signed the other end's certificate

    def read(self) -> Pem:
        """Read them. `UnavailableError` (TLS_FILE_UNREADABLE; TLS_FILE_UNUSABLE if they do not belong together)."""
        pem = Pem(certificate=_read(self.certificate), key=_read(self.key), authority=_read(self.authority))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("ALL:@SECLEVEL=0")  # which keys are long enough is for gRPC's library to say
        self._load_into(context)
        return pem

    def server_context(self) -> ssl.SSLContext:
        """Return what a server that is not gRPC's takes connections with: nobody without a certificate. As `read`."""
        for path in (self.certificate, self.key, self.authority):
            _read(path)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.verify_mode = ssl.CERT_REQUIRED
        self._load_into(context)
        return context

    def _load_into(self, context: ssl.SSLContext) -> None:
        try:
            # A password that is asked for at a terminal would stop the daemon: an empty one is given instead.
            context.load_cert_chain(self.certificate, self.key, password=lambda: b"")
            context.load_verify_locations(self.authority)
        except (OSError, ValueError) as error:  # SSLError is an OSError
            raise UnavailableError(
                "TLS_FILE_UNUSABLE",
                f"{self.certificate}, {self.key}, {self.authority}: {error}",
                hint="give the daemon a certificate with its own key, and the authority's certificate, each as PEM",
                resource=str(self.certificate),
            ) from error

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return a client's credentials. TLS_FILE_UNREADABLE if a file cannot be read."""
        return grpc.ssl_channel_credentials(_read(self.authority), _read(self.key), _read(self.certificate))


class ListenerTls:
    """A listener's certificate: it can be replaced while it listens. Connections that are there keep theirs."""

    def __init__(self, pem: Pem) -> None:
        self._pem = pem
        self._told = pem  # by gRPC's threads, at a handshake

    def replace(self, pem: Pem) -> None:
        """Use another one from the next connection on."""
        self._pem = pem

    def credentials(self) -> grpc.ServerCredentials:
        """Return credentials that let nobody in without a certificate."""
        fetch: Any = self._fetch  # may return None, which the stubs do not know
        return grpc.dynamic_ssl_server_credentials(_server(self._pem), fetch, require_client_authentication=True)

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what to use from now on; None for what was told last. Asked at each handshake."""
        pem = self._pem
        if pem == self._told:
            return None
        self._told = pem
        return _server(pem)


def _server(pem: Pem) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pem.key, pem.certificate)], root_certificates=pem.authority)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnavailableError(
            "TLS_FILE_UNREADABLE",
            f"{path}: {error.strerror}",
            hint="give the daemon a PEM file that it can read",
            resource=str(path),
        ) from error
