"""A minion's way to its host's daemon, or to one that its configuration names; and what went wrong there, for Salt.

In the minion's configuration or its pillar, all of it optional:

    jaild:
      address: unix:///var/run/jaild/jaild.sock
      contexts:
        beta: {address: beta.example.org:7443, ca: FILE, cert: FILE, key: FILE, server_name: beta}

A context's fields are those of jailctl's contexts.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaild import client
from jaild.salt import plain

SECTION = "jaild"


class UnknownContextError(LookupError):
    """The configuration has no context of that name."""


def settings(opts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section `jaild` of a minion's configuration, and of its pillar where the former does not say."""
    found = {**(opts.get("pillar") or {}).get(SECTION, {}), **opts.get(SECTION, {})}
    return {str(name): value for name, value in found.items()}


def connect(settings: Mapping[str, Any], context: str = "") -> client.Api:
    """Return the API of the host's daemon, or of the one that `context` names. Nothing is sent yet.

    `settings` are the section `jaild` of the configuration. `UnknownContextError`, `OSError` for its files.
    """
    if not context:
        return client.connect(str(settings.get("address", client.DEFAULT_ADDRESS)))
    contexts = settings.get("contexts", {})
    if context not in contexts:
        known = ", ".join(sorted(contexts)) or "none"
        raise UnknownContextError(f"the configuration has no jaild:contexts:{context} (it has: {known})")
    chosen = contexts[context]
    address = str(chosen["address"])
    if address.startswith(("/", "unix:")):
        return client.connect(address)
    ca, certificate, key = (Path(chosen[name]).read_bytes() for name in ("ca", "cert", "key"))
    name = str(chosen.get("server_name", ""))
    return client.connect(address, client.Tls(ca=ca, certificate=certificate, key=key, server_name=name))


def result(api: client.Api, operation: Any, *, wait: bool = True) -> dict[str, Any]:
    """Return what came of an operation: `plan` if only that was asked for, else its name, and `response` at its end.

    With the latter: `downtime`, in seconds, `facts` and `problems` of it, where there are any. `client.OperationError`
    if it failed.
    """
    if not operation.done and not wait:
        return {"operation": operation.name}
    operation = api.end(operation)
    if operation.HasField("error"):
        raise client.OperationError(operation.name, operation.error)
    response = plain.data(operation.response)
    if operation.response.TypeName() == "jaild.v1.Plan":
        return {"plan": response}
    told = plain.data(plain.unpacked(operation.metadata))
    more = {
        "downtime": told.get("downtime"),
        "facts": told.get("facts"),
        "problems": told.get("plan", {}).get("problems"),
    }
    unchanged = bool(told.get("plan", {}).get("unchanged"))
    found = {"operation": operation.name, "response": response, "unchanged": unchanged}
    return {**found, **{name: value for name, value in more.items() if value}}


def explained(error: BaseException) -> tuple[str, dict[str, Any]]:
    """Return an error of this module's calls as text with reason, problems and hints, and the same as data."""
    why = client.explanation(error)  # type: ignore[arg-type]
    head = f"{why.message} ({why.reason or why.code})"
    problems = [plain.data(problem) for problem in why.problems]
    lines = [f"{problem.get('severity', '')} {problem['code']}: {problem.get('message', '')}" for problem in problems]
    hints = dict.fromkeys(hint for hint in (*(each.get("hint", "") for each in problems), why.hint) if hint)
    text = "\n".join([head, *(f"  {line}" for line in lines), *(f"  hint: {hint}" for hint in hints)])
    return text, {"reason": why.reason or why.code, "hint": why.hint, "message": why.message, "problems": problems}
