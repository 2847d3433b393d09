"""What a ZFS says, as typed errors. Texts recorded from OpenZFS 2.1 (FreeBSD) and zfs-fuse 0.7 (Debian)."""

from __future__ import annotations

import re

from jaild.model.errors import (
    AbortedError,
    AlreadyExistsError,
    DataLossError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    JaildError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnavailableError,
    command_failed,
)
from jaild.ports.process import Completed

_KINDS: dict[str, tuple[type[JaildError], str]] = {
    "DATASET_NOT_FOUND": (NotFoundError, "check the name with `zfs list`"),
    "DATASET_EXISTS": (AlreadyExistsError, "take another name, or destroy what is there"),
    "DATASET_BUSY": (FailedPreconditionError, "find what uses it (fuser, fstat), stop that, then try again"),
    "DATASET_HAS_CLONES": (FailedPreconditionError, "destroy its clones first, or keep it"),
    "DATASET_HAS_CHILDREN": (FailedPreconditionError, "destroy what is below it first, or ask for all of it to go"),
    "DATASET_MODIFIED": (
        FailedPreconditionError,
        "somebody wrote to the target: keep what they wrote elsewhere, roll the target back, then send again",
    ),
    "KEY_UNAVAILABLE": (FailedPreconditionError, "load its key: jailctl jail load-key NAME"),
    "KEY_INCORRECT": (InvalidArgumentError, "use the key that it was created with, or changed to (zfs change-key)"),
    "KEY_INVALID": (
        InvalidArgumentError,
        "a passphrase has 8 to 512 bytes, a hex key 64 digits, a raw key 32 bytes: see keyformat in zfsprops(7)",
    ),
    "ENCRYPTION_DIFFERS": (
        FailedPreconditionError,
        "raw and other streams cannot be mixed: remove the copy that is there, then send all of it",
    ),
    "SNAPSHOT_HELD": (FailedPreconditionError, "see who holds it with `zfs holds`; an operation may still need it"),
    "POOL_READONLY": (FailedPreconditionError, "import the pool for writing"),
    "NO_SPACE": (ResourceExhaustedError, "free space in the pool, or raise the quota"),
    "INVALID_DATASET_NAME": (InvalidArgumentError, "use letters, digits, - _ . : and / between components"),
    "INVALID_PROPERTY": (InvalidArgumentError, "see zfsprops(7) for what the property takes"),
    "ZFS_PERMISSION": (PermissionDeniedError, "run jaild as root, or delegate with `zfs allow`"),
    "ZFS_UNAVAILABLE": (UnavailableError, "load the zfs module, or start zfs-fuse"),
    "STREAM_INVALID": (DataLossError, "send again; what had arrived of it is not used"),
    "RECEIVE_OVERTAKEN": (
        AbortedError,
        "send again; if it happens every time: stop what snapshots that dataset so often, until this has come",
    ),
    "STREAM_BASE_MISSING": (
        FailedPreconditionError,
        "send from a snapshot that both sides have (by guid), or a full stream",
    ),
    "DATA_UNREADABLE": (
        DataLossError,
        "the pool has damaged blocks (zpool status -v): save what can be read: jailctl jail salvage NAME --to HOST",
    ),
    "STREAM_UNSUPPORTED": (FailedPreconditionError, "upgrade the receiving pool or system"),
    "RECEIVE_INTERRUPTED": (FailedPreconditionError, "resume with its token, or abort it, then send again"),
    "TOKEN_STALE": (FailedPreconditionError, "abort the interrupted receive, then send again"),
    "ORIGIN_AMBIGUOUS": (FailedPreconditionError, "destroy the twin of the origin, or send a full stream"),
}

