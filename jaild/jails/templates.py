"""Specs to start from: YAML files of the daemon's template folder, with ${places} to fill in."""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path

from jaild.model import names
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from jaild.ports.files import Files


class Templates:
    """The templates of this host."""

    def __init__(self, files: Files, folder: Path) -> None:
        self._files = files
        self._folder = folder

    async def render(self, name: str, values: Mapping[str, str]) -> str:
        """Return a template's YAML, every place filled in.

        `NotFoundError` (TEMPLATE_NOT_FOUND) lists those there are; `InvalidArgumentError` (TEMPLATE_VALUES) names the
        places without a value, and values without a place. A value may not hold a line break (of any kind that YAML
        knows): it fills one scalar. `FailedPreconditionError` (TEMPLATE_BROKEN).
        """
        names.version(name)
        try:
            text = (await self._files.read(self._folder / f"{name}.yaml")).decode()
        except NotFoundError:
            there = [n.removesuffix(".yaml") for n in await self._files.names(self._folder) if n.endswith(".yaml")]
            raise NotFoundError(
                "TEMPLATE_NOT_FOUND",
                f"there is no template {name}",
                remedy=f"there are: {', '.join(there) or 'none'}",
                resource=name,
            ) from None
        template = string.Template(text)
        if not template.is_valid():
            raise FailedPreconditionError(
                "TEMPLATE_BROKEN",
                f"template {name} has a $ that begins no place",
                remedy="write ${place}, or $$ for the character itself",
                resource=name,
            )
        places = set(template.get_identifiers())
        missing, unknown = sorted(places - set(values)), sorted(set(values) - places)
        broken = sorted(key for key, value in values.items() if value.splitlines() not in ([], [value]))
        if missing or unknown or broken:
            parts = [
                f"{what}: {', '.join(keys)}"
                for what, keys in (("without a value", missing), ("not in it", unknown), ("with a line break", broken))
                if keys
            ]
            raise InvalidArgumentError(
                "TEMPLATE_VALUES",
                f"template {name}: {'; '.join(parts)}",
                remedy=f"give exactly these: {', '.join(sorted(places)) or 'none'}",
            )
        return template.substitute(values)
