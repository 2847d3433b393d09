"""Who calls: told from the connection alone, never from what a request says."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, TypeAlias

import grpc
import msgspec

from jaild.model import bounds
from jaild.model.access import Grant, Role
from jaild.model.errors import InvalidArgumentError, UnauthenticatedError
from jaild.model.policy import Policy
from jaild.model.views import Caller

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

LOCAL = "local"
NOBODY = "(no certificate)"
_NAME_PROPERTIES = ("x509_common_name", "x509_subject_alternative_name")

# Each call is a task of its own, so that what the interceptor sets is seen by that call's servicer and by nothing else.
_current: ContextVar[Caller] = ContextVar("caller")


class Authenticator:
    """Maps connections to callers. `grants` are by certificate name: the common name or an alternative one."""

    def __init__(self, grants: Mapping[str, Grant]) -> None:
        self._grants = grants

    def caller(self, context: Context) -> Caller:
        """Return who calls. Raises `UnauthenticatedError` (NO_CERTIFICATE, CERTIFICATE_UNKNOWN)."""
        # Whoever can open the socket (mode 0600) is root. TCP is never offered without client certificates.
        if context.peer().startswith("unix:"):
            return Caller(actor=LOCAL, roles=frozenset(Role))
        names = certificate_names(context)
        if not names:
            raise UnauthenticatedError(
                "NO_CERTIFICATE",
                "the connection shows no client certificate",
                remedy="connect with a certificate that the host's authority signed, or through its unix socket",
            )
        for name in names:
            if grant := self._grants.get(name):
                policy = (grant.policy or Policy()) if grant.bound else None
                return Caller(actor=name, roles=frozenset(grant.roles), apps=frozenset(grant.apps), policy=policy)
        raise UnauthenticatedError(
            "CERTIFICATE_UNKNOWN",
            f"the certificate's names ({', '.join(names)}) have no roles on this host",
            remedy="ask the host's operator to add one of the names to the daemon's configuration",
            detail={"names": " ".join(names)},
        )


def certificate_names(context: Context) -> tuple[str, ...]:
    """Return the names in the client's certificate, the common name first; none on the unix socket."""
    properties = context.auth_context()
    found = [value.decode("utf-8", "replace") for key in _NAME_PROPERTIES for value in properties.get(key, ())]
    return tuple(dict.fromkeys(found))


def enter(caller: Caller) -> None:
    """Remember who makes the call that runs in this task."""
    _current.set(caller)


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
            remedy="use a UUID",
            detail={"limit": str(bounds.REQUEST_ID)},
        )
    return msgspec.structs.replace(caller, request_id=request_id)
