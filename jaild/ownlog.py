"""The daemon's own log, on stderr: a line of JSON for programs, or one for people."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import msgspec
import structlog
from structlog.typing import Processor

Format = Literal["json", "pretty"]
Level = Literal["debug", "info", "warning", "error"]


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How it is written: the setting `log` of the configuration."""

    format: Format = "json"  # pretty: for people
    level: Level = "info"  # the least that is logged


def write(log: Log) -> None:
    """Write so from now on; loggers that are bound already go on as they did."""
    level = logging.getLevelNamesMapping()[log.level.upper()]
    logging.basicConfig(stream=sys.stderr, level=level, format="%(message)s", force=True)
    last: list[Processor] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    if log.format == "pretty":
        last = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]  # which shows an exception itself
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
