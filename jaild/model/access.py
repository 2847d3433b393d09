"""Who may do what: roles, what the configuration grants to a certificate's name, and the rule for apps."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from enum import StrEnum

import msgspec

from jaild.model.errors import PermissionDeniedError
from jaild.model.policy import Policy
from jaild.model.views import Caller


class Role(StrEnum):
    """What a caller is to this host."""

    VIEWER = "viewer"  # reads, changes nothing
    PRODUCT = "product"  # its apps' releases and jails, never a base
    SOURCE = "source"  # bases and which base a jail runs on, never an app
    OPERATOR = "operator"  # everything but speaking as a host
    PEER = "peer"  # another host's daemon


class Grant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a name may do. `apps` and `policy` count for products only; without a policy they have the default one."""

    roles: tuple[Role, ...]
    apps: tuple[str, ...] = ()
    policy: Policy | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` for a policy that would bind nobody."""
        if self.policy is not None and (Role.PRODUCT not in self.roles or Role.OPERATOR in self.roles):
            raise ValueError("a policy is for the role product; an operator has none")

    @property
    def bound(self) -> bool:
        """Whether a policy holds for whoever has it."""
        return Role.PRODUCT in self.roles and Role.OPERATOR not in self.roles


def require_role(caller: Caller, allowed: AbstractSet[Role], method: str) -> None:
    """Raise `PermissionDeniedError` (ROLE_REQUIRED) unless the caller has one of the roles."""
    if caller.roles & allowed:
        return
    needed = " or ".join(sorted(allowed))
    raise PermissionDeniedError(
        "ROLE_REQUIRED",
        f"{caller.actor} may not call {method}: it needs the role {needed}",
        remedy=f"ask the host's operator to give {caller.actor} the role {needed} in its configuration",
        resource=method,
        detail={"needed": needed, "has": " ".join(sorted(caller.roles))},
    )


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
        remedy="ask the team whose app it is, or an operator",
        resource=resource,
        detail={"app": app, "has": " ".join(sorted(caller.apps))},
    )
