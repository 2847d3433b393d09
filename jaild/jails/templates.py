"""Templates of jails' specs, with variables: YAML files of this host, and those that come with jaild."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaild.model import names
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from jaild.ports.files import Files

_SUFFIX = ".yaml"


@dataclass(frozen=True)
class Template:
    """A template: its YAML, what its first comment says, and which variables must be given."""

    name: str
    text: str
    description: str
    variables: tuple[str, ...]


class Templates:
    """The templates of `folders`: of two with the same name that in the earlier folder."""

    def __init__(self, files: Files, folders: Sequence[Path]) -> None:
        self._files = files
        self._folders = folders

    async def list(self) -> Sequence[Template]:
        """Return all, by name."""
        return [await self._read(path) for _, path in sorted((await self._found()).items())]

    async def get(self, name: str) -> Template:
        """Return one. `NotFoundError` (TEMPLATE_NOT_FOUND) lists those there are."""
        names.version(name)
        found = await self._found()
        if name in found:
            return await self._read(found[name])
        raise NotFoundError(
            "TEMPLATE_NOT_FOUND",
            f"there is no template {name}",
            hint=f"there are: {', '.join(sorted(found)) or 'none'}",
            resource=name,
        )

    async def _found(self) -> dict[str, Path]:
        paths = [folder / name for folder in reversed(self._folders) for name in await self._files.names(folder)]
        return {path.stem: path for path in paths if path.suffix == _SUFFIX}

    async def _read(self, path: Path) -> Template:
        name, text = path.stem, (await self._files.read(path)).decode()
        first, _, _ = text.partition("\n")
        variables = sorted(set(string.Template(text).get_identifiers()))
        return Template(name, text, first.removeprefix("#").strip() if first.startswith("#") else "", tuple(variables))

    async def render(self, name: str, values: Mapping[str, str]) -> str:
        """Return a template's YAML, every variable filled in.

        `NotFoundError` (TEMPLATE_NOT_FOUND); `InvalidArgumentError` (TEMPLATE_VALUES) names the
        variables without a value, and values without a variable. A value may not hold a line break (of any kind that
        YAML knows): it fills one scalar. `FailedPreconditionError` (TEMPLATE_BROKEN).
        """
        template = string.Template((await self.get(name)).text)
        if not template.is_valid():
            raise FailedPreconditionError(
                "TEMPLATE_BROKEN",
                f"template {name} has a $ that begins no variable",
                hint="write ${variable}, or $$ for the character itself",
                resource=name,
            )
        variables = set(template.get_identifiers())
        missing, unknown = sorted(variables - set(values)), sorted(set(values) - variables)
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
                hint=f"give exactly these: {', '.join(sorted(variables)) or 'none'}",
            )
        return template.substitute(values)
