"""A spec or a recipe held against the policy of its caller's grant: pure, and asked in the jail's queue.

Only what the caller changes counts: what does not go beyond the jail's current spec is never refused, whoever brought
it about. So a deploy passes although an operator gave the jail more than the grant allows, a limit can always be
lowered, and going back to what an operator has taken away is refused like asking for it anew.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterator
from urllib.parse import urlsplit

from jaild.model import quantity
from jaild.model.jails import network as netcheck
from jaild.model.jails import validation
from jaild.model.jails.spec import ExecHook, JailSpec, Limits, Mode, NetworkCheck
from jaild.model.layers.recipe import Recipe
from jaild.model.policy import BuildPolicy, Policy, port_range
from jaild.model.problems import Problem, Severity
from jaild.model.views import Caller

_OF_NETWORK = frozenset({"raw_sockets", "socket_af"})  # what reaches the host's neighbours from the host's network
_HOSTS_OWN = frozenset({Mode.HOST, Mode.SHARED_IP})

Breach = tuple[str, str, str, str]  # code, subject, rule of the policy, what is wrong


def problems(caller: Caller, spec: JailSpec, current: JailSpec | None) -> tuple[Problem, ...]:
    """Return what of a spec goes beyond the caller's policy and the jail's current spec (None for a new jail)."""
    policy = caller.policy
    if policy is None:
        return ()
    rules = (_network, _addresses, _checks, _hooks, _links, _ports, _allow, _devfs, _limits, _disk, _standby, _logs)
    return tuple(_problem(caller, breach) for rule in rules for breach in rule(policy, spec, current))


def build_problems(caller: Caller, recipe: Recipe) -> tuple[Problem, ...]:
    """Return what of a recipe goes beyond the caller's policy."""
    if caller.policy is None:
        return ()
    return tuple(_problem(caller, breach) for breach in _build(caller.policy.builds, recipe))


def _problem(caller: Caller, breach: Breach) -> Problem:
    code, subject, rule, message = breach
    where = f"grants.{caller.actor}.policy.{rule.partition(':')[0]}"
    return Problem(
        severity=Severity.ERROR,
        code=code,
        message=f"{message}; {where} does not allow it",
        subject=subject,
        hint=f"ask an operator of this host to make this change, or to widen {where} in its configuration",
        evidence=(f"grants.{caller.actor}.policy.{rule}",),
    )


def _network(policy: Policy, spec: JailSpec, current: JailSpec | None) -> Iterator[Breach]:
    mode = spec.network.mode
    if mode not in policy.networks and (current is None or current.network.mode != mode):
        yield "POLICY_NETWORK", "$.network.mode", _rule("networks", policy.networks), f"mode {mode} is asked for"


def _addresses(policy: Policy, spec: JailSpec, current: JailSpec | None) -> Iterator[Breach]:
    ranges, mode = policy.ranges, spec.network.mode
    if ranges is None:
        return
    same = current is not None and current.network.mode == mode
    had = [ipaddress.ip_interface(text) for text in current.network.addresses] if current is not None and same else []
    for index, text in enumerate(spec.network.addresses):
        address = ipaddress.ip_interface(text)
        if mode is Mode.SHARED_IP:
            # On the host's own interface the prefix becomes a route of the host: all of it has to be in the range.
            known = address in had
            fits = any(
                address.version == allowed.version and address.network.subnet_of(allowed)  # type: ignore[arg-type]
                for allowed in ranges
            )
        else:
            known = address.ip in {other.ip for other in had}
            fits = any(address.ip in allowed for allowed in ranges)
        if not known and not fits:
            rule = _rule("addresses", policy.addresses or ())
            yield "POLICY_ADDRESS", f"$.network.addresses[{index}]", rule, f"{text} is asked for"


