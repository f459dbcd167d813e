"""One line for each thing that happened, on standard output.

    log = structlog.get_logger()
    log.info("ticket_submitted", ticket=Name(ticket.name))

The event is a constant; what it is about goes in keywords, as ids, numbers, enums and Names. Each line gets the ids of
the work it was written in (chassis.telemetry). Nothing personal is written, whatever is handed in: chassis.redaction
sees to that. What libraries say through `logging` takes the same form, without the arguments, which may hold anything.
"""

import json
import logging
import re
import sys
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal

import orjson
import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from chassis.redaction import redact
from chassis.telemetry import span

STAMP = structlog.processors.TimeStamper(fmt="iso", utc=True)  # real time: what the platform's clock says is data
LONGEST = 200


def configure(
    service: str, replica: str, log_format: Literal["json", "text"] = "json", stream: BinaryIO | None = None
) -> None:
    """Let this process log as `service`: JSON, or lines that people read at a terminal."""
    stream = stream or sys.stdout.buffer
    common: list[Processor] = [placed(service, replica), structlog.processors.add_log_level, STAMP]
    write = as_json if log_format == "json" else readable(is_colourful=stream.isatty())
    structlog.configure(
        processors=[*common, redact, write],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(Lines(stream))
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, constant, *common],
            processors=[ProcessorFormatter.remove_processors_meta, redact, write, as_text],
            use_get_message=False,
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.raiseExceptions = False  # its own complaint would quote the arguments
    sys.excepthook = crashed


def placed(service: str, replica: str) -> Processor:
    """Adds where a line was written, and in the course of what."""

    def place(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
        line["service"], line["replica"] = service, replica
        work = span.get()
        if work is not None:
            line.setdefault("method", work.method)
            line["request_id"], line["trace_id"], line["span_id"] = work.request_id, work.trace_id, work.span_id
            if work.parent_id:
                line["parent_id"] = work.parent_id
        return line

    return place


# What libraries say --------------------------------------------------------------------------------------------------


def constant(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Makes an event of a library's message: the words that its source has, none that came in at run time."""
    record: logging.LogRecord = line["_record"]
    message = record.msg if isinstance(record.msg, str) else ""
    line["event"] = event_of(message[:LONGEST], record.pathname) or "library_message"
    return line


@lru_cache(maxsize=1_000)
def event_of(message: str, pathname: str) -> str:
    try:
        source = Path(pathname).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "_".join(re.findall(r"\w+", message, re.ASCII)) if message and message in source else ""


# How lines are written -----------------------------------------------------------------------------------------------


def as_json(_: WrappedLogger, __: str, line: EventDict) -> bytes:
    try:
        return orjson.dumps(line, default=str)
    except TypeError:  # an integer beyond 64 bits, half a surrogate pair
        return json.dumps(line, default=str).encode()


def readable(*, is_colourful: bool) -> Processor:
    render = structlog.dev.ConsoleRenderer(colors=is_colourful, exception_formatter=structlog.dev.plain_traceback)

    def write(logger: WrappedLogger, method: str, line: EventDict) -> bytes:
        return render(logger, method, line).encode(errors="backslashreplace")

    return write


def as_text(_: WrappedLogger, __: str, line: Any) -> str:
    return bytes(line).decode()


class Lines:
    """The stream of bytes, for `logging`, which writes text."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        self.stream.write(text.encode())

    def flush(self) -> None:
        self.stream.flush()


def crashed(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """The last words of a process: the interpreter's own would quote the exception's text."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, where)
        return
    structlog.get_logger().critical("process_crashed", exc_info=(kind, error, where))
