"""What somebody asks for, in the words of a command line, as a rollout's specification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from jaild.model.errors import InvalidArgumentError
from jaild.model.rollouts.fleet import FleetPolicy, FleetSpec
from jaild.model.rollouts.policy import OnBreach, Share, share
from jaild.salt import functions, plain
from jaild.salt.rollout.planning import require
from jaild.v1 import rollouts_pb2

_FIELDS = {
    "soak": "min_healthy_time",
    "healthy_deadline": "healthy_deadline",
    "stagger": "stagger",
    "deadline": "deadline",
    "canaries": "canaries",
    "max_parallel": "max_parallel",
    "on_breach": "on_breach",
}
_COLLECTIONS = {"base": ("bases", ""), "channel": ("channels", ""), "release": ("apps", "releases")}
_HEALTHY_DEADLINE = FleetPolicy().healthy_deadline
_BESIDE = ("leave_out_refused", "accept")


def spec(
    what: Mapping[str, Any],
    each: Mapping[str, Any],
    policy: Mapping[str, Any],
    *,
    target: str,
    target_type: str,
    leave_out_refused: bool,
) -> FleetSpec:
    """Return the specification. `what`: base, channel or release, jails and labels. `InvalidArgumentError`."""
    found = FleetSpec(
        each=_each(what, each),
        target=target,
        target_type=target_type,
        policy=_policy(policy),
        leave_out_refused=leave_out_refused,
    )
    require(found)
    return found


def _policy(given: Mapping[str, Any]) -> FleetPolicy:
    """Return how to go about it, of words as `soak`, `budget`, `waves`."""
    words = {name: value for name, value in given.items() if not name.startswith("__") and value is not None}
    try:
        return msgspec.convert({**_common(words), **_of_fleet(words)}, FleetPolicy, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error


def _of_fleet(words: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "jail_budget" in words:
        found["jail_budget"] = _share(words.pop("jail_budget"))
    found |= {name: words.pop(name) for name in ("silence", "give_up") if name in words}
    _require_known(words)
    return found


def _common(words: dict[str, Any]) -> dict[str, Any]:
    """Take what hosts' rollouts and those over hosts have in common out of `words`; return it as fields."""
    found = {field: words.pop(word) for word, field in _FIELDS.items() if word in words}
    if "min_healthy_time" in found:  # a long soak needs a longer one than the default
        found.setdefault("healthy_deadline", max(_HEALTHY_DEADLINE, 2.0 * float(found["min_healthy_time"])))
    if "waves" in words:
        found["waves"] = [_share(wave) for wave in words.pop("waves")]
    if "budget" in words:
        found["failure_budget"] = _share(words.pop("budget"))
    if "keep_failed" in words:
        found["auto_revert"] = not words.pop("keep_failed")
    if "maintenance" in words:
        given = words.pop("maintenance")
        found["maintenance"] = [given] if isinstance(given, str) else given
    return found


def _each(what: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a host's own rollout as `jaild.v1.RolloutSpec`."""
    words = {name: value for name, value in given.items() if value is not None}
    beside = {name: words.pop(name) for name in _BESIDE if name in words}
    fields = _common(words)
    _require_known(words)
    if "auto_revert" in fields:
        fields["keep_failed"] = not fields.pop("auto_revert")
    if "on_breach" in fields:
        fields["on_breach"] = OnBreach(fields["on_breach"]).value
    made: dict[str, Any] = {"policy": fields, **beside}
    named = [name for name in _COLLECTIONS if what.get(name)]
    if len(named) != 1:
        raise _invalid(f"a rollout is of one thing, and this is of {' and '.join(named) or 'nothing'}")
    made[named[0]] = functions.resource(*_COLLECTIONS[named[0]], str(what[named[0]]))
    if what.get("jails"):
        given_jails = what["jails"]
        names = given_jails.split(",") if isinstance(given_jails, str) else given_jails
        made["jails"] = [functions.resource("jails", "", str(name)) for name in names]
    if what.get("labels"):
        made["labels"] = dict(what["labels"])
    try:
        plain.request(rollouts_pb2.RolloutSpec.DESCRIPTOR, made)
    except ValueError as error:
        raise _invalid(str(error)) from error
    return made


def _share(given: Any) -> dict[str, Any]:
    """Return a share, written as `5` or `10%`, as data."""
    found: Share = share(str(given))
    return {"number": found.number, "percent": found.percent}


def _require_known(words: Mapping[str, Any]) -> None:
    if words:
        raise _invalid(f"{', '.join(sorted(words))}: no such option")


def _invalid(message: str) -> InvalidArgumentError:
    return InvalidArgumentError("INVALID_ROLLOUT", message, hint="salt-run sys.doc jaild_rollout.start")