# In order: the first that fits is it. What is more special stands first.
_SAYINGS: dict[str, tuple[str, ...]] = {
    "ZFS_UNAVAILABLE": (
        "zfs-fuse daemon is running",
        "unable to open /dev/zfs: no such",
        "modules (are|is) not loaded",
        "modules cannot be auto-loaded",
    ),
    "ZFS_PERMISSION": ("permission denied", "operation not permitted", "must be superuser"),
    "KEY_INCORRECT": ("incorrect key provided",),
    "KEY_INVALID": (
        r"passphrase too (short|long)",
        r"raw key too (short|long)",
        r"hex key too (short|long)",
        "invalid hex",
    ),
    "KEY_UNAVAILABLE": ("encryption key not loaded", "key must be loaded", "key is not (loaded|available)"),
    "ENCRYPTION_DIFFERS": (
        "raw receive on top of existing unencrypted",
        "raw receive on top of existing encrypted",
        "raw send.* on top of",
    ),
    "RECEIVE_INTERRUPTED": ("partially-complete state",),
    "TOKEN_STALE": ("cannot resume send", "resume token is corrupt", "no longer the same snapshot"),
    "DATASET_MODIFIED": (r"has been modified\s+since most recent snapshot",),
    "STREAM_BASE_MISSING": (
        r"does not\s+match incremental source",
        r"incremental source \(.*\) does not exist",
        r"incremental source .* is not earlier",
        r"incremental stream: destination '.*' does not exist",
        r"origin for clone .* not exist",
        r"not an earlier snapshot",
        r"must be in same filesystem",
    ),
    "NO_SPACE": ("out of space", "no space left", "quota exceeded"),
    "STREAM_INVALID": (
        "invalid backup stream",
        "invalid stream",
        "failed to read from stream",
        "checksum mismatch",
        "incomplete stream",
        # What OpenZFS makes of any EINVAL (libzfs_sendrecv.c: recv_impl): of an odd record, too.
        "incompatible embedded data stream feature",
        "kernel modules must be upgraded to receive",
    ),
    "DATA_UNREADABLE": (r"\b(input/output|i/o) error", "data integrity check failed|integrity check failed"),
    "STREAM_UNSUPPORTED": ("must be upgraded to receive", "feature .*not supported", "stream has unsupported"),
    "POOL_READONLY": ("pool is read-only", "read-only file ?system"),
    "SNAPSHOT_HELD": (r"@\S*: dataset is busy", "it's being held"),
    "DATASET_HAS_CLONES": ("has dependent clones",),
    "DATASET_HAS_CHILDREN": ("filesystem has children",),
    "DATASET_EXISTS": ("already exists", "destination '.*' exists", "bookmark exists"),
    "DATASET_BUSY": (
        "is busy",
        "device busy",
        "resource busy",
        "umount failed",
        "more recent snapshots",
        "currently in use",
        "directory is not empty",
    ),
    "INVALID_PROPERTY": (
        "invalid property",
        "must be one of",
        "bad property",
        "size is less than current",
        "bad numeric value",
        "is readonly",
        "property value",
        "cannot set property",
        "no mountpoint set",
        "legacy mountpoint",
    ),
    "INVALID_DATASET_NAME": (
        "invalid character",
        "too long",
        "empty component",
        "invalid (dataset )?name",
        "delimiter '[@#]'",
        "cannot be a descendant",
        "must begin with a letter",
        "missing '@'",
        "is reserved",
    ),
    "DATASET_NOT_FOUND": ("does not exist", "no such pool", "could not find any snapshots"),
}
# The codes of libzfs (libzfs.h: EZFS_*) that say as much, by the names of py-libzfs's enum `Error`.
_CODES = {
    "NOENT": "DATASET_NOT_FOUND",
    "EXISTS": "DATASET_EXISTS",
    "BUSY": "DATASET_BUSY",
    "MOUNTFAILED": "DATASET_BUSY",
    "UMOUNTFAILED": "DATASET_BUSY",
    "NOSPC": "NO_SPACE",
    "PERM": "ZFS_PERMISSION",
    "POOLREADONLY": "POOL_READONLY",
    "BADPROP": "INVALID_PROPERTY",
    "PROPREADONLY": "INVALID_PROPERTY",
    "PROPTYPE": "INVALID_PROPERTY",
    "PROPNONINHERIT": "INVALID_PROPERTY",
    "PROPSPACE": "INVALID_PROPERTY",
    "INVALIDNAME": "INVALID_DATASET_NAME",
    "NAMETOOLONG": "INVALID_DATASET_NAME",
    "TAGTOOLONG": "INVALID_DATASET_NAME",
}
_PATTERNS = {reason: re.compile("|".join(sayings), re.IGNORECASE) for reason, sayings in _SAYINGS.items()}


def refusal(reason: str, subject: str, text: str) -> JaildError:
    """Return the error of one of the reasons above about `subject`, with what ZFS (or we) had to say."""
    kind, hint = _KINDS[reason]
    return kind(reason, text, hint=hint, resource=subject)


def reason_of(stderr: str) -> str | None:
    """Return the reason that a text on stderr stands for; None for one that is not known."""
    return next((reason for reason, pattern in _PATTERNS.items() if pattern.search(stderr)), None)


def failure(completed: Completed, subject: str) -> JaildError:
    """Return the typed error of a `zfs` or `zpool` that ended badly while it worked on `subject`."""
    text = completed.error_text.strip()
    reason = reason_of(text)
    if reason is None:
        return command_failed(completed.argv, completed.status, text)
    return refusal(reason, subject, _without_usage(text))


def libzfs_failure(code: str, text: str, operation: str, subject: str) -> JaildError:
    """Return the typed error of a call of libzfs that ended with `code` ('' if py-libzfs has no name for it)."""
    reason = _CODES.get(code) or reason_of(text)
    snapshot = "@" in subject
    if reason == "DATASET_BUSY" and snapshot and operation == "destroy":
        reason = "SNAPSHOT_HELD"
    if reason == "DATASET_EXISTS" and operation == "destroy":  # something of it: libzfs has one code for both
        reason = "DATASET_HAS_CLONES" if snapshot else "DATASET_HAS_CHILDREN"
    if reason is None:
        return InternalError(
            "COMMAND_FAILED",
            f"libzfs: {operation} {subject}: {text} ({code or 'no code'})",
            hint="do the same with zfs(8) by hand to see what it says",
            resource=subject,
        )
    return refusal(reason, subject, f"cannot {operation} '{subject}': {text}")


def _without_usage(text: str) -> str:
    return text.partition("\nusage:")[0].strip()
