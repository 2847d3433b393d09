"""A recipe: how a release is built, as product teams write it in YAML.

The types here are the schema: `jaild.model.jails.specfile` reads YAML into them, `jaild.model.layers.recipe_check`
holds the rules that types cannot say.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from jaild.model.layers.records import Manifest

FINGERPRINTS = "/usr/share/keys/pkg"  # where FreeBSD's base keeps those of the project's own packages


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Unknown keys are mistakes, and defaults are not written."""


class Repository(_Strict, frozen=True):
    """Where `pkg` steps take packages from, as pkg.conf(5) describes a repository; no other one is asked.

    Exactly one of `public_key`, `fingerprints` and `unsigned` says why its packages are to be trusted.
    """

    url: str  # http, https, pkg+http, pkg+https; or file:// of a path in the build jail
    name: str = "recipe"
    mirror: Literal["none", "srv", "http"] = "none"
    public_key: str = ""  # PEM, as poudriere's PKG_REPO_SIGNING_KEY has its counterpart
    fingerprints: str = ""  # folder in the base: FINGERPRINTS for the FreeBSD project's
    unsigned: bool = False


class Copy(_Strict, frozen=True):
    """Files of the caller's: a file is put into the folder `to`, of a folder everything in it."""

    source: str = msgspec.field(name="from")  # relative to the recipe
    to: str  # a folder in the build jail, made if it is missing


class Step(_Strict, frozen=True):
    """One thing to do: exactly one of the three."""

    pkg: tuple[str, ...] = ()  # packages to install
    copy: Copy | None = None
    run: tuple[str, ...] = ()  # argv; root in the build jail


class Recipe(_Strict, frozen=True):
    """All that one says about a build."""

    base: str
    steps: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1, max_length=100)]
    release: str = ""  # app/version; whoever builds may name another one
    parent: str = msgspec.field(default="", name="from")  # an earlier version of the app to begin with
    manifest: Manifest | None = None  # the earlier release's if not said
    network: Literal["none", "host"] = "none"
    repository: Repository | None = None
    environment: dict[str, str] = {}
    timeout: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 3600.0  # seconds for each step

    @property
    def uploads(self) -> bool:
        """Whether it wants files of the caller's."""
        return any(step.copy is not None for step in self.steps)


def shown(step: Step) -> str:
    """Return a step as one line for people."""
    if step.copy is not None:
        return f"copy {step.copy.source} to {step.copy.to}"
    return f"pkg install {' '.join(step.pkg)}" if step.pkg else f"run {' '.join(step.run)}"
