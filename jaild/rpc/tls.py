"""The three files that one end of a mutual TLS connection needs."""

from __future__ import annotations

from pathlib import Path

import grpc
import msgspec

from jaild.model.errors import UnavailableError


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PEM files. `authority` holds the certificates that the other end's must be signed by."""

    certificate: Path
    key: Path
    authority: Path

    def server_credentials(self) -> grpc.ServerCredentials:
        """Return credentials that let nobody in without a certificate. TLS_FILE_UNREADABLE if a file cannot be read."""
        return grpc.ssl_server_credentials(
            [(_read(self.key), _read(self.certificate))],
            root_certificates=_read(self.authority),
            require_client_auth=True,
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return a client's credentials. TLS_FILE_UNREADABLE if a file cannot be read."""
        return grpc.ssl_channel_credentials(_read(self.authority), _read(self.key), _read(self.certificate))


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
