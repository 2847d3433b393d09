"""Who may do what: roles, what the configuration grants to a certificate's name, the rule for apps, whose a change is.

A request waits in the jail's queue, and what came before it may have moved the jail: to another team's app, or on to a
base that an older generation is not on. So what of a jail a caller may change is asked twice: when the call comes, so
that a refusal is told at once, and in the jail's queue, where the answer counts.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from jaild.model.errors import PermissionDeniedError
from jaild.model.jails.change import Axis, Change, Cutover, Deploy, Draft, Rollback, Upgrade
from jaild.model.layers.records import Generation
from jaild.model.policy import Policy
from jaild.model.views import Caller


class Role(StrEnum):
    """What a caller is to this host."""

    VIEWER = "viewer"  # reads, changes nothing
    PRODUCT = "product"  # its apps' releases and jails, never a base
    SOURCE = "source"  # bases and which base a jail runs on, never an app
    OPERATOR = "operator"  # everything but speaking as a host
    PEER = "peer"  # another host's daemon
    METRICS = "metrics"  # reads the metrics, and nothing else


class Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a name may do. `apps` and `policy` count for products only: they have one, the default if none is given."""

    roles: tuple[Role, ...]  # what it is to this host
    apps: tuple[str, ...] = ()  # of the role product: the apps that are its own
    policy: Policy | None = None

    def __post_init__(self) -> None:
        """Give the default policy to who needs one. Raise `ValueError` for a policy that would bind nobody."""
        is_bound = Role.PRODUCT in self.roles and Role.OPERATOR not in self.roles
        if is_bound and self.policy is None:
            msgspec.structs.force_setattr(self, "policy", Policy())
        elif self.policy is not None and not is_bound:
            raise ValueError("a policy is for the role product; an operator has none")


def sees_values(caller: Caller, app: str) -> bool:
    """Return whether the caller may see the values of a jail's environment, which are its app's secrets.

    Operators may, and the product teams of `app` (empty for a jail of the base alone). A source team has no need to.
    """
    return Role.OPERATOR in caller.roles or (Role.PRODUCT in caller.roles and app in caller.apps)


def has_app(caller: Caller, app: str) -> bool:
    """Whether what runs `app` (empty: the base alone) is the caller's to change, as far as the app goes."""
    return Role.OPERATOR in caller.roles or app in caller.apps


def require_app(caller: Caller, app: str, resource: str) -> None:
    """Raise `PermissionDeniedError` (APP_REQUIRED) if the caller is but a product and the app is not one of its own.

    `app` is empty for a jail of the base alone, which is nobody's but the operator's.
    """
    if has_app(caller, app):
        return
    raise PermissionDeniedError(
        "APP_REQUIRED",
        f"{caller.actor} may not change {resource}: "
        + (f"the app {app} is not one of its own" if app else "it runs no app, so it belongs to the operators"),
        hint="ask the team whose app it is, or an operator",
        resource=resource,
        detail={"app": app, "has": " ".join(sorted(caller.apps))},
    )


def require_own(caller: Caller, jail: str, current: Generation | None) -> None:
    """Raise `PermissionDeniedError` (APP_REQUIRED) unless the jail runs an app of the caller's now."""
    require_app(caller, "" if current is None else _app(current.release), f"jails/{jail}")


def owns(caller: Caller, release: str) -> bool:
    """Whether a jail is the caller's once it runs that release (empty: the base alone)."""
    return has_app(caller, _app(release))


def require_change(caller: Caller, jail: str, current: Generation | None, change: Change) -> None:
    """Raise `PermissionDeniedError` (AXIS_REQUIRED, APP_REQUIRED) unless the change is the caller's to make.

    The base is the source team's; app and spec, and a generation as a whole, are the product team's.
    """
    of_base = isinstance(change, Upgrade) or (isinstance(change, Rollback | Cutover) and change.axis is Axis.BASE)
    needed = Role.SOURCE if of_base else Role.PRODUCT
    if not caller.roles & {needed, Role.OPERATOR}:
        axis = change.axis if isinstance(change, Rollback) else "base" if of_base else "app"
        raise PermissionDeniedError(
            "AXIS_REQUIRED",
            f"{caller.actor} may not {_verb(change)} {f'the {axis}' if axis else 'a whole generation'} of jails/{jail}",
            hint=f"change your own axis only, or ask somebody with the role {needed} or operator",
            resource=f"jails/{jail}",
            detail={"needed": f"{needed} or operator", "has": " ".join(sorted(caller.roles))},
        )
    if needed is Role.SOURCE:
        return
    require_own(caller, jail, current)
    if isinstance(change, Deploy):
        require_app(caller, _app(change.release), f"jails/{jail}")


def require_outcome(caller: Caller, jail: str, current: Generation, draft: Draft) -> None:
    """Raise `PermissionDeniedError` if what comes of a change is not the caller's to bring about.

    AXIS_REQUIRED: it moves the base, and the caller is no source team. APP_REQUIRED: it moves the jail to an app that
    is not the caller's.
    """
    if Role.OPERATOR in caller.roles:
        return
    if draft.base != current.base and Role.SOURCE not in caller.roles:
        number = f"generation {draft.cut_to}" if draft.cut_to else "what is asked for"
        raise PermissionDeniedError(
            "AXIS_REQUIRED",
            f"{number} of jails/{jail} is on {draft.base}, the jail on {current.base}: the base is the source team's",
            hint="undo the app alone (axis app), or ask the source team or an operator",
            resource=f"jails/{jail}",
        )
    if _app(draft.spec.app or "") != _app(current.release):
        require_app(caller, _app(draft.spec.app or ""), f"jails/{jail}")


def _verb(change: Change) -> str:
    return "undo" if isinstance(change, Rollback) else "change"


def _app(release: str) -> str:
    return release.partition("/")[0]
