"""The certificates of the configuration: valid today, for a while, for this host, and their keys root's alone. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from jaild.doctor.checks.report import Check, error, note, warning
from jaild.model.problems import Problem

_SOON = 30 * 86400  # seconds
_OTHERS = 0o077


@dataclass(frozen=True, kw_only=True)
class CertificateFacts:
    """One certificate with its key and authority, as `setting` (listen.tls, peers.beta.tls) names them."""

    setting: str
    file: str
    problem: str = ""  # why it cannot be read
    names: tuple[str, ...] = ()  # common name and alternative names
    begins: float = 0.0  # seconds since the epoch
    ends: float = 0.0
    key: str = ""
    key_uid: int = 0
    key_mode: int = 0o600
    key_problem: str = ""  # why the key cannot be read or does not fit
    chain_problem: str = ""  # why it is not signed by the authority
    authority_ends: float = 0.0


def check(host: str, found: Sequence[CertificateFacts], now: float) -> Check:
    """Return what is wrong with them, for a host that its peers call `host`."""
    if not found:
        alone = note("NO_CERTIFICATES", "neither `listen` nor `peers` is set: only root on this host can use the API")
        return Check(topic="certificates", problems=(alone,))
    problems = [problem for facts in found for problem in _certificate(host, facts, now)]
    earliest = min((facts.ends for facts in found if not facts.problem), default=0.0)
    summary = f"{len({facts.file for facts in found})} of this host"
    if earliest:
        summary += f", the first expires on {_day(earliest)}"
    return Check(topic="certificates", summary=summary, problems=tuple(dict.fromkeys(problems)))


def _certificate(host: str, facts: CertificateFacts, now: float) -> list[Problem]:
    if facts.problem:
        what = f"{facts.setting}: {facts.problem}"
        return [error("CERTIFICATE_UNREADABLE", what, "give it a PEM file that root can read", subject=facts.file)]
    problems = [*_time(facts.file, facts.begins, facts.ends, now)]
    if facts.authority_ends:
        problems += _time(f"the authority of {facts.file}", 0.0, facts.authority_ends, now)
    if host not in facts.names:
        what = f"{facts.file} is for {', '.join(facts.names) or 'nobody'}, and this host is called {host}"
        hint = "sign one with the configured `name`, or change `name`: peers accept a host's own migrations only"
        problems.append(error("CERTIFICATE_NAME", what, hint, subject=facts.file))
    if facts.chain_problem:
        what = f"{facts.file}: {facts.chain_problem}"
        problems.append(
            error("CERTIFICATE_UNTRUSTED", what, "sign it by the authority that peers know", subject=facts.file)
        )
    if facts.key_problem:
        what = f"{facts.key}: {facts.key_problem}"
        problems.append(
            error("KEY_UNUSABLE", what, "put the key there that the certificate was made of", subject=facts.key)
        )
    elif facts.key_mode & _OTHERS or facts.key_uid != 0:
        what = f"{facts.key} can be read by others than root (uid {facts.key_uid}, mode {facts.key_mode:04o})"
        hint = f"chown root {facts.key}; chmod 600 {facts.key}; if others use this host, make a new key"
        problems.append(error("KEY_EXPOSED", what, hint, subject=facts.key))
    return problems


def _time(what: str, begins: float, ends: float, now: float) -> list[Problem]:
    renew = "renew it, then: jailctl host reload"
    if now >= ends:
        return [error("CERTIFICATE_EXPIRED", f"{what} expired on {_day(ends)}", renew, subject=what)]
    if now < begins:
        message = f"{what} is not valid before {_day(begins)}"
        return [error("CERTIFICATE_NOT_YET_VALID", message, "is the clock right?", subject=what)]
    if ends - now < _SOON:
        left = int((ends - now) // 86400)
        message = f"{what} expires on {_day(ends)}, in {left} days"
        return [warning("CERTIFICATE_EXPIRES_SOON", message, renew, subject=what)]
    return []


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
