"""`python -m jaild.manual DIR`: write the pages to DIR/man1, DIR/man5 and DIR/man8."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

from jaild.manual import commands, daemon, settings, spec


def main() -> None:
    """Write them. SOURCE_DATE_EPOCH is the time that they are dated by, if it is set."""
    parser = argparse.ArgumentParser(prog="python -m jaild.manual", description="Write jaild's manual pages.")
    parser.add_argument("into", type=Path, metavar="DIR", help="a man folder, such as /usr/local/share/man")
    into: Path = parser.parse_args().into
    told = os.environ.get("SOURCE_DATE_EPOCH")
    day = (datetime.fromtimestamp(int(told), UTC) if told else datetime.now(UTC)).date()
    for page in (commands.page(), daemon.page(), settings.page(), spec.page()):
        path = into / page.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page.text(day), encoding="utf-8")


if __name__ == "__main__":
    main()
