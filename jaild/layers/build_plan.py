"""What a recipe would do, and what could stop it, before anything is touched."""

from __future__ import annotations

import math

from jaild.engine.inventory import Inventory, Layer
from jaild.model.errors import AlreadyExistsError
from jaild.model.findings import Finding, Severity
from jaild.model.jails import policy_check as policycheck
from jaild.model.jails.spec import JailSpec, Limits, Network
from jaild.model.layers import compatibility as compat
from jaild.model.layers import recipe
from jaild.model.layers import recipe_check as recipecheck
from jaild.model.layers.recipe import Recipe
from jaild.model.layers.records import BaseRecord, Family, Manifest, ReleaseRecord
from jaild.model.plan import Plan
from jaild.model.policy import BuildPolicy
from jaild.model.views import Caller
from jaild.ports.files import Files
from jaild.ports.runtime import Runtime


class BuildPlanner:
    """Computes plans of builds. Reads, writes nothing."""

    def __init__(self, inventory: Inventory, runtime: Runtime, files: Files) -> None:
        self._inventory = inventory
        self._runtime = runtime
        self._files = files

    async def plan(self, app: str, version: str, wanted: Recipe, caller: Caller) -> Plan:
        """Plan a caller's build.

        Raises what makes the request wrong in itself: broken recipe, unknown names, RELEASE_EXISTS.
        """
        recipecheck.require(wanted)
        target = f"apps/{app}/releases/{version}"
        if f"{app}/{version}" in self._inventory.releases:
            raise AlreadyExistsError(
                "RELEASE_EXISTS",
                f"release {app}/{version} is here already, and releases never change",
                remedy="build it under another version, or delete the one that is there",
                resource=target,
            )
        base = self.base(wanted)
        parent = self._inventory.release(f"{app}/{wanted.parent}") if wanted.parent else None
        manifest = self.manifest(app, wanted)
        facts = await self._runtime.facts()
        findings = [*policycheck.build_findings(caller, wanted)]
        findings += [*compat.check_kernel(base, facts.osreldate, facts.family), *_packages(wanted, base)]
        furnished = JailSpec(base=wanted.base, network=Network(mode=wanted.network), limits=policy_of(caller).limits)
        findings += await self._runtime.examine(furnished, target)
        findings += await self._places(wanted, manifest)
        if parent is not None:
            findings += _parent(parent, manifest, base)
        return Plan(
            kind="build",
            target=target,
            steps=_steps(app, version, wanted, manifest, policy_of(caller)),
            findings=tuple(findings),
            base=wanted.base,
            release=f"{app}/{version}",
        )

    def base(self, wanted: Recipe) -> BaseRecord:
        """Return what the recipe's base is. `NotFoundError` (BASE_NOT_FOUND)."""
        record = self._inventory.base(wanted.base).record
        if not isinstance(record, BaseRecord):
            raise TypeError(wanted.base)
        return record

    def manifest(self, app: str, wanted: Recipe) -> Manifest:
        """Return the recipe's manifest, or the earlier release's."""
        if wanted.manifest is not None:
            return wanted.manifest
        record = self._inventory.release(f"{app}/{wanted.parent}").record
        return record.manifest if isinstance(record, ReleaseRecord) else Manifest()

    async def _places(self, wanted: Recipe, manifest: Manifest) -> list[Finding]:
        tree = self._inventory.base(wanted.base).tree
        found = await self._files.obstacles([("/", tree)], [manifest.mount_point, "/tmp"])  # noqa: S108 -- in the jail
        places = (manifest.mount_point, *recipecheck.SCRATCH)
        findings = [_place(target, f"cannot be mounted on: {problem}") for target, problem in found.items()]
        for step in wanted.steps:
            to = step.copy.to.rstrip("/") if step.copy is not None else places[0]
            if not any(to == place or to.startswith(f"{place}/") for place in places):
                findings.append(_place(to, f"cannot be written: the release is at {manifest.mount_point}"))
        return findings


def policy_of(caller: Caller) -> BuildPolicy:
    """Return what every build of the caller's has to keep to."""
    return caller.policy.builds if caller.policy is not None else BuildPolicy(time=math.inf)


def _place(target: str, problem: str) -> Finding:
    return Finding(
        severity=Severity.ERROR,
        code="MOUNT_TARGET",
        message=f"{target} {problem}",
        subject=target,
        remedy="choose a folder that is there, or one below the release's mount point",
    )


def _packages(wanted: Recipe, base: BaseRecord) -> list[Finding]:
    """Return whether packages can be installed at all: PKG_NEEDS_FREEBSD."""
    if base.family is Family.FREEBSD:
        return []
    return [
        Finding(
            severity=Severity.ERROR,
            code="PKG_NEEDS_FREEBSD",
            message=f"step {number} installs packages by pkg(8), and base {base.name} is {base.family}",
            subject=f"$.steps[{number - 1}].pkg",
            remedy="use run and copy on this base, or build on a FreeBSD base",
        )
        for number, step in enumerate(wanted.steps, 1)
        if step.pkg
    ]


def _parent(parent: Layer, manifest: Manifest, base: BaseRecord) -> list[Finding]:
    record = parent.record
    if not isinstance(record, ReleaseRecord):
        raise TypeError(parent.dataset)
    findings = [*compat.check_abi(record.manifest.abi, base), *compat.check_osversion(record.built, base)]
    if record.manifest.mount_point != manifest.mount_point:
        findings.append(
            Finding(
                severity=Severity.ERROR,
                code="MOUNT_POINT_DIFFERS",
                message=f"{record.reference} is at {record.manifest.mount_point}, "
                f"and the recipe's manifest says {manifest.mount_point}",
                subject="$.manifest.mount_point",
                remedy="keep the mount point, or build without an earlier release",
            )
        )
    return findings


def _steps(app: str, version: str, wanted: Recipe, manifest: Manifest, policy: BuildPolicy) -> tuple[str, ...]:
    begin = f"begin with {app}/{wanted.parent} at {manifest.mount_point}" if wanted.parent else "begin with nothing"
    return (
        f"make a build jail of {wanted.base}, network {wanted.network}{_shown(policy.limits)}; {begin}",
        *(recipe.shown(step) for step in wanted.steps),
        f"seal what is at {manifest.mount_point} as {app}/{version}",
    )


def _shown(limits: Limits) -> str:
    said = (("memory", limits.memory), ("cpus", limits.cpus), ("processes", limits.processes))
    shown = ", ".join(f"{name} {value}" for name, value in said if value is not None)
    return f", at most {shown}" if shown else ""
