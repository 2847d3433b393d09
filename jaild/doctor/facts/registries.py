"""What there is of the files that registries are configured with."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

from jaild.doctor.checks.registries import RegistryFile
from jaild.model.layers.registry import Registries
from jaild.ports.process import PATH

_SETTINGS = ("authfile", "certificates", "signatures")


def skopeo() -> str | None:
    """Return where skopeo is, as the daemon finds it; None if it is not there."""
    return shutil.which("skopeo", path=PATH)


def files(registries: Registries) -> list[RegistryFile]:
    """Look at each file that is named."""
    named = [
        (name, setting, getattr(each, setting)) for name, each in sorted(registries.items()) for setting in _SETTINGS
    ]
    return [_looked_at(name, setting, path) for name, setting, path in named if path is not None]


def _looked_at(name: str, setting: str, path: Path) -> RegistryFile:
    try:
        found = path.stat()
    except OSError:
        return RegistryFile(registry=name, setting=setting, path=str(path), there=False)
    return RegistryFile(
        registry=name,
        setting=setting,
        path=str(path),
        there=True,
        secret=setting == "authfile",
        uid=found.st_uid,
        mode=stat.S_IMODE(found.st_mode),
    )
