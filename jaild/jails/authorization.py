"""What of a jail a caller may ask for. It is asked again when it is done: `jaild.model.jails.authorization`."""

from __future__ import annotations

from jaild.model import access
from jaild.model.access import Role
from jaild.model.jails import authorization
from jaild.model.jails.change import Change
from jaild.model.jails.spec import JailSpec
from jaild.model.views import Caller
from jaild.rpc import names
from jaild.rpc.use_cases import Jails


def may_create(caller: Caller, jail: str, spec: JailSpec) -> None:
    """Raise `PermissionDeniedError` (APP_REQUIRED) unless the new jail runs an app of the caller's."""
    access.require_app(caller, _app(spec.app or ""), names.jail_name(jail))


def may_change(caller: Caller, jails: Jails, jail: str) -> None:
    """Raise `PermissionDeniedError` (APP_REQUIRED) unless the jail runs an app of the caller's."""
    if Role.OPERATOR not in caller.roles:
        authorization.require_own(caller, jail, jails.get(jail).generation)


def may_apply(caller: Caller, jails: Jails, jail: str, change: Change) -> None:
    """Raise `PermissionDeniedError` (AXIS_REQUIRED, APP_REQUIRED) unless the change is the caller's to ask for.

    What comes of it is looked at when it is applied: `jaild.model.jails.authorization`.
    """
    if Role.OPERATOR not in caller.roles:
        authorization.require_change(caller, jail, jails.get(jail).generation, change)


def _app(release: str) -> str:
    return release.partition("/")[0]
