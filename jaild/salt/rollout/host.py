"""What a host does of a rollout over hosts, and how it says that it stands: all of it by its daemon's API.

The host's own rollout is found by the request id that it was asked for with: told twice, a host does it once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

import grpc
from google.longrunning import operations_pb2

from jaild.client import READ_SECONDS, Api, OperationError, explanation, pages
from jaild.model.rollouts.decision import RolloutState
from jaild.model.rollouts.fleet import Look
from jaild.salt import plain
from jaild.salt.rollout.messages import HostPlan, JailPlan, JailRuns
from jaild.v1 import apps_pb2, bases_pb2, common_pb2, jails_pb2, rollouts_pb2

_KIND = "rollout"
_PAGE = 50  # operations; the newest come first
_FOREVER = 1e9  # seconds
_TOLD = 5  # problems of a refusal
_STEP = rollouts_pb2.RolloutStep
_JAIL = jails_pb2.Jail
_FAILED = frozenset({_STEP.STATE_FAILED, _STEP.STATE_STUCK})
_BACK = frozenset({_STEP.STATE_UNDOING, _STEP.STATE_UNDONE})
_ELSEWHERE = frozenset(
    {_JAIL.STATE_MOVED, _JAIL.STATE_DELETING, _JAIL.STATE_SUPERSEDED, _JAIL.STATE_STANDBY, _JAIL.STATE_FENCED}
)
_DOWN = frozenset({_JAIL.STATE_FAILED, _JAIL.STATE_CRASH_LOOP, _JAIL.STATE_DAMAGED})
_UNDOES = frozenset({RolloutState.UNDOING, RolloutState.UNDONE, RolloutState.INCOMPLETE})


class _Why(TypedDict, total=False):
    reason: str
    message: str
    hint: str


class HostRollout:
    """One host's part in a rollout; `attempt`: by which of its tries."""

    def __init__(self, api: Api, rollout: str, attempt: int) -> None:
        self._api = api
        self._request = f"{rollout}-{attempt}"
        self._id = rollout

    def begin(self, spec: Mapping[str, Any], expires: float) -> Look:
        """Begin the host's own rollout, unless it was begun, or the time `expires` has passed."""
        request = rollouts_pb2.StartRolloutRequest(spec=_spec(spec), request_id=self._request)
        if (late := time.time() - expires) > 0:
            found = self.look()
            return _expired(late) if found.state is None else found
        try:
            self._api.rollouts.StartRollout(request, timeout=READ_SECONDS)
        except grpc.RpcError as error:
            return Look(state=RolloutState.REFUSED, **_why(error))
        return self.look()

    def look(self, back: int | None = None) -> Look:
        """Return how it stands; `back`: by which try it is taken back, if it is."""
        forth = self._operation(self._request)
        return self._told(forth, self._undo(forth, back) if back is not None else None)

    def back(self, back: int, known: str = "") -> Look:
        """Take back what moved, unless that was begun; `known`: the id of the host's own rollout."""
        operation = self._operation(self._request)
        name = f"rollouts/{known}" if known else operation and operation.name.replace("operations/", "rollouts/")
        if not name:
            return self.look(back)
        request = rollouts_pb2.UndoRolloutRequest(name=name, request_id=self._request_back(back))
        try:
            self._api.rollouts.UndoRollout(request, timeout=READ_SECONDS)
        except grpc.RpcError as error:
            why = _why(error)
            return Look(back=RolloutState.REFUSED, **why)
        return self.look(back)

    def runs(self, known: str) -> list[JailRuns]:
        """Return what its jails run now: those of the host's own rollout."""
        rollout = self._api.rollouts.GetRollout(
            rollouts_pb2.GetRolloutRequest(name=f"rollouts/{known}"), timeout=READ_SECONDS
        )
        jails, guids = self._jails(), _Guids(self._api)
        found = (jails[step.jail] for step in rollout.steps if step.jail in jails)
        return [
            JailRuns(
                name=plain.short(jail.name),
                generation=jail.generation,
                base=plain.short(jail.base),
                base_guid=guids.of(jail.base),
                release=plain.short(jail.release),
                release_guid=guids.of(jail.release),
            )
            for jail in found
        ]

    def _request_back(self, back: int) -> str:
        return f"{self._id}-back-{back}"

    def _undo(self, forth: Any, back: int) -> Any:
        """Return the operation of a rollout of its own that takes it back; None if there is none."""
        if forth is not None and _state(self._rollout(forth)) in _UNDOES:
            return None
        return self._operation(self._request_back(back))

    def _told(self, forth: Any, undo: Any) -> Look:
        rollout = self._rollout(forth) if forth is not None else None
        state = _state(rollout) if rollout is not None else None
        back = _state(self._rollout(undo)) if undo is not None else (state if state in _UNDOES else None)
        steps = rollout.steps if rollout is not None else ()
        failed = [step for step in steps if step.state in _FAILED or (step.state in _BACK and step.reason)]
        refusing = undo if undo is not None else forth
        refused = (state if undo is None else back) is RolloutState.REFUSED
        why = _why(OperationError(refusing.name, refusing.error)) if refused else _first(failed)
        jails = self._jails()
        moved = [jails[step.jail] for step in steps if step.HasField("move_time") and step.jail in jails]
        healthy, over = _health(moved, time.time())
        return Look(
            state=state,
            back=back,
            rollout=plain.short(rollout.name) if rollout is not None else "",
            jails=len(steps),
            moved=len(moved),
            failed=len(failed),
            healthy=healthy,
            over=over,
            ailing=_ailing(jails),
            **why,
        )

    def _operation(self, request: str) -> Any:
        """Return the operation that a request has led to; None if none is known."""
        for operation in self._operations():
            told = common_pb2.OperationMetadata()
            operation.metadata.Unpack(told)
            if told.kind == _KIND and told.request_id == request:
                return operation
        return None

    def _operations(self) -> Iterator[Any]:
        request = operations_pb2.ListOperationsRequest(page_size=_PAGE)
        while True:
            page = self._api.operations.ListOperations(request, timeout=READ_SECONDS)
            yield from page.operations
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _rollout(self, operation: Any) -> Any:
        name = operation.name.replace("operations/", "rollouts/")
        return self._api.rollouts.GetRollout(rollouts_pb2.GetRolloutRequest(name=name), timeout=READ_SECONDS)

    def _jails(self) -> dict[str, Any]:
        """Return the jails that are this host's, by name."""
        return _jails(self._api)


