"""Registries: skopeo is there, and the files by which they know us, which are root's alone. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaild.doctor.checks.report import Check, error, warning
from jaild.model.problems import Problem

_OTHERS = 0o077


@dataclass(frozen=True, kw_only=True)
class RegistryFile:
    """A file or folder that the configuration names for a registry."""

    registry: str
    setting: str
    path: str
    there: bool
    secret: bool = False
    uid: int = 0
    mode: int = 0o600


def check(registries: int, skopeo: str | None, files: Sequence[RegistryFile]) -> list[Check]:
    """Return what is wrong; nothing if there are no registries. `skopeo`: its path, None if it is not there."""
    if not registries:
        return []
    problems = [problem for file in files for problem in _of(file)]
    if skopeo is None:
        hint = "apt install skopeo (Debian), pkg install skopeo (FreeBSD); or take `registries` out"
        problems.insert(0, error("PROGRAM_MISSING", "registries are configured, and there is no skopeo", hint))
    name = "registry" if registries == 1 else "registries"
    return [Check(topic="registries", summary=f"{registries} {name}", problems=tuple(problems))]


def _of(file: RegistryFile) -> list[Problem]:
    if not file.there:
        what = f"{file.setting} of {file.registry} is not there: {file.path}"
        return [error("REGISTRY_FILE_MISSING", what, "make it, or take the setting out", subject=file.path)]
    if file.secret and (file.mode & _OTHERS or file.uid != 0):
        what = f"{file.path} can be read by others than root (uid {file.uid}, mode {file.mode:04o})"
        hint = f"chown root {file.path}; chmod 600 {file.path}; if others use this host, change the password"
        return [warning("KEY_EXPOSED", what, hint, subject=file.path)]
    return []
