"""What is said of certificates: decisions by tables, facts from files that openssl made."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from jaild.adapters.certificates import CertificateAuthority
from jaild.adapters.system.process import ProcessRunner
from jaild.doctor.checks import certificates
from jaild.doctor.checks.certificates import CertificateFacts
from jaild.doctor.facts import tls
from jaild.model.errors import UnavailableError
from jaild.rpc.tls import TlsFiles
from tests.fakes.processes import Argv, Said, ScriptedProcesses

DAY = 86400.0
NOW = 1_800_000_000.0
GOOD = CertificateFacts(
    setting="listen.tls",
    file="alpha.pem",
    names=("alpha", "192.0.2.11"),
    begins=NOW - DAY,
    ends=NOW + 300 * DAY,
    key="alpha.key",
    authority_ends=NOW + 3000 * DAY,
)


def told(*facts: CertificateFacts, host: str = "alpha", now: float = NOW) -> list[str]:
    problems = certificates.check(host, facts, now).problems
    return [f"{problem.severity} {problem.code}" for problem in problems]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"ends": NOW}, ["error CERTIFICATE_EXPIRED"]),
        ({"ends": NOW + 29 * DAY}, ["warning CERTIFICATE_EXPIRES_SOON"]),
        ({"ends": NOW + 30 * DAY}, []),
        ({"begins": NOW + DAY}, ["error CERTIFICATE_NOT_YET_VALID"]),
        ({"authority_ends": NOW - 1}, ["error CERTIFICATE_EXPIRED"]),
        ({"names": ("alpha.example",)}, ["error CERTIFICATE_NAME"]),
        ({"chain_problem": "unable to get local issuer certificate"}, ["error CERTIFICATE_UNTRUSTED"]),
        ({"key_problem": "is not the certificate's key"}, ["error KEY_UNUSABLE"]),
        ({"key_mode": 0o640}, ["error KEY_EXPOSED"]),
        ({"key_uid": 1001}, ["error KEY_EXPOSED"]),
        ({"problem": "Can't open alpha.pem"}, ["error CERTIFICATE_UNREADABLE"]),
    ],
)
def test_what_is_wrong_with_a_certificate(changes: dict[str, object], expected: list[str]) -> None:
    facts = replace(GOOD, **changes)  # type: ignore[arg-type]
    assert told(facts) == expected
    assert all(problem.hint for problem in certificates.check("alpha", [facts], NOW).problems)


def test_a_certificate_that_serves_several_settings_is_told_of_once() -> None:
    old = replace(GOOD, ends=NOW)
    assert told(old, replace(old, setting="peers.beta.tls")) == ["error CERTIFICATE_EXPIRED"]


def test_a_host_without_certificates_is_reached_by_its_own_root_alone() -> None:
    assert told() == ["note NO_CERTIFICATES"]


@pytest.fixture
async def files(tmp_path: Path) -> TlsFiles:
    return await CertificateAuthority(ProcessRunner(), tmp_path / "ca").issue("alpha", ["192.0.2.11"])


async def read(files: TlsFiles) -> CertificateFacts:
    (facts,) = await tls.certificates(ProcessRunner(), {"listen.tls": files})
    return facts


async def test_what_openssl_made_is_read_as_it_was_meant(files: TlsFiles) -> None:
    facts = await read(files)
    assert facts.names == ("alpha", "192.0.2.11")
    assert facts.begins <= time.time() < facts.ends < facts.authority_ends
    assert (facts.problem, facts.key_problem, facts.chain_problem, facts.key_mode) == ("", "", "", 0o600)


async def test_a_key_of_another_certificate_and_one_that_all_can_read_are_seen(files: TlsFiles, tmp_path: Path) -> None:
    other = await CertificateAuthority(ProcessRunner(), tmp_path / "ca").issue("beta")
    other.key.chmod(0o644)
    facts = await read(TlsFiles(certificate=files.certificate, key=other.key, authority=files.authority))
    assert (facts.key_problem, facts.key_mode) == ("is not the certificate's key", 0o644)


async def test_a_certificate_of_another_authority_is_seen(files: TlsFiles, tmp_path: Path) -> None:
    foreign = await CertificateAuthority(ProcessRunner(), tmp_path / "elsewhere").issue("alpha")
    facts = await read(TlsFiles(certificate=foreign.certificate, key=foreign.key, authority=files.authority))
    assert facts.chain_problem
    assert facts.key_problem == ""


async def test_where_there_is_no_openssl_no_certificate_is_blamed(files: TlsFiles) -> None:
    async def answer(argv: Argv, _stdin: bytes) -> Said:
        raise UnavailableError("PROGRAM_MISSING", f"{argv[0]}: No such file or directory", resource=argv[0])

    with pytest.raises(UnavailableError):
        await tls.certificates(ScriptedProcesses(answer), {"listen.tls": files})


async def test_a_file_that_is_no_certificate_is_told_and_not_raised(files: TlsFiles, tmp_path: Path) -> None:
    absent = await read(TlsFiles(certificate=tmp_path / "no.pem", key=files.key, authority=files.authority))
    assert "no.pem" in absent.problem
    gone = await read(TlsFiles(certificate=files.certificate, key=tmp_path / "no.key", authority=files.authority))
    assert gone.key_problem == "No such file or directory"
