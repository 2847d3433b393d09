"""``test`` for a jail."""

from __future__ import annotations

from typing import Any

__resource_funcs__: dict[str, Any]


def ping() -> bool:
    """Return whether the jail runs.

    CLI Example:

    .. code-block:: bash

        salt -C 'T@jail:web' test.ping
    """
    return bool(__resource_funcs__["jail.ping"]())
