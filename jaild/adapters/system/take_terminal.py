"""A program, with nothing but the standard library: `python take_terminal.py PROGRAM [ARGUMENT]...`.

It makes its stdin, a terminal, the controlling one of the session that it leads, so that Ctrl-C, hang-ups and new
sizes reach who runs there, and becomes PROGRAM. A program of its own, since between fork and exec of a process with
threads no Python may run; and FreeBSD gives a session no terminal for opening one (tty(4)), as Linux does.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios

if __name__ == "__main__":
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python; what is ignored stays so for what it becomes
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - an argv list, and there is no shell
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error.strerror}")
