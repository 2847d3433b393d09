"""What every real runtime does with a command on a terminal, and with a caller who hangs up."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from jaild.adapters.runtime import streaming
from jaild.ports.process import TerminalSize
from jaild.ports.runtime import END_OF_STDIN, Input, Runtime
from tests.contract.runtime_contract import Rig

SIZE = TerminalSize(rows=24, columns=80)
HANG_UP = b"(hang up)"
WAITS = "while :; do sleep 0.05; done"


class Dialogue:
    """A command, and who gives it one thing after each text that it says."""

    def __init__(self, runtime: Runtime, script: str, terminal: TerminalSize | None = SIZE) -> None:
        self._runtime = runtime
        self._command = ("sh", "-c", script)
        self._terminal = terminal
        self._given: asyncio.Queue[Input | None] = asyncio.Queue()
        self.said = b""
        self.stderr = b""

    async def hold(self, *steps: tuple[bytes, Input | None]) -> int | None:
        """Give each step's second part once its first was said (at once if that is empty); return the status.

        None: no more is given. `HANG_UP`: close it, and return None.
        """
        for _, given in (first := [step for step in steps if not step[0]]):
            self._given.put_nowait(given)
        rest = list(steps[len(first) :])
        pieces = self._runtime.exec(
            "web", 1, self._command, environment={"PS1": "> "}, inputs=self._inputs(), terminal=self._terminal
        )
        async with asyncio.timeout(20), aclosing(pieces):
            async for piece in pieces:
                self.said += piece.stdout
                self.stderr += piece.stderr
                if piece.exit_status is not None:
                    return piece.exit_status
                while rest and rest[0][0] in self.said:
                    given = rest.pop(0)[1]
                    if given == HANG_UP:
                        return None
                    self._given.put_nowait(given)
        return None

    def __repr__(self) -> str:
        return f"Dialogue({self.said!r}, {self.stderr!r})"

    async def _inputs(self) -> AsyncIterator[Input]:
        while (given := await self._given.get()) is not None:
            yield given


async def begun(rig: Rig) -> Runtime:
    await rig.runtime.create(rig.spec())
    await rig.runtime.start("web", 1)
    return rig.runtime


class TerminalContract:
    """Inherit, and give the fixtures `rig` and `data` (the folder that is /var in its runs)."""

    async def test_a_terminal_has_its_size_its_keys_and_one_stream(self, rig: Rig) -> None:
        runtime = await begun(rig)
        asks = (
            "test -t 0 && test -t 1 && test -t 2 && stty size; trap 'stty size' WINCH; trap 'echo broken; exit 9' INT"
        )
        talk = Dialogue(runtime, f"{asks}; echo err >&2; read line; echo got=$line; {WAITS}")
        status = await talk.hold(
            (b"err", b"typed\r"), (b"got=typed", TerminalSize(rows=50, columns=132)), (b"50 132", b"\x03")
        )
        assert (status, talk.stderr) == (9, b"")
        assert talk.said.replace(b"^C", b"").split() == [
            *(b"24", b"80", b"err", b"typed", b"got=typed", b"50", b"132", b"broken")
        ]

    # Whether what a command says last comes although others in the background have its terminal open.
    keeps_all_in_the_background = True

    async def test_what_is_said_last_comes(self, rig: Rig) -> None:
        runtime = await begun(rig)
        numbers = [str(number).encode() for number in range(1, 20001)]
        talk = Dialogue(runtime, "seq 20000; exit 3")
        assert (await talk.hold(), talk.said.split()) == (3, numbers)
        talk = Dialogue(runtime, "sleep 60 & seq 20000; exit 3")
        assert await talk.hold() == 3
        if self.keeps_all_in_the_background:
            assert talk.said.split() == numbers
        said = Dialogue(runtime, "cat; exit 4")
        assert await said.hold((b"", b"no end of a line"), (b"no end", None)) == 4
        missing = [piece async for piece in runtime.exec("web", 1, ("nosuch",), terminal=SIZE)]
        assert missing[-1].exit_status == 127
        assert b"nosuch: No such file or directory\r\n" in b"".join(piece.stdout for piece in missing)
        refused = [piece async for piece in runtime.exec("web", 1, ("/var",))]
        assert refused[-1].exit_status == 126
        assert b"/var: " in b"".join(piece.stderr for piece in refused)

    async def test_who_hangs_up_sends_sighup_and_kills_what_stays(
        self, rig: Rig, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runtime = await begun(rig)

        async def hung_up(trap: str, terminal: TerminalSize | None) -> str:
            """Hang up on a command; return what its trap of SIGHUP wrote. It is gone."""
            (data / "how").write_text("")
            script = f"echo $$ > /var/pid; trap '{trap}' HUP; echo ready; {WAITS}"
            assert await Dialogue(runtime, script, terminal).hold((b"ready", HANG_UP)) is None
            assert await Dialogue(runtime, "kill -0 $(cat /var/pid)", None).hold((b"", None)) != 0
            return (data / "how").read_text()

        assert await hung_up("echo hup > /var/how; exit", SIZE) == "hup\n"
        monkeypatch.setattr(streaming, "HANG_UP", 0.3)
        assert await hung_up("echo stays > /var/how", SIZE) == "stays\n"
        assert await hung_up("echo hup > /var/how", None) == ""  # without a terminal it is killed at once

    async def test_signals_reach_a_command_also_after_the_end_of_its_stdin(self, rig: Rig) -> None:
        runtime = await begun(rig)
        told = Dialogue(runtime, f"trap 'echo end; exit 5' TERM; cat; echo ready; {WAITS}", None)
        assert await told.hold((b"", b"in\n"), (b"in", END_OF_STDIN), (b"ready", signal.SIGTERM)) == 5
