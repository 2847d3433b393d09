"""Which paths of a jail may be covered by a volume or a release: those that hide nothing that the jail lives on."""

from __future__ import annotations

import re

# A path is shown by mount(8) in columns and kept in /proc/self/mountinfo in octal: printable ASCII without white space,
# \ and # stays readable everywhere.
_PATH = re.compile(r"(/[^/\s\\#]+)+|/", re.ASCII)
_LONGEST = 256  # FreeBSD's statfs holds 1024 with the host's prefix before it
_SYSTEM = frozenset(
    "/ /bin /boot /compat /dev /etc /lib /lib32 /lib64 /libexec /proc /rescue /run /sbin /sys /tmp "  # noqa: SIM905
    "/usr /usr/bin /usr/lib /usr/lib32 /usr/libdata /usr/libexec /usr/sbin /usr/share "
    "/home /root /var /var/db /var/db/pkg /var/lib /var/lib/dpkg /var/run".split()
)
_SYSTEM_TREES = ("/dev", "/etc", "/proc", "/sys")
_RELEASE = frozenset({"/usr/local", "/usr/local/etc"})
_DATA = ("/var", "/root", "/home")


def malformed(path: str) -> str:
    """Return what is wrong with the form of an absolute path in a jail, or nothing."""
    if not path.startswith("/"):
        return "it must be absolute"
    if any(part in {".", ".."} for part in path.split("/")):
        return "it must not hold . or .."
    if not _PATH.fullmatch(path) or not path.isprintable() or not path.isascii() or len(path) > _LONGEST:
        return f"at most {_LONGEST} printable ASCII characters, no white space, \\ or #, no / doubled or at the end"
    return ""


def not_for_a_volume(path: str) -> str:
    """Return why a volume must not be mounted at `path`, or nothing."""
    if path in _RELEASE:
        return "it would hide the release: choose a folder below it"
    return malformed(path) or _over_system(path)


def not_for_a_release(path: str) -> str:
    """Return why a release must not be mounted at `path`, or nothing."""
    return malformed(path) or _over_system(path)


def not_in_data(path: str) -> str:
    """Return why `path` is not in the jail's data, or nothing."""
    return malformed(path) or (
        "" if path.startswith(tuple(f"{p}/" for p in _DATA)) else f"it must be below {', '.join(_DATA)}"
    )


def _over_system(path: str) -> str:
    if path in _SYSTEM or path.startswith(tuple(f"{p}/" for p in _SYSTEM_TREES)):
        return "it would hide a part of the system: choose a folder of its own, such as /var/lib/NAME"
    return ""
