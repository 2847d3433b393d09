"""Resource names: `jails/edge-01/generations/7` outside, `edge-01` and `7` inside. Parsing checks each part."""

from __future__ import annotations

import re

from jaild.model import names
from jaild.model.errors import InvalidArgumentError

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def jail_name(jail: str) -> str:
    """Return the resource name of a jail; empty for none."""
    return f"jails/{jail}" if jail else ""


def generation_name(jail: str, number: int) -> str:
    """Return the resource name of a generation."""
    return f"jails/{jail}/generations/{number}"


def volume_name(jail: str, volume: str) -> str:
    """Return the resource name of a volume."""
    return f"jails/{jail}/volumes/{volume}"


def snapshot_name(jail: str, snapshot: str) -> str:
    """Return the resource name of a jail's snapshot."""
    return f"jails/{jail}/snapshots/{snapshot}"


def base_name(base: str) -> str:
    """Return the resource name of a base; empty for none."""
    return f"bases/{base}" if base else ""


def channel_name(channel: str) -> str:
    """Return the resource name of a channel."""
    return f"channels/{channel}"


def event_sink_name(sink: str) -> str:
    """Return the resource name of an event sink."""
    return f"eventSinks/{sink}"


def app_name(app: str) -> str:
    """Return the resource name of an app."""
    return f"apps/{app}"


def release_name(reference: str) -> str:
    """Return the resource name of the release `app/version`; empty for none."""
    if not reference:
        return ""
    app, _, version = reference.partition("/")
    return f"apps/{app}/releases/{version}"


def migration_name(migration: str) -> str:
    """Return the resource name of a migration."""
    return f"migrations/{migration}"


def evacuation_name(evacuation: str) -> str:
    """Return the resource name of an evacuation."""
    return f"evacuations/{evacuation}"


def rollout_name(rollout: str) -> str:
    """Return the resource name of a rollout; empty for none."""
    return f"rollouts/{rollout}" if rollout else ""


def jail(name: str) -> str:
    """Return the jail in `jails/{jail}`. All parsers here raise `InvalidArgumentError` (INVALID_NAME)."""
    return names.jail(_parts(name, "jails/{jail}")[0])


def generation(name: str) -> tuple[str, int]:
    """Return jail and number in `jails/{jail}/generations/{number}`."""
    pattern = "jails/{jail}/generations/{number}"
    jail_id, number = _parts(name, pattern)
    if not number.isascii() or not number.isdecimal() or len(number) > len(str(2**31)):
        raise _invalid(name, pattern)
    return names.jail(jail_id), int(number)


def volume(name: str) -> tuple[str, str]:
    """Return jail and volume in `jails/{jail}/volumes/{volume}`."""
    jail_id, volume_id = _parts(name, "jails/{jail}/volumes/{volume}")
    return names.jail(jail_id), names.volume(volume_id)


def snapshot(name: str) -> tuple[str, str]:
    """Return jail and snapshot in `jails/{jail}/snapshots/{snapshot}`."""
    jail_id, snapshot_id = _parts(name, "jails/{jail}/snapshots/{snapshot}")
    return names.jail(jail_id), names.snapshot(snapshot_id)


def base(name: str) -> str:
    """Return the base in `bases/{base}`."""
    return names.base(_parts(name, "bases/{base}")[0])


def channel(name: str) -> str:
    """Return the channel in `channels/{channel}`."""
    return names.channel(_parts(name, "channels/{channel}")[0])


def event_sink(name: str) -> str:
    """Return the event sink in `eventSinks/{sink}`."""
    return names.event_sink(_parts(name, "eventSinks/{sink}")[0])


def app(name: str) -> str:
    """Return the app in `apps/{app}`."""
    return names.app(_parts(name, "apps/{app}")[0])


def release(name: str) -> tuple[str, str]:
    """Return app and version in `apps/{app}/releases/{release}`."""
    app_id, version = _parts(name, "apps/{app}/releases/{release}")
    return names.app(app_id), names.version(version)


def migration(name: str) -> str:
    """Return the uid in `migrations/{uid}`."""
    return _id(name, "migrations/{uid}")


def evacuation(name: str) -> str:
    """Return the id in `evacuations/{id}`."""
    return _id(name, "evacuations/{id}")


def rollout(name: str) -> str:
    """Return the id in `rollouts/{id}`."""
    return _id(name, "rollouts/{id}")


def operation(name: str) -> str:
    """Return the id in `operations/{operation}`."""
    return _id(name, "operations/{operation}")


def _id(name: str, pattern: str) -> str:
    (found,) = _parts(name, pattern)
    if not _ID.fullmatch(found):
        raise _invalid(name, pattern)
    return found


def _parts(name: str, pattern: str) -> list[str]:
    """Return what stands in the places of `pattern`."""
    expected, given = pattern.split("/"), name.split("/")
    fits = len(expected) == len(given) and all(
        there and (want.startswith("{") or want == there) for want, there in zip(expected, given, strict=True)
    )
    if not fits:
        raise _invalid(name, pattern)
    return [there for want, there in zip(expected, given, strict=True) if want.startswith("{")]


def _invalid(name: str, pattern: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "INVALID_NAME", f"{name!r} is not a name here", hint=f"write it as {pattern}", detail={"pattern": pattern}
    )
