import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import structlog

from chassis.log import configure
from chassis.names import Name
from chassis.telemetry import working

CANARY = "ada" + "@" + "example.org"  # made at run time: a traceback quotes source lines
Written = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def out() -> Iterator[io.BytesIO]:
    handlers, level, complaints, hook = (
        logging.root.handlers[:],
        logging.root.level,
        logging.raiseExceptions,
        sys.excepthook,
    )
    yield io.BytesIO()
    structlog.reset_defaults()
    logging.root.handlers[:], logging.raiseExceptions, sys.excepthook = handlers, complaints, hook
    logging.root.setLevel(level)


@pytest.fixture
def written(out: io.BytesIO) -> Written:
    """The lines that were written, once the process logs as kitchen-1."""
    configure("kitchen", "kitchen-1", stream=out)
    return lambda: [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_says_what_where_and_when(written: Written) -> None:
    ticket = uuid4()
    structlog.get_logger().info("ticket_submitted", ticket=ticket, name=Name(f"users/{ticket}"), points=5)
    [line] = written()
    stamp = datetime.fromisoformat(line.pop("timestamp"))
    assert abs(stamp - datetime.now(UTC)) < timedelta(minutes=1)
    assert line == {
        "event": "ticket_submitted",
        "level": "info",
        "service": "kitchen",
        "replica": "kitchen-1",
        "ticket": str(ticket),
        "name": f"users/{ticket}",
        "points": 5,
    }


def test_a_line_carries_the_ids_of_the_work_it_was_written_in(written: Written) -> None:
    log = structlog.get_logger()
    with (
        working("/kitchen/Boil", request_id="12345678") as outer,
        working("/kitchen/Pour", traceparent=outer.traceparent, request_id=outer.request_id) as inner,
    ):
        log.info("poured")
    log.info("tidied")
    poured, tidied = written()
    assert (poured["method"], poured["request_id"]) == ("/kitchen/Pour", "12345678")
    assert (poured["trace_id"], poured["span_id"]) == (outer.trace_id, inner.span_id)
    assert "request_id" not in tidied


def test_a_library_speaks_in_the_same_form(written: Written) -> None:
    with working("/kitchen/Boil", request_id="12345678"):
        logging.getLogger("kettles").warning("The kettle of %s boils", CANARY)
    [line] = written()
    assert (line["event"], line["level"], line["logger"]) == ("The_kettle_of_s_boils", "warning", "kettles")
    assert (line["request_id"], line["service"]) == ("12345678", "kitchen")


def test_libraries_speak_of_trouble_only(written: Written) -> None:
    logging.getLogger("kettles").info("All is well")
    structlog.get_logger().debug("all_is_well")
    assert written() == []


def by_keyword() -> None:
    structlog.get_logger().warning("kettle_cold", whose=CANARY, what={"of": [CANARY]})


def by_event() -> None:
    structlog.get_logger().warning(f"The kettle of {CANARY}")


def by_exception() -> None:
    try:
        raise ValueError(CANARY)
    except ValueError:
        structlog.get_logger().exception("kettle_burnt")


def by_argument() -> None:
    logging.getLogger("kettles").error("The kettle of %s, %r", CANARY, {"of": CANARY})


def by_message() -> None:
    logging.getLogger("kettles").error(f"The kettle of {CANARY}")


def by_object() -> None:
    logging.getLogger("kettles").error(ValueError(CANARY))


def by_wrong_arguments() -> None:
    logging.getLogger("kettles").error("The kettle %d %d", CANARY)


def by_library_exception() -> None:
    try:
        raise ValueError(CANARY)
    except ValueError:
        logging.getLogger("kettles").exception("The kettle burns")


def by_extra() -> None:
    logging.getLogger("kettles").error("The kettle burns", extra={"whose": CANARY})


WAYS = [
    by_keyword,
    by_event,
    by_exception,
    by_argument,
    by_message,
    by_object,
    by_wrong_arguments,
    by_library_exception,
    by_extra,
]


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_logging_writes_a_person(
    way: Callable[[], None], log_format: Any, out: io.BytesIO, capfd: pytest.CaptureFixture[str]
) -> None:
    configure("kitchen", "kitchen-1", log_format, out)
    way()
    assert out.getvalue().count(b"kitchen-1") == 1
    assert CANARY.encode() not in out.getvalue()
    assert "".join(capfd.readouterr()) == ""


def test_an_exception_says_where_and_of_what_kind(written: Written) -> None:
    by_exception()
    by_library_exception()
    for line in written():
        assert "builtins.ValueError" in line["exception"]
        assert "test_log.py" in line["exception"]


CRASH = """
import sys
from chassis.log import configure
configure("kitchen", "kitchen-1")
raise ValueError(sys.argv[1])
"""


def test_the_last_words_of_a_process_are_a_line_too() -> None:
    done = subprocess.run([sys.executable, "-c", CRASH, CANARY], capture_output=True, text=True, check=False)
    line = json.loads(done.stdout)
    assert done.returncode == 1
    assert (line["event"], line["level"]) == ("process_crashed", "critical")
    assert "builtins.ValueError" in line["exception"]
    assert CANARY not in done.stdout + done.stderr


@pytest.mark.parametrize("value", [1 << 70, timedelta(seconds=3), float("nan"), Name("users/\ud800")])
def test_no_value_is_too_odd_to_be_written(value: object, written: Written) -> None:
    structlog.get_logger().info("oddity", value=value)
    [line] = written()
    assert line["event"] == "oddity"


def test_a_person_at_a_terminal_reads_lines(out: io.BytesIO) -> None:
    configure("kitchen", "kitchen-1", "text", out)
    structlog.get_logger().info("poured", cups=3)
    [line] = out.getvalue().decode().splitlines()
    assert "poured" in line
    assert "cups=3" in line
    assert "{" not in line
