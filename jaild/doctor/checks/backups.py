"""Backup targets: what can be seen from here of why nothing could be sent to one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaild.doctor.checks.report import Check, error
from jaild.model.problems import Problem
from jaild.model.quantity import count

_OTHERS = 0o077  # ssh(1) ignores a private key that others may read


@dataclass(frozen=True, kw_only=True)
class FolderFacts:
    """A target that is a folder."""

    name: str
    path: str
    there: bool
    writable: bool


@dataclass(frozen=True, kw_only=True)
class SshFacts:
    """A target that is another host. Files that are not set are ''."""

    name: str
    program: bool  # ssh(1) is installed
    identity: str = ""
    mode: int | None = None  # of the key; None: it cannot be read
    uid: int = 0  # its owner
    known_hosts: str = ""
    knows: bool = True  # the file has a line at least


def check(found: Sequence[FolderFacts | SshFacts]) -> list[Check]:
    """Return what is wrong with them; nothing if there are none."""
    if not found:
        return []
    problems = tuple(problem for facts in found for problem in _of(facts))
    return [Check(topic="backup targets", summary=count(len(found), "target"), problems=problems)]


def _of(facts: FolderFacts | SshFacts) -> list[Problem]:
    return _folder(facts) if isinstance(facts, FolderFacts) else _ssh(facts)


def _folder(facts: FolderFacts) -> list[Problem]:
    if not facts.there:
        hint = f"mount what is to be there, or make it: install -d -m 700 {facts.path}"
        return [_error("BACKUP_FOLDER_MISSING", facts.name, f"{facts.path} is no folder", hint)]
    if not facts.writable:
        hint = "is its file system mounted read-only? Does its server let root write (NFS: maproot, no_root_squash)?"
        return [_error("BACKUP_FOLDER_READ_ONLY", facts.name, f"{facts.path} cannot be written to", hint)]
    return []


def _ssh(facts: SshFacts) -> list[Problem]:
    found = []
    if not facts.program:
        found.append(_error("SSH_MISSING", facts.name, "ssh is not installed", "install OpenSSH's client"))
    if facts.identity and facts.mode is None:
        hint = f"ssh-keygen -t ed25519 -N '' -f {facts.identity}; put its .pub into authorized_keys there"
        found.append(_error("BACKUP_KEY_MISSING", facts.name, f"the key {facts.identity} cannot be read", hint))
    elif facts.identity and facts.mode is not None and (facts.mode & _OTHERS or facts.uid != 0):
        what = (
            f"{facts.identity} may be read by others than root (uid {facts.uid}, mode {facts.mode:04o}): ssh ignores it"
        )
        hint = f"chown root {facts.identity}; chmod 600 {facts.identity}; if others use this host, make a new key"
        found.append(_error("KEY_EXPOSED", facts.name, what, hint))
    if facts.known_hosts and not facts.knows:
        hint = f"ssh-keyscan HOST >{facts.known_hosts}, and compare with the key on that host"
        what = f"{facts.known_hosts} is not there, or is empty: no host is trusted"
        found.append(_error("BACKUP_HOST_UNKNOWN", facts.name, what, hint))
    return found


def _error(code: str, name: str, message: str, hint: str) -> Problem:
    return error(code, f"backup target {name}: {message}", hint, subject=name)