def plan(api: Api, spec: Mapping[str, Any]) -> HostPlan:
    """Return what a host's own rollout would do; nothing is kept or touched."""
    ailing = _ailing(_jails(api))
    try:
        made = api.rollouts.PlanRollout(rollouts_pb2.PlanRolloutRequest(spec=_spec(spec)))  # it reads layers
    except grpc.RpcError as error:
        return HostPlan(ailing=ailing, refused=Look(state=RolloutState.REFUSED, **_why(error)))
    target = _layer(api, made.target)
    jails = tuple(map(_jail_plan, made.steps))
    return HostPlan(
        target=made.target,
        guid=target.guid if target is not None else 0,
        sha256=target.sha256 if target is not None else "",
        duration=plain.data(made.expected_duration),
        downtime=plain.data(made.expected_downtime),
        jails=jails,
        ailing=ailing,
        refused=_refused(made),
    )


def _expired(late: float) -> Look:
    return Look(
        state=RolloutState.REFUSED,
        reason="ROLLOUT_EXPIRED",
        message=f"what it was told to begin was too old by {late:.0f} s",
        hint="compare the clocks of the host and of its master: date; both should follow NTP",
    )


def _refused(made: Any) -> Look | None:
    """Return why a host would refuse it, as `StartRollout` does: for jails whose plans are refused."""
    refused = [step for step in made.steps if step.state == _STEP.STATE_REFUSED]
    if not refused or (made.spec.leave_out_refused and len(refused) < len(made.steps)):
        return None
    return Look(state=RolloutState.REFUSED, **_first(refused))


