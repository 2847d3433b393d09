"""Memory that pieces of streams come and go in."""

from __future__ import annotations

_KEPT = 4 << 20  # bytes: more than what one message of a stream takes


def keep_freed() -> None:
    """Let the process keep the memory of a freed piece for the next one.

    glibc's malloc(3) maps blocks of 128 KiB and more anew each time, and the kernel zeroes each page of them again: 200
    page faults for each MiB of a stream. From the first large block that is freed on, blocks of up to its size come
    from memory that is kept, of which twice as much may be free (M_MMAP_THRESHOLD in mallopt(3)). FreeBSD's jemalloc
    keeps freed memory for some seconds anyway. The block itself is never touched, so that it takes no memory.
    """
    bytes(_KEPT)
