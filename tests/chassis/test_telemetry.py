import asyncio
import re

import pytest
from grpc import StatusCode
from prometheus_client.parser import text_string_to_metric_families

from chassis.telemetry import exposition, outgoing, rpc_handled, span, started, working

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_work_joins_the_trace_it_came_with() -> None:
    with working("/kitchen/Boil", traceparent=f"00-{TRACE}-{PARENT}-00") as ours:
        assert (ours.trace_id, ours.parent_id, ours.flags) == (TRACE, PARENT, "00")
        assert ours.span_id != PARENT
        assert ours.traceparent == f"00-{TRACE}-{ours.span_id}-00"


def test_a_later_version_of_the_header_is_read_as_far_as_we_know_it() -> None:
    with working("/kitchen/Boil", traceparent=f"cc-{TRACE}-{PARENT}-01-what-comes-next") as ours:
        assert ours.traceparent == f"00-{TRACE}-{ours.span_id}-01"


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "nonsense",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{PARENT}-01\n",
        f"00-{TRACE}-{PARENT}",
    ],
)
def test_a_broken_traceparent_begins_a_trace(traceparent: str) -> None:
    with working("/kitchen/Boil", traceparent=traceparent) as ours:
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", ours.traceparent)
        assert ours.parent_id == ""
        assert ours.trace_id.lower() != TRACE


@pytest.mark.parametrize("given", ["0b8f3f5e-3c5b-4d43-a1d8-4f86a3c9f2aa", "build_42-x", "12345678"])
def test_a_well_formed_request_id_is_kept(given: str) -> None:
    with working("/kitchen/Boil", request_id=given) as ours:
        assert ours.request_id == given


@pytest.mark.parametrize("given", ["", "short", "ada@example.org", "a b c d e f", "x" * 65, "12345678\n"])
def test_any_other_request_id_is_replaced(given: str) -> None:
    """It is written into every log line: a caller does not choose its text."""
    with working("/kitchen/Boil", request_id=given) as ours:
        assert re.fullmatch("[0-9a-f-]{36}", ours.request_id)


async def test_peers_are_told_of_the_work_that_calls_them() -> None:
    assert outgoing() == ()
    with working("/kitchen/Boil", request_id="12345678") as outer:
        with working("/kitchen/Pour", traceparent=outer.traceparent, request_id=outer.request_id) as inner:
            assert dict(outgoing()) == {"traceparent": inner.traceparent, "x-request-id": "12345678"}
        assert dict(await asyncio.create_task(headers())) == {
            "traceparent": outer.traceparent,
            "x-request-id": "12345678",
        }
    assert span.get() is None


async def headers() -> tuple[tuple[str, str], ...]:
    return outgoing()


def value(name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(exposition().decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return 0.0


def test_an_answered_call_is_counted_and_timed() -> None:
    rpc_handled("/kitchen.v1.Kitchen/Boil", StatusCode.NOT_FOUND, 0.02)
    rpc_handled("/kitchen.v1.Kitchen/Boil", StatusCode.NOT_FOUND, 0.2)
    method = {"grpc_service": "kitchen.v1.Kitchen", "grpc_method": "Boil"}
    assert value("grpc_server_handled_total", **method, grpc_code="NOT_FOUND") == 2
    assert value("grpc_server_handling_seconds_bucket", **method, le="0.025") == 1
    assert value("grpc_server_handling_seconds_count", **method) == 2


def test_a_process_tells_what_it_is() -> None:
    started("kitchen", "kitchen-1")
    families = {family.name: family for family in text_string_to_metric_families(exposition().decode())}
    [sample] = [s for s in families["rapport_process_info"].samples if s.labels["service"] == "kitchen"]
    assert sample.labels["replica"] == "kitchen-1"
    assert "process_resident_memory_bytes" in families


def test_the_numbers_have_the_names_that_dashboards_ask_for() -> None:
    """Names are an interface: alerts and dashboards break on a change."""
    families = {family.name for family in text_string_to_metric_families(exposition().decode())}
    assert families >= {
        "grpc_server_handled",
        "grpc_server_handling_seconds",
        "outbox_pending",
        "outbox_oldest_age_seconds",
        "events_published",
        "event_consume_seconds",
        "event_lag_seconds",
        "event_duplicates",
        "dead_letters",
        "db_pool_in_use",
        "job_seconds",
        "job_work",
        "mails",
    }
