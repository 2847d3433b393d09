"""What of a jail a caller may change: a product its own apps' jails, a source team the base under any of them."""

from __future__ import annotations

from jaild.api.use_cases import Jails
from jaild.domain import access
from jaild.domain.access import Role
from jaild.domain.errors import PermissionDeniedError
from jaild.domain.operation import Operation
from jaild.domain.records import Generation
from jaild.domain.spec import JailSpec
from jaild.domain.views import Caller
from jaild.wire import names


def may_create(caller: Caller, jail: str, spec: JailSpec) -> None:
    """Raise `PermissionDeniedError` (APP_REQUIRED) unless the new jail runs an app of the caller's."""
    access.require_app(caller, _app(spec.app or ""), names.jail_name(jail))


def may_change(caller: Caller, jails: Jails, jail: str, app: str | None = None) -> None:
    """Raise `PermissionDeniedError` (APP_REQUIRED) unless the jail runs an app of the caller's, and `app` is one."""
    if Role.OPERATOR in caller.roles:
        return
    generation = jails.get(jail).generation
    access.require_app(caller, "" if generation is None else _app(generation.release), names.jail_name(jail))
    if app is not None:
        access.require_app(caller, app, names.jail_name(jail))


def may_roll_back(caller: Caller, jails: Jails, jail: str, axis: str) -> None:
    """Raise `PermissionDeniedError` (AXIS_REQUIRED, APP_REQUIRED) unless the axis is the caller's to undo.

    The base is the source team's; app and spec, and a generation as a whole, are the product team's.
    """
    needed = Role.SOURCE if axis == "base" else Role.PRODUCT
    if not caller.roles & {needed, Role.OPERATOR}:
        raise PermissionDeniedError(
            "AXIS_REQUIRED",
            f"{caller.actor} may not undo {f'the {axis}' if axis else 'a whole generation'} of {names.jail_name(jail)}",
            remedy=f"undo your own axis only, or ask somebody with the role {needed} or operator",
            resource=names.jail_name(jail),
            detail={"needed": f"{needed} or operator", "has": " ".join(sorted(caller.roles))},
        )
    if needed is Role.PRODUCT:
        may_change(caller, jails, jail)


def may_undo_all(caller: Caller, current: Generation | None, target: Generation | None, jail: str) -> None:
    """Raise `PermissionDeniedError` (AXIS_REQUIRED) if undoing a whole generation would move a base for a product."""
    if Role.OPERATOR in caller.roles or current is None or target is None or current.base == target.base:
        return
    raise PermissionDeniedError(
        "AXIS_REQUIRED",
        f"generation {target.number} of {names.jail_name(jail)} is on {target.base}, the jail on {current.base}: "
        "the base is the source team's",
        remedy="undo the app alone (axis app), or ask the source team or an operator",
        resource=names.jail_name(jail),
    )


def may_withdraw(caller: Caller, operation: Operation) -> None:
    """Raise `PermissionDeniedError` (OPERATION_OF_ANOTHER) unless the caller asked for it, or is an operator."""
    if Role.OPERATOR in caller.roles or caller.actor == operation.actor:
        return
    raise PermissionDeniedError(
        "OPERATION_OF_ANOTHER",
        f"{operation.name} was asked for by {operation.actor}, not by {caller.actor}",
        remedy=f"ask {operation.actor} or an operator",
        resource=operation.name,
    )


def _app(release: str) -> str:
    return release.partition("/")[0]
