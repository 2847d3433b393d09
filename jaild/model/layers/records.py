"""What jaild remembers: bases, releases, jails and their generations. All of it lives on the datasets it describes.

As properties of datasets and files of a jail hold it, it is JSON, of this schema or an older one: `encode`, `decode`,
`decode_generation`. What a later jaild wrote is refused (RECORD_TOO_NEW) before anything is done with it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

import msgspec

from jaild.model.errors import FailedPreconditionError, InvalidArgumentError
from jaild.model.jails.spec import JailSpec
from jaild.model.problems import Accepted

_LONGEST = 4000  # bytes of JSON in a property: every ZFS takes that (zfs-fuse ends at 8 KiB, with a crash)
SCHEMA = 1  # absent from a record means 1; a daemon refuses a newer one rather than guess
TOO_NEW = "RECORD_TOO_NEW"
_UNKNOWN_FIELD = "contains unknown field"  # msgspec's words


class Family(StrEnum):
    """Which operating system's userland a base is."""

    FREEBSD = "freebsd"
    LINUX = "linux"


class BaseRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sealed base, as its dataset's `jaild:base` property tells it (JSON, at most 4 KiB)."""

    name: str
    family: Family
    version: str  # FreeBSD: 13.2-RELEASE-p1 from freebsd-version; Linux: VERSION_ID of os-release
    abi: str  # FreeBSD:13:amd64, or debian:12:amd64
    osreldate: int = 0  # FreeBSD's __FreeBSD_version; 0 on Linux
    sha256: str = ""  # of the archive as it came; empty for an unpacked tree
    imported: float = 0.0  # seconds since the epoch
    files: int = 0
    size: int = 0  # bytes unpacked
    notes: tuple[str, ...] = ()  # what the import left out, such as device nodes
    image: str = ""  # docker://...@sha256:..., if it came from a registry
    schema: int = SCHEMA


