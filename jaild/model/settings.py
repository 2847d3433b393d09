"""Properties that reach jaild's datasets from above them in the pool: what they break, and what jaild sets itself.

`exec`, `setuid` and `devices` are not among them: a jail's mounts have flags of their own, so that an operator may turn
them off for what the host's own users see of the pool.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jaild.model.problems import Problem, Severity


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A native property that jaild depends on."""

    name: str
    fits: frozenset[str]
    breaks: str  # what another value does
    severity: Severity = Severity.WARNING
    own: str = ""  # what jaild sets on its own datasets where another comes from above; '': that is the operator's
    at_creation: bool = False  # it can be set on a new dataset only


SETTINGS = (
    Setting(
        name="readonly",
        fits=frozenset({"off"}),
        breaks="nothing can be imported, made or changed",
        severity=Severity.ERROR,
    ),
    Setting(
        name="atime",
        fits=frozenset({"off"}),
        breaks="every read writes an access time, which increments then carry",
        severity=Severity.NOTE,
        own="off",
    ),
    Setting(
        name="xattr",
        fits=frozenset({"on", "sa", "dir"}),
        breaks="file capabilities, which programs such as ping start by, and other extended attributes are not kept",
        own="on",
    ),
    *(
        Setting(name=name, fits=frozenset({"off"}), breaks="the host shares jails' data with others", own="off")
        for name in ("sharenfs", "sharesmb")
    ),
    Setting(
        name="sync",
        fits=frozenset({"standard", "always"}),
        breaks="after a power cut the last seconds of what jails had synced are missing",
    ),
    Setting(
        name="casesensitivity",
        fits=frozenset({"sensitive"}),
        breaks="of files whose names differ in case only, one takes the place of the other",
        own="sensitive",
        at_creation=True,
    ),
    Setting(
        name="normalization",
        fits=frozenset({"none"}),
        breaks="of files whose names differ in their Unicode form only, one takes the place of the other",
        own="none",
        at_creation=True,
    ),
    Setting(
        name="utf8only",
        fits=frozenset({"off"}),
        breaks="files whose names are no UTF-8 are refused",
        own="off",
        at_creation=True,
    ),
)


def unfit(values: Mapping[str, str]) -> Iterator[Setting]:
    """Yield the settings that a dataset has another value of; `values`: those in effect that its ZFS knows."""
    return (setting for setting in SETTINGS if values.get(setting.name, "-") not in {"-", "", *setting.fits})


def own(values: Mapping[str, str], *, new: bool) -> dict[str, str]:
    """Return what is to be set on a dataset of jaild's own that has, or if it is `new` would inherit, `values`."""
    return {each.name: each.own for each in unfit(values) if each.own and (new or not each.at_creation)}


def problems(dataset: str, values: Mapping[str, str], jails: Mapping[str, str]) -> Iterator[Problem]:
    """Say what the properties of the root dataset break; `jails`: of what is below it, empty before the first start."""
    for setting in unfit(jails or values):
        where, value = (f"{dataset}/jails", jails[setting.name]) if jails else (dataset, values[setting.name])
        what = f"{setting.name}={value} on {where}: {setting.breaks}"
        hint = f"zfs set {setting.name}={setting.own or max(setting.fits)} {where}"
        severity = setting.severity
        if setting.own and not jails:
            severity, what = Severity.NOTE, f"{what}; jaild sets {setting.own} on its own datasets at its first start"
        elif setting.at_creation:
            hint = f"it cannot be changed: move the jails to a host whose {dataset} was made with other properties"
        yield Problem(severity=severity, code="INHERITED_PROPERTY", message=what, subject=setting.name, hint=hint)
