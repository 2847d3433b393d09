"""What stands in the configuration's PEM files, by openssl(1), which every FreeBSD has in its base."""

from __future__ import annotations

import re
import ssl
import stat
from collections.abc import Mapping

from jaild.doctor.checks.certificates import CertificateFacts
from jaild.model.errors import InternalError
from jaild.ports.process import Processes
from jaild.rpc.tls import TlsFiles

_NAMES = re.compile(r"(?:DNS|IP Address):([^,\s]+)")
_COMMON = re.compile(r"^subject=.*?\bCN ?= ?([^,/+\n]+)", re.MULTILINE)
_TIMEOUT = 20.0  # seconds


async def certificates(processes: Processes, files: Mapping[str, TlsFiles]) -> list[CertificateFacts]:
    """Read what each setting names."""
    return [await _read(processes, setting, tls) for setting, tls in files.items()]


async def _read(processes: Processes, setting: str, tls: TlsFiles) -> CertificateFacts:
    file = str(tls.certificate)
    try:
        shown = await _openssl(
            processes,
            *("x509", "-in", file, "-noout", "-subject", "-startdate", "-enddate"),
            *("-ext", "subjectAltName", "-nameopt", "RFC2253"),
        )
        authority = await _openssl(processes, "x509", "-in", str(tls.authority), "-noout", "-enddate")
        chain = await processes.run(
            ("openssl", "verify", "-no_check_time", "-CAfile", str(tls.authority), file), check=False, timeout=_TIMEOUT
        )
    except InternalError as error:  # openssl said no; that there is none, or no answer, is no certificate's fault
        stderr = error.detail.get("stderr", error.message).strip()
        return CertificateFacts(setting=setting, file=file, problem=stderr.partition("\n")[0])
    uid, mode, problem = _key(tls)
    common = _COMMON.findall(shown)
    return CertificateFacts(
        setting=setting,
        file=file,
        names=tuple(dict.fromkeys([*common, *_NAMES.findall(shown)])),
        begins=_date(shown, "notBefore"),
        ends=_date(shown, "notAfter"),
        key=str(tls.key),
        key_uid=uid,
        key_mode=mode,
        key_problem=problem,
        chain_problem="" if chain.status == 0 else _reason(chain.text + chain.error_text),
        authority_ends=_date(authority, "notAfter"),
    )


async def _openssl(processes: Processes, *arguments: str) -> str:
    return (await processes.run(("openssl", *arguments), timeout=_TIMEOUT)).text


def _key(tls: TlsFiles) -> tuple[int, int, str]:
    """Return owner and mode of the key, and why it cannot be used."""
    try:
        status = tls.key.stat()
    except OSError as error:
        return 0, 0o600, error.strerror or str(error)
    try:
        # A password that is asked for at a terminal would stop the daemon: an empty one is given instead.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key, password=lambda: b"")
    except (ssl.SSLError, OSError, ValueError) as error:
        mismatch = "key values mismatch" in str(error)
        return status.st_uid, stat.S_IMODE(status.st_mode), "is not the certificate's key" if mismatch else str(error)
    return status.st_uid, stat.S_IMODE(status.st_mode), ""


def _date(text: str, field: str) -> float:
    return float(ssl.cert_time_to_seconds(text.partition(f"{field}=")[2].partition("\n")[0].strip()))


def _reason(text: str) -> str:
    """Return what `openssl verify` says at the depth where it failed: `unable to get local issuer certificate`."""
    found = re.search(r"error \d+ at \d+ depth lookup: ?(.+)", text)
    return found[1].strip() if found else text.strip().partition("\n")[0]
