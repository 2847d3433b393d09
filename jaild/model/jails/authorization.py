"""What of a jail a caller may change, decided on the jail as it is when the change is applied.

A request waits in the jail's queue, and what came before it may have moved the jail: to another team's app, or on to a
base that an older generation is not on. So the same question is asked twice: when the call comes, so that a refusal is
told at once, and in the jail's queue, where the answer counts.
"""

from __future__ import annotations

from jaild.model import access
from jaild.model.access import Role
from jaild.model.errors import PermissionDeniedError
from jaild.model.jails.change import Axis, Change, Deploy, Draft, Rollback, Upgrade
from jaild.model.layers.records import Generation
from jaild.model.views import Caller


def require_own(caller: Caller, jail: str, current: Generation | None) -> None:
    """Raise `PermissionDeniedError` (APP_REQUIRED) unless the jail runs an app of the caller's now."""
    access.require_app(caller, "" if current is None else _app(current.release), f"jails/{jail}")


def owns(caller: Caller, release: str) -> bool:
    """Whether a jail is the caller's once it runs that release (empty: the base alone)."""
    return access.has_app(caller, _app(release))


def require_change(caller: Caller, jail: str, current: Generation | None, change: Change) -> None:
    """Raise `PermissionDeniedError` (AXIS_REQUIRED, APP_REQUIRED) unless the change is the caller's to make.

    The base is the source team's; app and spec, and a generation as a whole, are the product team's.
    """
    of_base = isinstance(change, Upgrade) or (isinstance(change, Rollback) and change.axis is Axis.BASE)
    needed = Role.SOURCE if of_base else Role.PRODUCT
    if not caller.roles & {needed, Role.OPERATOR}:
        axis = change.axis if isinstance(change, Rollback) else "base" if of_base else "app"
        raise PermissionDeniedError(
            "AXIS_REQUIRED",
            f"{caller.actor} may not {_verb(change)} {f'the {axis}' if axis else 'a whole generation'} of jails/{jail}",
            remedy=f"change your own axis only, or ask somebody with the role {needed} or operator",
            resource=f"jails/{jail}",
            detail={"needed": f"{needed} or operator", "has": " ".join(sorted(caller.roles))},
        )
    if needed is Role.SOURCE:
        return
    require_own(caller, jail, current)
    if isinstance(change, Deploy):
        access.require_app(caller, _app(change.release), f"jails/{jail}")


def require_outcome(caller: Caller, jail: str, current: Generation, draft: Draft) -> None:
    """Raise `PermissionDeniedError` if what comes of a change is not the caller's to bring about.

    AXIS_REQUIRED: it moves the base, and the caller is no source team. APP_REQUIRED: it moves the jail to an app that
    is not the caller's.
    """
    if Role.OPERATOR in caller.roles:
        return
    if draft.spec.base != current.base and Role.SOURCE not in caller.roles:
        number = f"generation {draft.cut_to}" if draft.cut_to else "what is asked for"
        raise PermissionDeniedError(
            "AXIS_REQUIRED",
            f"{number} of jails/{jail} is on {draft.spec.base}, the jail on {current.base}: "
            "the base is the source team's",
            remedy="undo the app alone (axis app), or ask the source team or an operator",
            resource=f"jails/{jail}",
        )
    if _app(draft.spec.app or "") != _app(current.release):
        access.require_app(caller, _app(draft.spec.app or ""), f"jails/{jail}")


def _verb(change: Change) -> str:
    return "undo" if isinstance(change, Rollback) else "change"


def _app(release: str) -> str:
    return release.partition("/")[0]
