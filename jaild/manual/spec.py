"""jaild-spec(5): every field of a jail's spec and of a release's manifest, as `jailctl explain` tells them."""

from __future__ import annotations

from collections.abc import Iterator

from jaild.manual.mdoc import Page, literal, paragraphs, prose, references, word
from jaild.model.jails import reference

_TITLES = {"spec": "A JAIL'S SPEC", "manifest": "A RELEASE'S MANIFEST"}


def page() -> Page:
    """Return the page."""
    return Page("jaild-spec", 5, "what a jail is, and what a release needs", tuple(_body()))


def fields(path: str) -> Iterator[reference.Field]:
    """Yield what may stand below a path, however deep, in order."""
    found = reference.explain(path)
    for field in found.fields if found is not None else ():
        yield field
        yield from fields(field.path)


def _body() -> Iterator[str]:
    yield ".Sh DESCRIPTION"
    yield from prose("Both are YAML documents. A field that is not known is refused, with what is meant.")
    yield ".Nm jailctl explain"
    yield from prose("tells of one field.")
    for name, title in _TITLES.items():
        yield f".Sh {title}"
        found = reference.explain(name)
        yield from paragraphs(found.words if found is not None else "")
        yield ".Bl -tag -width Ds"
        for field in fields(name):
            yield f".It Cm {word(field.path.partition('.')[2])}"
            yield from paragraphs(field.words)
            required = ", required" if field.is_required else ""
            yield from prose(
                f"It is {field.form}{required}" + (f"; {field.default} if absent." if field.default else ".")
            )
        yield ".El"
        yield from prose("A document that has everything, which nobody would use:")
        yield from literal(reference.EXAMPLES[name].strip().splitlines())
    yield from references("jailctl(1)", "jaild.yaml(5)", "jaild(8)")
