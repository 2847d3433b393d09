"""Who calls, told from the listener and the certificate, never a request or an address; what he may, in two places.

A role may call a method (`Authenticator.admit`, for each call); a host may speak about a jail (`PartyCheck.require`,
for each call of a peer, when it is known what that is about).
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from typing import Any, Protocol, TypeAlias

import grpc
import msgspec

from jaild.model import bounds
from jaild.model.access import Grant, Role
from jaild.model.errors import InvalidArgumentError, JaildError, PermissionDeniedError, UnauthenticatedError
from jaild.model.migration.party import About
from jaild.model.views import Caller

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

LOCAL = "local"
NOBODY = "(no certificate)"
_NAME_PROPERTIES = ("x509_common_name", "x509_subject_alternative_name")

# Each call is a task of its own, so that what the interceptor sets is seen by that call's servicer and by nothing else.
_current: ContextVar[Caller] = ContextVar("caller")


class Authenticator(Protocol):
    """Says who calls; a listener has its own, so that what a connection says of itself decides nothing."""

    def admit(self, context: Context, allowed: AbstractSet[Role], method: str, /) -> tuple[str, JaildError | None]:
        """Return the name of who makes the call that runs in this task, and why it may not make it, or None.

        `UnauthenticatedError` (NO_CERTIFICATE, CERTIFICATE_UNKNOWN), `PermissionDeniedError` (ROLE_REQUIRED). One that
        is admitted is from now on told by `current`.
        """


class SocketAuthenticator:
    """For the unix socket: whoever can open it (mode 0600) is root."""

    def admit(self, _context: Context, allowed: AbstractSet[Role], method: str) -> tuple[str, JaildError | None]:
        """Admit the caller as `local`, with every role."""
        return admit(Caller(actor=LOCAL, roles=frozenset(Role)), allowed, method)


class CertificateAuthenticator:
    """For TLS. `grants` are by certificate name: the common name or an alternative one."""

    def __init__(self, grants: Mapping[str, Grant]) -> None:
        self._grants = grants

    def replace(self, grants: Mapping[str, Grant]) -> None:
        """Ask these from the next call on."""
        self._grants = grants

    def admit(self, context: Context, allowed: AbstractSet[Role], method: str) -> tuple[str, JaildError | None]:
        """Admit the caller by its certificate's names, with the roles of the first that has a grant."""
        names = _certificate_names(context)
        for name in names:
            if grant := self._grants.get(name):
                roles, apps = frozenset(grant.roles), frozenset(grant.apps)
                return admit(Caller(actor=name, roles=roles, apps=apps, policy=grant.policy), allowed, method)
        if not names:
            return NOBODY, UnauthenticatedError(
                "NO_CERTIFICATE",
                "the connection shows no client certificate",
                hint="connect with a certificate that the host's authority signed, or through its unix socket",
            )
        return names[0], UnauthenticatedError(
            "CERTIFICATE_UNKNOWN",
            f"the certificate's names ({', '.join(names)}) have no roles on this host",
            hint="ask the host's operator to add one of the names to the daemon's configuration",
            detail={"names": " ".join(names)},
        )


def _certificate_names(context: Context) -> tuple[str, ...]:
    """Return the names in the client's certificate, the common name first."""
    properties = context.auth_context()
    found = [value.decode("utf-8", "replace") for key in _NAME_PROPERTIES for value in properties.get(key, ())]
    return tuple(dict.fromkeys(found))


def admit(caller: Caller, allowed: AbstractSet[Role], method: str) -> tuple[str, JaildError | None]:
    """Let this task's call be `caller`'s if it may make it. Return as an `Authenticator`."""
    try:
        require_role(caller, allowed, method)
    except PermissionDeniedError as refusal:
        return caller.actor, refusal
    _current.set(caller)
    return caller.actor, None


def require_role(caller: Caller, allowed: AbstractSet[Role], method: str) -> None:
    """Raise `PermissionDeniedError` (ROLE_REQUIRED) unless the caller has one of the roles."""
    if caller.roles & allowed:
        return
    needed = " or ".join(sorted(allowed))
    raise PermissionDeniedError(
        "ROLE_REQUIRED",
        f"{caller.actor} may not call {method}: it needs the role {needed}",
        hint=f"ask the host's operator to give {caller.actor} the role {needed} in its configuration",
        resource=method,
        detail={"needed": needed, "has": " ".join(sorted(caller.roles))},
    )


class Parties(Protocol):
    """Decides which host may speak about a jail."""

    async def require_party(self, speaker: str, about: About, /) -> None:
        """Raise `PermissionDeniedError` (NOT_A_PARTY and others) unless it may."""


class PartyCheck:
    """Whether the host that makes a call may speak about a jail: as long as nobody decides that, none may."""

    def __init__(self) -> None:
        self._parties: Parties | None = None

    def decided_by(self, parties: Parties) -> None:
        """Let `parties` decide."""
        self._parties = parties

    async def require(self, about: About) -> str:
        """Return the name of the host that makes this call. `PermissionDeniedError` unless it may speak about it."""
        name = speaker()
        if self._parties is None:
            raise PermissionDeniedError("NOT_A_PARTY", f"nobody decides yet for whom {name} speaks", hint="wait")
        await self._parties.require_party(name, about)
        return name


def speaker() -> str:
    """Return the name of the host that makes this call, as its certificate has it: the only authority for that."""
    return _current.get().actor


def current(request_id: str = "") -> Caller:
    """Return who makes this call, with its own id for the request.

    Raises `InvalidArgumentError` (INVALID_REQUEST_ID) if that is longer than 128 characters or not printable.
    """
    caller = _current.get()
    if not request_id:
        return caller
    if len(request_id) > bounds.REQUEST_ID or not request_id.isprintable():
        raise InvalidArgumentError(
            "INVALID_REQUEST_ID",
            "request_id is too long or not printable",
            hint="use a UUID",
            detail={"limit": str(bounds.REQUEST_ID)},
        )
    return msgspec.structs.replace(caller, request_id=request_id)
