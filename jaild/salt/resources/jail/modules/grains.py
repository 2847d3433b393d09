"""``grains`` of a jail: ``base``, ``release``, ``app``, ``health``, ``state``, ``host``, ``labels``."""

from __future__ import annotations

from typing import Any

__resource_funcs__: dict[str, Any]


def items() -> dict[str, Any]:
    """Return all of them.

    CLI Example:

    .. code-block:: bash

        salt -C 'T@jail' grains.items
    """
    found: dict[str, Any] = __resource_funcs__["jail.grains"]()
    return found


def item(*names: str) -> dict[str, Any]:
    """Return those of these names."""
    found = items()
    return {name: found.get(name, "") for name in names}


def get(key: str, default: Any = "") -> Any:
    """Return one; ``labels:team`` is one of a mapping."""
    found: Any = items()
    for part in key.split(":"):
        if not isinstance(found, dict) or part not in found:
            return default
        found = found[part]
    return found
