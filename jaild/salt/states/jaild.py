"""What jails, bases, releases and channels of a host should be.

.. code-block:: yaml

    debian-12:
      jaild.base_present:
        - source: salt://bases/debian-12.tar.zst

    redis/7.2:
      jaild.release_present:
        - source: salt://redis/7.2.tar.zst
        - manifest: salt://redis/release.yaml

    cache:
      jaild.jail_present:
        - spec: salt://jails/cache.yaml

Applied twice, a state changes nothing the second time. ``test=True`` shows the daemon's plan with its problems, and
changes nothing. ``changes`` has old and new.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from salt.exceptions import CommandExecutionError, SaltInvocationError

from jaild.salt import outcome
from jaild.salt.functions import resource
from jaild.salt.outcome import Move, Outcome

__virtualname__ = "jaild"
__opts__: dict[str, Any]
__salt__: dict[str, Any]

_NOT_THERE = "_NOT_FOUND"
_State = Callable[..., dict[str, Any]]


def __virtual__() -> str:
    return __virtualname__


def _told(state: Callable[..., Outcome]) -> _State:
    """Return a state whose errors are its result, with reason and hint."""

    @functools.wraps(state)
    def told(name: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            return state(name, *args, **kwargs).told()
        except (CommandExecutionError, SaltInvocationError) as error:
            return Outcome(name, result=False, comment=str(error)).told()

    return told


@_told
def base_present(
    name: str,
    source: str | None = None,
    path: str | None = None,
    peer: str | None = None,
    sha256: str | None = None,
    image: str | None = None,
    manifest: str | None = None,
    context: str | None = None,
) -> Outcome:
    """Import a base that is not there.

    source
        Its archive: ``salt://...``, or a path on the minion.

    path
        Instead: an archive, a folder or an OCI layout on the daemon's host.

    peer
        Instead: a host that has this base, by its name in the daemon's configuration. It is the same one there and here
        then, and jails on it can move between the two: imported on each host by itself it would be another one on each.

    sha256
        Its digest, in hex. A base of that name with another one is an error: a base never changes.

    image, manifest
        As the function ``import_base`` of the execution module takes them.
    """
    there = _look("get_base", name, context)
    if there is None:
        given = {"source": source, "path": path, "peer": peer, "sha256": sha256, "image": image}
        move = Move("import_base", {"base_id": name, **given, "manifest": manifest})
        return _layer(name, "get_base", move, context)
    return _same(name, there, sha256)


@_told
def base_absent(name: str, context: str | None = None) -> Outcome:
    """Delete a base. One that is in use is not deleted: the comment says by what."""
    return _absent(name, "get_base", "delete_base", context)


@_told
def release_present(
    name: str,
    source: str,
    manifest: Any,
    previous: str | None = None,
    sha256: str | None = None,
    context: str | None = None,
) -> Outcome:
    """Push a release that is not there.

    name
        ``redis/7.2``.

    source
        Its archive: ``salt://...``, or a path on the minion.

    manifest
        What it is: a mapping, or a file of YAML.

    previous
        An earlier release to share blocks with.

    sha256
        Its digest, in hex. A release of that name with another one is an error: a release never changes.
    """
    there = _look("get_release", name, context)
    if there is None:
        given = {"source": source, "manifest": manifest, "previous": previous, "sha256": sha256}
        return _layer(name, "get_release", Move("push_release", {"name": name, **given}), context)
    return _same(name, there, sha256)


@_told
def release_absent(name: str, context: str | None = None) -> Outcome:
    """Delete a release. One that is in use is not deleted: the comment says by what."""
    return _absent(name, "get_release", "delete_release", context)


@_told
def channel(name: str, base: str, context: str | None = None) -> Outcome:
    """Let a channel name a base. Jails that follow it stay on theirs until they are upgraded."""
    there = _look("get_channel", name, context) or {}
    wanted = resource("bases", "", base)
    if there.get("base") == wanted:
        return Outcome(name, comment=f"it names {base}")
    planned = _do(Move("set_channel", {"name": name, "base": base, "validate_only": True}), context)
    changes = outcome.differences({"base": there.get("base")}, {"base": planned["base"]})
    if __opts__["test"]:
        return Outcome(name, result=None, comment=f"it would name {base}", changes=changes)
    _do(Move("set_channel", {"name": name, "base": base}), context)
    return Outcome(name, comment=f"it names {base} now", changes=changes)


@_told
def channel_absent(name: str, context: str | None = None) -> Outcome:
    """Remove a channel. One that jails follow is not removed: the comment names them."""
    return _absent(name, "get_channel", "delete_channel", context)


@_told
def jail_present(name: str, spec: Any, stopped: bool = False, context: str | None = None) -> Outcome:
    """Create a jail, or take it to its spec: base, then release, then the rest.

    A jail that follows the channel of the spec stays on its base: what is behind is moved by a rollout. Each move is a
    change with a health check, which is undone where it fails.

    spec
        A mapping, or a file of YAML: ``salt://...``, or a path on the minion. The whole one: what it leaves out is
        taken away.

    stopped
        Only when it is created: do not start it.
    """
    wanted, expected = _mapping(spec), outcome.of_spec(_mapping(spec))

    def moves() -> Iterable[Move]:
        jail = _known(name, context)
        if jail is None:
            return [Move("create_jail", {"jail_id": name, "spec": wanted, "stopped": stopped})]
        return outcome.moves(name, wanted, jail)

    return _changed(name, moves, context, _jail(name, context), expected)


@_told
def jail_absent(name: str, force: bool = False, context: str | None = None) -> Outcome:
    """Delete a jail with all its data. One that runs is only deleted by ``force``."""
    return _absent(name, "get_jail", "delete_jail", context, force=force)


@_told
def jail_running(name: str, context: str | None = None) -> Outcome:
    """Start a jail that does not run."""
    return _changed(
        name, lambda: [Move("start_jail", {"name": name})], context, _jail(name, context), {"state": "running"}
    )


@_told
def jail_stopped(name: str, context: str | None = None) -> Outcome:
    """Stop a jail, so that it stays stopped at boot, too."""
    return _changed(
        name, lambda: [Move("stop_jail", {"name": name})], context, _jail(name, context), {"state": "stopped"}
    )


@_told
def standby(name: str, peers: list[str], interval: float | None = None, context: str | None = None) -> Outcome:
    """Keep replicas of a jail.

    peers
        Names of the hosts that keep them, peers of this one.

    interval
        Seconds of writes that may be lost at most.
    """
    return _replicas(name, peers, interval, context)


@_told
def standby_absent(name: str, context: str | None = None) -> Outcome:
    """Keep no replicas of a jail."""
    return _replicas(name, (), None, context)


@_told
def host_drained(name: str, reason: str = "", evacuate: bool = False, context: str | None = None) -> Outcome:
    """Have this host take no jails.

    reason
        Why, for people; the state's name if absent.

    evacuate
        Move its jails away, too: to those peers that have room.
    """
    before = _drain(context)
    found = Outcome(name, comment="it takes no jails")
    if not before["drained"]:
        found = _steered(name, "drain_host", {"reason": reason or name}, before, context)
    if evacuate and found.result is not False:
        return _evacuated(found, context)
    return found


@_told
def host_undrained(name: str, context: str | None = None) -> Outcome:
    """Have this host take jails again."""
    before = _drain(context)
    if not before["drained"]:
        return Outcome(name, comment="it takes jails")
    return _steered(name, "undrain_host", {}, before, context)


def _changed(
    name: str,
    moves: Callable[[], Iterable[Move]],
    context: str | None,
    look: Callable[[], dict[str, Any]],
    expected: Mapping[str, Any] | None = None,
) -> Outcome:
    """Plan what there is to do; in test mode tell the plan, else do it move by move, each planned before.

    `moves`: what leads from what is there now to what should be. `look`: what is there, as far as it is told.
    `expected`: what no plan tells of how it will be.
    """
    before = look()
    plan = _planned(moves(), context)
    if not plan.moves:
        return Outcome(name, comment="it is as it should be")
    if plan.refused:
        return Outcome(name, result=False, comment=plan.text())
    if __opts__["test"]:
        changes = plan.differences(before, expected or {})
        return Outcome(name, result=None, comment=plan.text(), changes=changes)
    done: list[str] = []
    failed = ""
    try:
        for _ in plan.moves:
            etag = _do(plan.moves[0], context).get("response", {}).get("etag", "")
            done.append(plan.first())
            plan = _planned(moves(), context, etag)  # what somebody else changed since is not what was planned on
            if not plan.moves:
                break
    except CommandExecutionError as error:
        failed = str(error)
    comment = "\n".join([*done, failed] if failed else done)
    return Outcome(name, result=not failed, comment=comment, changes=outcome.differences(before, look()))


def _planned(moves: Iterable[Move], context: str | None, etag: str = "") -> outcome.Plan:
    """Have moves planned, each for the jail with that etag, if one is given."""
    expecting = [move.expecting(etag) for move in moves]
    asked = [(move, Move(move.function, {**move.arguments, "validate_only": True})) for move in expecting]
    return outcome.Plan(tuple((move, _do(plan, context)["plan"]) for move, plan in asked))


def _absent(name: str, get: str, delete: str, context: str | None, **more: Any) -> Outcome:
    there = _look(get, name, context)
    if there is None:
        return Outcome(name, comment="it is not there")
    planned = _do(Move(delete, {"name": name, "validate_only": True, **more}), context)
    plan = outcome.Plan(((Move(delete, {}), planned.get("plan", {})),))
    changes = {name: {"old": "present", "new": None}}
    if __opts__["test"] or plan.refused:
        told = plan.text() or "it would be removed"
        return Outcome(
            name, result=False if plan.refused else None, comment=told, changes={} if plan.refused else changes
        )
    _do(Move(delete, {"name": name, **more}), context)
    return Outcome(name, comment="it is removed", changes=changes)


def _replicas(name: str, peers: Iterable[str], interval: float | None, context: str | None) -> Outcome:
    jail = _do(Move("get_jail", {"name": name, "secrets": True}), context)
    spec = outcome.with_standby(jail, peers, interval)
    move = Move("configure_jail", {"name": name, "spec": spec, "etag": jail.get("etag")})
    expected = {"spec:standby": spec.get("standby")}
    return _changed(name, lambda: [move], context, _jail(name, context), expected)


def _steered(
    name: str, function: str, arguments: Mapping[str, Any], before: Mapping[str, Any], context: str | None
) -> Outcome:
    """Do what a host answers at once: in test mode with the host as it would be."""
    test = bool(__opts__["test"])
    host = _do(Move(function, {**arguments, "validate_only": test}), context)
    changes = outcome.differences(before, _drained(host))
    return Outcome(name, result=None if test else True, comment=function.replace("_", " "), changes=changes)


def _evacuated(drained: Outcome, context: str | None) -> Outcome:
    def look() -> dict[str, Any]:
        return {"jails": _do(Move("get_host", {}), context).get("jails", 0)}

    def moves() -> Iterable[Move]:
        host = _do(Move("get_host", {}), context)
        return [Move("evacuate_host", {"targets": host.get("peers", [])})] if host.get("jails") else []

    moved = _changed(drained.name, moves, context, look, {"jails": 0})
    return Outcome(
        drained.name,
        result=moved.result,
        comment=f"{drained.comment}\n{moved.comment}",
        changes={**drained.changes, **moved.changes},
    )


def _drain(context: str | None) -> dict[str, Any]:
    return _drained(_do(Move("get_host", {}), context))


def _drained(host: Mapping[str, Any]) -> dict[str, Any]:
    return {"drained": "drain" in host, "reason": host.get("drain", {}).get("reason")}


def _same(name: str, there: Mapping[str, Any], sha256: str | None) -> Outcome:
    if sha256 and there.get("sha256", sha256) != sha256:
        text = f"{name} is there, made of another archive (sha256 {there['sha256']}): what changed needs another name"
        return Outcome(name, result=False, comment=text)
    return Outcome(name, comment="it is there")


def _jail(name: str, context: str | None) -> Callable[[], dict[str, Any]]:
    return lambda: outcome.brief(_known(name, context))


def _known(name: str, context: str | None) -> dict[str, Any] | None:
    """Return a jail with all of its spec, also what is not told; None if there is none."""
    return _look("get_jail", name, context, secrets=True)


def _layer(name: str, get: str, made: Move, context: str | None) -> Outcome:
    """Make a base or a release that is not there."""

    def look() -> dict[str, Any]:
        there = _look(get, name, context) or {}
        return {key: there[key] for key in ("name", "sha256") if key in there}

    def moves() -> Iterable[Move]:
        return [] if look() else [made]

    return _changed(name, moves, context, look, {"name": name})


def _look(get: str, name: str, context: str | None, **more: Any) -> dict[str, Any] | None:
    """Return what is of that name, None for nothing."""
    try:
        found: dict[str, Any] = _do(Move(get, {"name": name, **more}), context)
    except CommandExecutionError as error:
        if str((error.info or {}).get("reason", "")).endswith(_NOT_THERE):
            return None
        raise
    return found


def _do(move: Move, context: str | None) -> Any:
    return __salt__[f"jaild.{move.function}"](**move.arguments, context=context)


def _mapping(spec: Any) -> dict[str, Any]:
    """Return a spec as a mapping; a file is read."""
    if isinstance(spec, Mapping):
        return dict(spec)
    cached = __salt__["cp.cache_file"](spec)
    if not cached:
        raise CommandExecutionError(f"there is no {spec}")
    try:
        found = yaml.safe_load(Path(cached).read_text("utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise CommandExecutionError(f"{spec} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise CommandExecutionError(f"{spec} is no spec: it is to be a mapping")
    return found