class User(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account that a release needs."""

    name: str
    uid: int
    gid: int
    home: str = "/nonexistent"
    shell: str = "/usr/sbin/nologin"
    comment: str = ""


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group that a release needs."""

    name: str
    gid: int
    members: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a product team says of a release when it pushes one."""

    mount_point: str = "/usr/local"
    command: tuple[str, ...] = ()
    abi: str = ""  # as a base's; any base if empty
    environment: dict[str, str] = {}
    user: str | None = None
    users: tuple[User, ...] = ()
    groups: tuple[Group, ...] = ()
    directories: tuple[str, ...] = ()  # made in the jail's data if missing, owned by `user`: /var/lib/redis


class Built(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a release that was built here comes from. Its packages are listed beside it, in `packages.json`."""

    base: str
    abi: str  # of that base: FreeBSD:14:amd64
    osversion: int = 0  # FreeBSD: __FreeBSD_version of that base; a jail's base must not be older. 0 on Linux
    recipe: str = ""  # sha256 of the recipe's text, hex
    packages: int = 0  # how many are installed in it


class ReleaseRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sealed release: `release.json` on its dataset; the `jaild:release` property holds it without the manifest."""

    app: str
    version: str
    manifest: Manifest = Manifest()
    sha256: str = ""
    parent: str = ""  # the version it was cloned from
    pushed: float = 0.0
    files: int = 0
    size: int = 0  # bytes unpacked
    added: int = 0  # bytes written that the parent did not have: all of `size` without one
    built: Built | None = None  # by a recipe; None for one that was pushed
    image: str = ""  # docker://...@sha256:..., if it came from a registry
    schema: int = SCHEMA

    @property
    def reference(self) -> str:
        """`app/version`."""
        return f"{self.app}/{self.version}"


class Ownership(StrEnum):
    """Who may run the jail. The state diagram stands in `jaild.model.jails.ownership`."""

    ACTIVE = "active"
    FROZEN = "frozen"
    INCOMING = "incoming"
    PREPARED = "prepared"
    MOVED = "moved"
    STANDBY = "standby"
    CLAIMED = "claimed"
    FENCED = "fenced"
    DELETING = "deleting"


class Desired(StrEnum):
    """Whether the jail should be running where it is owned."""

    RUNNING = "running"
    STOPPED = "stopped"


class Replica(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a copy is that the jail's owner keeps up to date here."""

    round: str = ""  # tag of the newest snapshots that are whole: every dataset has one; empty before the first
    taken: float = 0.0  # when they were taken, by the owner's clock: what was written later is not here
    interval: float = 0.0  # seconds: the most that may be lost
    others: tuple[str, ...] = ()  # names of the other hosts that keep one


class ForcedFailover(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of owner without the former one's doing, as the new one (active) and the former one (fenced) have it."""

    host: str  # name of the other one of the two
    at: float
    since: float = 0.0  # what the former owner wrote after this time is in its own copy only
    untold: tuple[str, ...] = ()  # hosts that are still to be told of it


class ConfirmWithin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The change that made the active generation is undone unless it is confirmed in time."""

    back_to: int  # the generation that comes back
    until: float  # seconds since the epoch, by this host's clock
    kind: str  # deploy, upgrade, configure


class Staged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A generation that is whole, and kept to be cut over to later."""

    number: int
    etc_state: str  # the words for the jail's /etc and /usr/local/etc that it was merged from
    local_etc_state: str
    state: str = ""  # the words for its own folder, when it was whole: a run of it that failed may have written there
    confirm_within: float = 0.0  # seconds that it waits for its confirmation, once it is cut over to; 0: not
    failed: str = ""  # why its last cutover failed: no window tries it again


class Restoring(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Older data is being brought back. What is not finished is undone from the snapshots taken before."""

    before: str  # tag of these
    path: str = ""  # in the jail: what of its data; all of it if empty
    whole: bool = False  # what is there may be started and sent: all has been copied, or only a path is


class Formerly(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A name that a jail had on this host."""

    name: str
    until: float = 0.0  # seconds since the epoch; 0: it is being given another one


class JailRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A jail's ownership: the `jaild:jail` property on its dataset, replaced whole by one atomic `zfs set`."""

    uid: str
    owner: str  # host id
    epoch: int  # rises by one at each hand-over; the higher one is right
    state: Ownership
    generation: int  # the active one; 0 while the first is being made
    desired: Desired = Desired.STOPPED
    created: float = 0.0  # when the jail was made, wherever that was
    migration: str = ""  # the one that this state belongs to (frozen, incoming, prepared, moved)
    peer: str = ""  # the other host of that migration; the owner's name (standby, fenced)
    standbys: tuple[str, ...] = ()  # hosts that may have a replica: each is asked before the jail is started at boot
    replica: Replica | None = None  # of a standby, also while it is claimed or a migration continues it
    failover: ForcedFailover | None = msgspec.field(default=None, name="takeover")  # if it was taken over by force
    confirm: ConfirmWithin | None = None  # if the last change waits for it
    staged: Staged | None = None  # its owner's: no copy has one
    removing: tuple[str, ...] = ()  # volumes that are being destroyed; its owner's, as `staged`
    removed_guids: tuple[int, ...] = ()  # of replicas' snapshots of volumes that were removed: replicas lose those, too
    restoring: Restoring | None = None  # its owner's, as `staged`
    formerly: tuple[Formerly, ...] = ()  # names that it had on this host, the newest last
    cloned_from: str = ""  # on the host where it was made as a clone: the original's own dataset, as that was called
    salvaged: str = ""  # when, and how much is lost, if it came file by file from a pool that could not be read whole
    schema: int = SCHEMA


class Generation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An immutable triple with its number: `generations/<n>/generation.json` on the jail's dataset."""

    number: int
    spec: JailSpec
    base: str
    release: str = ""  # app/version; empty for a jail of the base alone
    created: float = 0.0
    reason: str = ""  # create, deploy, upgrade, configure, rollback
    parent: int = 0
    actor: str = ""
    accepted: tuple[Accepted, ...] = ()  # problems that would have refused it
    schema: int = SCHEMA


class _Said(msgspec.Struct):
    """What is read of a record before all else: of a later schema the rest may be of other types."""

    schema: int = SCHEMA


_Record = TypeVar("_Record", bound=BaseRecord | ReleaseRecord | JailRecord)


def encode(record: msgspec.Struct) -> str:
    """Return a record as a property holds it. `InvalidArgumentError` (RECORD_TOO_LARGE)."""
    text = msgspec.json.encode(record).decode()
    if len(text.encode()) > _LONGEST:
        raise InvalidArgumentError(
            "RECORD_TOO_LARGE",
            f"the record is {len(text.encode())} bytes, {_LONGEST} is the most that a ZFS property can hold",
            hint="shorten the manifest: fewer environment variables, accounts or directories",
        )
    return text


def decode(text: str, kind: type[_Record], where: str) -> _Record:
    """Read a record from a property. `FailedPreconditionError` (RECORD_TOO_NEW, RECORD_DAMAGED)."""
    require_known(text, f"the record on {where}")
    try:
        return msgspec.json.decode(text, type=kind)
    except (ValueError, TypeError, RecursionError) as error:  # a record, or anything else that somebody put there
        raise FailedPreconditionError(
            "RECORD_DAMAGED",
            f"the record on {where} cannot be read: {error}",
            hint=f"look at its jaild: properties: zfs get all {where}",
            detail={"record": text[:200]},
        ) from error


def decode_generation(text: str | bytes, where: str) -> Generation:
    """Read `generation.json`. Raises `FailedPreconditionError` (RECORD_TOO_NEW), msgspec's errors for what is none.

    A spec with a field that is not known here is a later jaild's too, whatever schema it names: without the field it
    would be another jail.
    """
    require_known(text, where)
    try:
        return msgspec.json.decode(text, type=Generation)
    except msgspec.ValidationError as error:
        if _UNKNOWN_FIELD not in str(error):
            raise
        raise _too_new(where, str(error)) from error


def require_known(text: str | bytes, what: str) -> None:
    """Refuse what says that its schema is a later one. `FailedPreconditionError` (RECORD_TOO_NEW)."""
    try:
        schema = msgspec.json.decode(text, type=_Said).schema
    except (ValueError, TypeError, RecursionError):
        return  # it says nothing: whoever reads it whole says what is wrong with it
    if schema > SCHEMA:
        raise _too_new(what, f"it has schema {schema}, this jaild knows {SCHEMA}")


def _too_new(what: str, why: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        TOO_NEW,
        f"{what} was written by a later jaild: {why}",
        hint="install that jaild again: nothing was done with it here",
    )
