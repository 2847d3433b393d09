"""What the fakes of the API's tests have in common."""

from __future__ import annotations

from typing import Any

from jaild.model.operation import Operation


class Fake:
    """Remembers calls, and raises `refusal` if there is one."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.refusal: BaseException | None = None

    def seen(self, method: str, *args: Any, **kwargs: Any) -> None:
        self.calls.append((method, args, kwargs))
        if self.refusal is not None:
            raise self.refusal

    def operate(self, method: str, *args: Any, **kwargs: Any) -> Operation:
        self.seen(method, *args, **kwargs)
        return Operation(id=f"op-{len(self.calls)}", kind=method, target="jails/web")


def asked(*, validate_only: bool) -> dict[str, bool]:
    """Return what is remembered of that only the plan was asked for."""
    return {"validate_only": True} if validate_only else {}
