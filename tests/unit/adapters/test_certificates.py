"""The small certificate authority."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from jaild.adapters.certificates import CertificateAuthority
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import InvalidArgumentError

RUNNER = ProcessRunner()


async def text_of(certificate: Path) -> str:
    return (await RUNNER.run(["openssl", "x509", "-in", str(certificate), "-noout", "-text"])).text


async def test_a_certificate_serves_both_ends_and_names_all_its_addresses(tmp_path: Path) -> None:
    files = await CertificateAuthority(RUNNER, tmp_path / "ca").issue("alpha", ["10.0.0.1", "2001:db8::1", "alpha.lan"])
    text = await text_of(files.certificate)
    assert re.search(r"Subject: CN ?= ?alpha$", text, re.MULTILINE)  # OpenSSL 3.5 writes no blanks
    for expected in (
        "DNS:alpha, IP Address:10.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1, DNS:alpha.lan",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "CA:FALSE",
    ):
        assert expected in text
    verified = await RUNNER.run(["openssl", "verify", "-CAfile", str(files.authority), str(files.certificate)])
    assert verified.status == 0


async def test_keys_and_their_folder_are_for_the_owner_only(tmp_path: Path) -> None:
    files = await CertificateAuthority(RUNNER, tmp_path / "ca").issue("alpha")
    assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700
    for key in (files.key, tmp_path / "ca" / "authority.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert b"PRIVATE KEY" in key.read_bytes()


async def test_an_authority_is_made_once_and_found_again(tmp_path: Path) -> None:
    first = await CertificateAuthority(RUNNER, tmp_path / "ca").issue("alpha")
    authority = first.authority.read_bytes()
    second = await CertificateAuthority(RUNNER, tmp_path / "ca").issue("beta")
    assert second.authority.read_bytes() == authority
    await RUNNER.run(["openssl", "verify", "-CAfile", str(second.authority), str(first.certificate)])


@pytest.mark.parametrize("name", ["", "../x", "a\nb", "a,DNS:b", "authority", "-x"])
async def test_a_name_that_would_say_more_than_itself_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="INVALID_NAME"):
        await CertificateAuthority(RUNNER, tmp_path / "ca").issue(name)
    with pytest.raises(InvalidArgumentError, match="INVALID_NAME"):
        await CertificateAuthority(RUNNER, tmp_path / "ca").issue("a", ["b,DNS:c"])
