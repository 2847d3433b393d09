"""What `jaild doctor` says: one check for each thing that was looked at, with what it found. Pure."""

from __future__ import annotations

import textwrap

import msgspec

from jaild.model import quantity
from jaild.model.problems import Problem, Severity

_WIDTH = 110
_INDENT = " " * 24


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `summary` says what is there, `problems` what is wrong with it."""

    topic: str
    summary: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def word(self) -> str:
        """`ok`, or the worst of its problems."""
        for severity in (Severity.ERROR, Severity.WARNING, Severity.NOTE):
            if any(problem.severity is severity for problem in self.problems):
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
        return sum(problem.severity is severity for check in self.checks for problem in check.problems)


def text(report: Report) -> str:
    """Return the report for people: a line for each check, its problems and hints below it."""
    lines = [f"jaild {report.version} on {report.host}"]
    for check in report.checks:
        head = f"{check.word:<8} {check.topic:<14} "
        lines += _wrapped(head + (check.summary or (check.problems[0].message if check.problems else "")))
        for problem in check.problems:
            if check.summary or problem is not check.problems[0]:
                lines += _wrapped(f"{_INDENT}{problem.message}")
            lines[-1] += f" ({problem.code})"
            lines += [line for piece in problem.evidence for line in _wrapped(f"{_INDENT}| {piece}")]
            if problem.hint:
                lines += _wrapped(f"{_INDENT}hint: {problem.hint}")
    return "\n".join([*lines, _verdict(report)])


def json(report: Report) -> str:
    """Return the report for programs: {host, version, errors, warnings, checks: [{topic, word, summary, problems}]}.

    Problems and their hints are there under their former names, too, for one version: `findings`, `remedy`.
    """
    told = {
        "host": report.host,
        "version": report.version,
        "errors": report.errors,
        "warnings": report.warnings,
        "checks": [_told(check) for check in report.checks],
    }
    return msgspec.json.format(msgspec.json.encode(told), indent=2).decode()


def _told(check: Check) -> dict[str, object]:
    problems = [msgspec.to_builtins(each) | {"hint": each.hint} for each in check.problems]
    return {**msgspec.to_builtins(check), "word": check.word, "problems": problems, "findings": problems}


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(
        line, _WIDTH, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    ) or [line]


def _verdict(report: Report) -> str:
    if not report.errors and not report.warnings:
        return "nothing is wrong"
    return f"{quantity.count(report.errors, 'error')}, {quantity.count(report.warnings, 'warning')}"


def error(code: str, message: str, hint: str, *, subject: str = "", evidence: tuple[str, ...] = ()) -> Problem:
    """Return what keeps jaild from working."""
    return Problem(severity=Severity.ERROR, code=code, message=message, hint=hint, subject=subject, evidence=evidence)


def warning(code: str, message: str, hint: str, *, subject: str = "", evidence: tuple[str, ...] = ()) -> Problem:
    """Return what will keep it from working one day, or keeps a part of it."""
    return Problem(severity=Severity.WARNING, code=code, message=message, hint=hint, subject=subject, evidence=evidence)


def note(code: str, message: str, hint: str = "", *, subject: str = "") -> Problem:
    """Return what one should know."""
    return Problem(severity=Severity.NOTE, code=code, message=message, hint=hint, subject=subject)
