"""A jail's log, taken apart into its lines, with where each ends. Pure."""

from __future__ import annotations

_CONTINUED = 0b10  # the first two bits of a byte that goes on with a character of UTF-8
_LONGEST = 4  # bytes of such a character


class Lines:
    """What is read of a log from `position` on, piece after piece; a line has `most` bytes at most."""

    def __init__(self, position: int, most: int) -> None:
        self.position = position  # where what is not handed out yet begins
        self._most = most
        self._rest = b""

    @property
    def read(self) -> int:
        """Where the next piece begins."""
        return self.position + len(self._rest)

    def take(self, piece: bytes) -> list[tuple[int, bytes]]:
        """Return the lines that end in a piece, each with its end; of one that is too long what is there of it."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        found: list[tuple[int, bytes]] = []
        for text in whole:
            if len(text) > self._most:
                found += self._cut(text, ended=True)
            else:
                self.position += len(text) + 1
                found.append((self.position, text))
        if len(self._rest) > self._most:
            *parts, rest = pieces(self._rest, self._most)
            for part in parts:
                found += self._cut(part, ended=False)
            self._rest = rest
        return found

    def flush(self) -> list[tuple[int, bytes]]:
        """Return what is left, as if it had ended."""
        rest, self._rest = self._rest, b""
        return self._cut(rest, ended=False) if rest else []

    def _cut(self, text: bytes, *, ended: bool) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        for part in pieces(text, self._most):
            self.position += len(part)
            found.append((self.position, part))
        if ended:
            self.position += 1
            found[-1] = (self.position, found[-1][1])
        return found


def pieces(text: bytes, most: int) -> list[bytes]:
    """Cut what is longer than `most` bytes; no character of UTF-8 is torn."""
    found = []
    while len(text) > most:
        cut = next((cut for cut in range(most, max(most - _LONGEST, 0), -1) if text[cut] >> 6 != _CONTINUED), most)
        found.append(text[:cut])
        text = text[cut:]
    return [*found, text]