def _checks(policy: Policy, spec: JailSpec, current: JailSpec | None) -> Iterator[Breach]:
    """Yield checks that go beyond the ranges: the daemon sends them, and from the host's network."""
    ranges, mode = policy.ranges, spec.network.mode
    if ranges is None or mode not in {Mode.SHARED_IP, Mode.NONE}:
        # In mode vnet they reach the jail's own addresses only.
        return
    same = current is not None and current.network.mode == mode
    had = [check for _, check in validation.checks(current)] if current is not None and same else []
    own = {ipaddress.ip_interface(text).ip for text in spec.network.addresses}
    for path, check in validation.checks(spec):
        if not isinstance(check, NetworkCheck) or check.address is None or check in had:
            continue
        address = ipaddress.ip_address(check.address)
        if address not in own and not any(address in allowed for allowed in ranges):
            rule = _rule("addresses", policy.addresses or ())
            yield "POLICY_ADDRESS", f"{path}.address", rule, f"a check of {address} is asked for"


def _hooks(policy: Policy, spec: JailSpec, current: JailSpec | None) -> Iterator[Breach]:
    """Yield calls beyond the ranges: the daemon makes them, from the host's network."""
    for which in ("before_stop", "after_start"):
        had = getattr(current.hooks, which) if current is not None else ()
        for index, hook in enumerate(getattr(spec.hooks, which)):
            if isinstance(hook, ExecHook) or hook in had:
                continue
            address = netcheck.hook_target(hook.url)[0]
            if not any(address in ipaddress.ip_network(text) for text in policy.hooks):
                subject = f"$.hooks.{which}[{index}].url"
                yield "POLICY_HOOK", subject, _rule("hooks", policy.hooks), f"a call of {address} is asked for"


def _logs(policy: Policy, spec: JailSpec, current: JailSpec | None) -> Iterator[Breach]:
    """Yield a receiver that is not named: the daemon sends there, from the host's network or to a socket of its."""
    had = current.logs.syslog if current is not None else None
    allowed = {*policy.syslog, *([had.address] if had is not None else [])}
    if (to := spec.logs.syslog) is not None and to.address not in allowed:
        rule = _rule("syslog", policy.syslog)
        yield "POLICY_SYSLOG", "$.logs.syslog.address", rule, f"{to.address} is asked for"


def _links(policy: Policy, spec: JailSpec, current: JailSpec | None) -> Iterator[Breach]:
    for field, allowed, rule in (
        ("bridge", policy.bridges, "bridges"),
        ("interface", policy.interfaces, "interfaces"),
    ):
        wanted = getattr(spec.network, field)
        had = getattr(current.network, field) if current is not None else None
        if wanted is not None and wanted != had and wanted not in allowed:
            yield "POLICY_INTERFACE", f"$.network.{field}", _rule(rule, allowed), f"{field} {wanted} is asked for"


def _ports(policy: Policy, spec: JailSpec, current: JailSpec | None) -> Iterator[Breach]:
    had = current.network.ports if current is not None else ()
    for index, port in enumerate(spec.network.ports):
        if port not in had and not any(port.host in port_range(text) for text in policy.ports):
            rule = _rule("ports", policy.ports)
            yield "POLICY_PORT", f"$.network.ports[{index}]", rule, f"{netcheck.spoken_port(port)} is asked for"


def _allow(policy: Policy, spec: JailSpec, current: JailSpec | None) -> Iterator[Breach]:
    mode = spec.network.mode
    had = current.allow if current is not None else ()
    same_network = current is not None and current.network.mode == mode
    for index, name in enumerate(spec.allow):
        subject = f"$.allow[{index}]"
        if name not in had and name not in policy.allow:
            yield "POLICY_ALLOW", subject, _rule("allow", policy.allow), f"{name} is asked for"
        elif (
            name in _OF_NETWORK
            and mode in _HOSTS_OWN
            and name not in policy.allow_on_host
            and not (name in had and same_network)
        ):
            rule = _rule("allow_on_host", policy.allow_on_host)
            yield (
                "POLICY_ALLOW",
                subject,
                rule,
                f"{name} is asked for in mode {mode}, on the host's network",
            )


def _devfs(policy: Policy, spec: JailSpec, current: JailSpec | None) -> Iterator[Breach]:
    wanted = spec.devfs_ruleset
    had = current.devfs_ruleset if current is not None else None
    if wanted is not None and wanted != had and wanted not in policy.devfs_rulesets:
        rule = _rule("devfs_rulesets", policy.devfs_rulesets)
        yield "POLICY_DEVFS", "$.devfs_ruleset", rule, f"the ruleset {wanted} is asked for"


