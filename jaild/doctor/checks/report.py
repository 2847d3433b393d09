"""What `jaild doctor` says: one check for each thing that was looked at, with what it found. Pure."""

from __future__ import annotations

import textwrap

import msgspec

from jaild.model.findings import Finding, Severity

_WIDTH = 110
_INDENT = " " * 24


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `summary` says what is there, `findings` what is wrong with it."""

    topic: str
    summary: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def word(self) -> str:
        """`ok`, or the worst of its findings."""
        for severity in (Severity.ERROR, Severity.WARNING, Severity.NOTE):
            if any(finding.severity is severity for finding in self.findings):
                return severity.value
        return "ok"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    host: str
    version: str  # of jaild
    checks: tuple[Check, ...]

    @property
    def errors(self) -> int:
        """How many errors there are."""
        return self._count(Severity.ERROR)

    @property
    def warnings(self) -> int:
        """How many warnings there are."""
        return self._count(Severity.WARNING)

    def _count(self, severity: Severity) -> int:
        return sum(finding.severity is severity for check in self.checks for finding in check.findings)


def text(report: Report) -> str:
    """Return the report for people: a line for each check, its findings and remedies below it."""
    lines = [f"jaild {report.version} on {report.host}"]
    for check in report.checks:
        head = f"{check.word:<8} {check.topic:<14} "
        lines += _wrapped(head + (check.summary or (check.findings[0].message if check.findings else "")))
        for finding in check.findings:
            if check.summary or finding is not check.findings[0]:
                lines += _wrapped(f"{_INDENT}{finding.message}")
            lines[-1] += f" ({finding.code})"
            lines += [line for piece in finding.evidence for line in _wrapped(f"{_INDENT}| {piece}")]
            if finding.remedy:
                lines += _wrapped(f"{_INDENT}to do: {finding.remedy}")
    return "\n".join([*lines, _verdict(report)])


def json(report: Report) -> str:
    """Return the report for programs: {host, version, errors, warnings, checks: [{topic, word, summary, findings}]}."""
    checks = [{**msgspec.to_builtins(check), "word": check.word} for check in report.checks]
    told = {
        "host": report.host,
        "version": report.version,
        "errors": report.errors,
        "warnings": report.warnings,
        "checks": checks,
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=2).decode()


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(
        line, _WIDTH, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    ) or [line]


def _verdict(report: Report) -> str:
    if not report.errors and not report.warnings:
        return "nothing is wrong"
    return f"{report.errors} errors, {report.warnings} warnings"


def error(code: str, message: str, remedy: str, *, subject: str = "", evidence: tuple[str, ...] = ()) -> Finding:
    """Return what keeps jaild from working."""
    return Finding(
        severity=Severity.ERROR, code=code, message=message, remedy=remedy, subject=subject, evidence=evidence
    )


def warning(code: str, message: str, remedy: str, *, subject: str = "", evidence: tuple[str, ...] = ()) -> Finding:
    """Return what will keep it from working one day, or keeps a part of it."""
    return Finding(
        severity=Severity.WARNING, code=code, message=message, remedy=remedy, subject=subject, evidence=evidence
    )


def note(code: str, message: str, remedy: str = "", *, subject: str = "") -> Finding:
    """Return what one should know."""
    return Finding(severity=Severity.NOTE, code=code, message=message, remedy=remedy, subject=subject)
