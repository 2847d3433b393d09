"""The answers to `validate_only`, for those who ask again: in memory, few, and apart from the operations.

Asking what a change would do costs nothing and may be done by the thousand. So a plan is never stored or listed, and
never makes the host forget an operation or the request id that led to it.
"""

from __future__ import annotations

from jaild.model import bounds, clipping
from jaild.model.operation import Operation


class Plans:
    """The newest plans, oldest first."""

    def __init__(self) -> None:
        self._all: dict[str, Operation] = {}
        self._sizes: dict[str, int] = {}

    def add(self, operation: Operation) -> None:
        """Keep one, and forget the oldest beyond the bounds in number and bytes."""
        self._all[operation.id] = operation
        self._sizes[operation.id] = clipping.size(operation)
        while len(self._all) > 1 and (len(self._all) > bounds.PLANS or sum(self._sizes.values()) > bounds.PLANS_BYTES):
            self.discard(next(iter(self._all)))

    def get(self, operation_id: str) -> Operation | None:
        """Return one; None if it is not there (any more)."""
        return self._all.get(operation_id)

    def discard(self, operation_id: str) -> bool:
        """Forget one; return whether it was there."""
        self._sizes.pop(operation_id, None)
        return self._all.pop(operation_id, None) is not None