def _jail_plan(step: Any) -> JailPlan:
    refusal = [f"error {step.reason}: {step.message}"] if step.reason else []
    problems = [plain.data(problem) for problem in step.problems]
    told = [f"{each['severity']} {each['code']}: {each.get('message', '')}" for each in problems]
    return JailPlan(
        name=plain.short(step.jail),
        wave=step.wave,
        before=step.before,
        target=step.target,
        refused=step.state == _STEP.STATE_REFUSED,
        problems=tuple(dict.fromkeys([*refusal, *told])),
        hint=step.hint,
    )


def _spec(spec: Mapping[str, Any]) -> Any:
    return plain.request(rollouts_pb2.RolloutSpec.DESCRIPTOR, spec)


def _state(rollout: Any) -> RolloutState:
    """Return a rollout's state; one that has ended is over only once that is written down."""
    state = RolloutState(rollouts_pb2.Rollout.State.Name(rollout.state).removeprefix("STATE_").lower())
    return RolloutState.RUNNING if state is RolloutState.DONE and not rollout.HasField("end_time") else state


def _jails(api: Api) -> dict[str, Any]:
    listed = pages(api.jails.ListJails, jails_pb2.ListJailsRequest(), "jails")
    return {jail.name: jail for jail in listed if jail.state not in _ELSEWHERE}


def _ailing(jails: Mapping[str, Any]) -> tuple[str, ...]:
    unhealthy = jails_pb2.HealthStatus.STATE_UNHEALTHY
    ill = (jail for jail in jails.values() if jail.state in _DOWN or jail.health.state == unhealthy)
    return tuple(sorted(plain.short(jail.name) for jail in ill))


def _health(jails: list[Any], now: float) -> tuple[float | None, str]:
    """Return for how many seconds all have been well, None if one is not; and why one will not be by itself."""
    well = _FOREVER
    for jail in jails:
        if jail.state == _JAIL.STATE_CRASH_LOOP:
            return None, f"{plain.short(jail.name)}: {jail.message}"
        if jail.state == _JAIL.STATE_STOPPED:  # it is not to run: there is nothing to watch
            continue
        has_checks = jail.HasField("health")
        if jail.state != _JAIL.STATE_RUNNING or (
            has_checks and jail.health.state != jails_pb2.HealthStatus.STATE_HEALTHY
        ):
            return None, ""
        since = jail.start_time.ToNanoseconds() / 1e9
        if has_checks:
            since = max(since, jail.health.since.ToNanoseconds() / 1e9)
        well = min(well, max(0.0, now - since))
    return well, ""


def _first(failed: list[Any]) -> _Why:
    if not failed:
        return {}
    step = failed[0]
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return {"reason": step.reason, "message": f"{plain.short(step.jail)}: {step.message}{more}", "hint": step.hint}


def _why(error: grpc.RpcError | OperationError) -> _Why:
    """Return what the daemon said. What was not said by it, as that it is away, is raised again."""
    told = explanation(error)
    if not told.reason and isinstance(error, grpc.RpcError):
        raise error
    found = [f"{each.code}: {each.message}" for each in told.problems[:_TOLD]]
    return {"reason": told.reason, "message": "; ".join([told.message, *found]), "hint": told.hint}


def _layer(api: Api, name: str) -> Any:
    """Return a base or a release; None for no name."""
    if name.startswith("bases/"):
        return api.bases.GetBase(bases_pb2.GetBaseRequest(name=name), timeout=READ_SECONDS)
    if name:
        return api.apps.GetRelease(apps_pb2.GetReleaseRequest(name=name), timeout=READ_SECONDS)
    return None


class _Guids:
    """Guids of layers, each asked for once."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[str, int] = {}

    def of(self, name: str) -> int:
        if name not in self._known:
            layer = _layer(self._api, name)
            self._known[name] = layer.guid if layer is not None else 0
        return self._known[name]