def _limits(policy: Policy, spec: JailSpec, current: JailSpec | None) -> Iterator[Breach]:
    for field in ("memory", "cpus", "processes", "open_files"):
        ceiling = _amount(getattr(policy.limits, field))
        wanted = _amount(getattr(spec.limits, field))
        had = _amount(getattr((current.limits if current is not None else Limits()), field))
        said = getattr(spec.limits, field)
        yield from _ceiling(
            "POLICY_LIMIT", f"$.limits.{field}", (f"limits.{field}", getattr(policy.limits, field)), said,
            ceiling=ceiling, wanted=wanted, had=had if current is not None else 0, required=field in policy.required,
        )  # fmt: skip


def _disk(policy: Policy, spec: JailSpec, current: JailSpec | None) -> Iterator[Breach]:
    yield from _ceiling(
        "POLICY_DISK", "$.quota", ("quota", policy.quota), spec.quota,
        ceiling=_amount(policy.quota), wanted=_amount(spec.quota),
        had=_amount(current.quota) if current is not None else 0, required="quota" in policy.required,
    )  # fmt: skip
    together = _together(spec)
    yield from _ceiling(
        "POLICY_DISK", "$.volumes", ("volumes", policy.volumes),
        None if together == math.inf else quantity.size(int(together)),
        ceiling=_amount(policy.volumes), wanted=together, had=_together(current) if current is not None else 0,
        required=False,
    )  # fmt: skip


def _ceiling(
    code: str,
    subject: str,
    rule: tuple[str, object],
    said: object,
    *,
    ceiling: float,
    wanted: float,
    had: float,
    required: bool,
) -> Iterator[Breach]:
    """Yield whether a number is above its ceiling and above what the jail has; infinite: none is said."""
    name, top = rule
    if wanted <= had:
        return
    if wanted > ceiling:
        asked = "no limit is said" if said is None else f"{said} is asked for"
        yield code, subject, f"{name}: {top}", f"{asked}, at most {top} is allowed"
    elif required and wanted == math.inf:
        yield code, subject, f"required: {subject.rpartition('.')[2]}", "no limit is said"


def _amount(value: str | float | None) -> float:
    if value is None:
        return math.inf
    return quantity.parse(value) if isinstance(value, str) else value


def _together(spec: JailSpec) -> float:
    return sum(_amount(volume.quota) for volume in spec.volumes.values())


def _standby(policy: Policy, spec: JailSpec, current: JailSpec | None) -> Iterator[Breach]:
    had = current.standby.peers if current is not None and current.standby is not None else ()
    for index, peer in enumerate(spec.standby.peers if spec.standby is not None else ()):
        if policy.standby is not None and peer not in had and peer not in policy.standby:
            rule = _rule("standby", policy.standby)
            yield "POLICY_STANDBY", f"$.standby.peers[{index}]", rule, f"a replica on {peer} is asked for"


def _build(policy: BuildPolicy, recipe: Recipe) -> Iterator[Breach]:
    if recipe.network not in policy.networks:
        rule = _rule("builds.networks", policy.networks)
        yield "POLICY_BUILD_NETWORK", "$.network", rule, f"network {recipe.network} is asked for"
    repository = recipe.repository
    if repository is None or policy.repositories is None or repository.url.startswith("file:"):
        return
    if not any(_below(repository.url, allowed) for allowed in policy.repositories):
        rule = _rule("builds.repositories", policy.repositories)
        yield "POLICY_BUILD_REPOSITORY", "$.repository.url", rule, f"packages of {repository.url} are asked for"


def _below(url: str, allowed: str) -> bool:
    """Tell whether an address is the allowed one or below it; `pkg+` in front says only how mirrors are found."""
    one, other = urlsplit(url.removeprefix("pkg+")), urlsplit(allowed.removeprefix("pkg+"))
    if (one.scheme, one.netloc.lower()) != (other.scheme, other.netloc.lower()):
        return False
    parts, wanted = one.path.strip("/").split("/"), other.path.strip("/").split("/")
    if ".." in parts or "%" in one.path:
        return False
    return wanted == [""] or parts[: len(wanted)] == wanted


def _rule(name: str, allowed: tuple[object, ...]) -> str:
    return f"{name}: {', '.join(map(str, allowed)) or 'none'}"
