"""What a process tells about itself in numbers, and the ids that tie its log lines to those of other processes.

    with working(method, traceparent=headers["traceparent"], request_id=headers["x-request-id"]):
        ...  # log lines and calls to peers carry the ids; outgoing() gives the metadata

Ids and their way through the platform only: spans are exported by nobody yet, the log line of each is what is kept.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from uuid import uuid4

from grpc import StatusCode
from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

# Ids -----------------------------------------------------------------------------------------------------------------

TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")  # a UUID too


@dataclass(frozen=True, slots=True)
class Span:
    """One piece of work: a call served, an event handled, a run of a job."""

    method: str
    request_id: str  # the same from the browser's click to the last consumer of what came of it
    trace_id: str
    span_id: str
    parent_id: str  # "" where the trace begins
    flags: str

    @property
    def traceparent(self) -> str:
        """The W3C header by which others join this trace."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


span: ContextVar[Span | None] = ContextVar("span", default=None)


@contextmanager
def working(method: str, *, traceparent: str = "", request_id: str = "") -> Iterator[Span]:
    """Work on `method`, in the trace and under the request id that came with it, where they are well formed."""
    before, now = span.get(), begin(method, traceparent, request_id)
    span.set(now)
    try:
        yield now
    finally:
        span.set(before)  # no reset: a stream that nobody reads any more is closed in another context


def begin(method: str, traceparent: str, request_id: str) -> Span:
    match, fresh = TRACEPARENT.fullmatch(traceparent), secrets.token_hex(24)  # at once: the system is asked once
    trace_id, parent_id, flags = match.group(2, 3, 4) if match and is_valid(match) else (fresh[:32], "", "01")
    well_formed = REQUEST_ID.fullmatch(request_id)
    return Span(
        method=method,
        request_id=request_id if well_formed else str(uuid4()),
        trace_id=trace_id,
        span_id=fresh[32:],
        parent_id=parent_id,
        flags=flags,
    )


def is_valid(traceparent: re.Match[str]) -> bool:
    """What the pattern does not say: no zero ids, no version ff, and nothing more in version 00."""
    edition, trace_id, parent_id, _, more = traceparent.groups()
    return (
        edition != "ff" and bool(trace_id.strip("0")) and bool(parent_id.strip("0")) and not (more and edition == "00")
    )


def outgoing() -> tuple[tuple[str, str], ...]:
    """The headers that let a peer join the present work: traceparent and x-request-id, or none outside of any."""
    now = span.get()
    return (("traceparent", now.traceparent), ("x-request-id", now.request_id)) if now else ()


# Numbers -------------------------------------------------------------------------------------------------------------
# Labels are methods, types and names from the code: never an id, never a person.

REGISTRY = CollectorRegistry()
for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
    REGISTRY.register(collector)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LONG_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800)

PROCESS = Gauge(
    "rapport_process_info", "1, labelled with what runs.", ["service", "replica", "version"], registry=REGISTRY
)
RPC_HANDLED = Counter(
    "grpc_server_handled", "Calls answered.", ["grpc_service", "grpc_method", "grpc_code"], registry=REGISTRY
)
RPC_SECONDS = Histogram(
    "grpc_server_handling_seconds",
    "From the first interceptor to the answer.",
    ["grpc_service", "grpc_method"],
    buckets=SECONDS,
    registry=REGISTRY,
)
OUTBOX_PENDING = Gauge("outbox_pending", "Events that no one has published yet.", registry=REGISTRY)
OUTBOX_OLDEST_AGE = Gauge("outbox_oldest_age_seconds", "Age of the oldest of them.", registry=REGISTRY)
EVENTS_PUBLISHED = Counter("events_published", "Events handed to the stream.", ["type", "result"], registry=REGISTRY)
EVENT_CONSUME_SECONDS = Histogram(
    "event_consume_seconds",
    "From the handler's start to its commit.",
    ["consumer", "type", "result"],
    buckets=SECONDS,
    registry=REGISTRY,
)
EVENT_LAG = Histogram(
    "event_lag_seconds",
    "From the publisher's commit to the consumer's.",
    ["consumer"],
    buckets=LONG_SECONDS,
    registry=REGISTRY,
)
EVENT_DUPLICATES = Counter("event_duplicates", "Events seen before.", ["consumer"], registry=REGISTRY)
DEAD_LETTERS = Gauge("dead_letters", "Events set aside, waiting for a person.", ["consumer"], registry=REGISTRY)
DB_POOL_IN_USE = Gauge("db_pool_in_use", "Database connections at work.", registry=REGISTRY)
JOB_SECONDS = Histogram("job_seconds", "One run of a job.", ["job", "result"], buckets=LONG_SECONDS, registry=REGISTRY)
JOB_WORK = Counter("job_work", "What jobs did, each in its own measure.", ["job"], registry=REGISTRY)
MAILS = Counter(
    "mails",
    "Mails handed over (sent), put off (retried) or given up (failed).",
    ["template", "result"],
    registry=REGISTRY,
)


def started(service: str, replica: str) -> None:
    """Tell what runs here."""
    try:
        edition = version("rapport")
    except PackageNotFoundError:
        edition = "clone"
    PROCESS.labels(service, replica, edition).set(1)


def rpc_handled(method: str, code: StatusCode, seconds: float) -> None:
    """Count one answered call of `/package.Service/Method`."""
    service, name = split(method)
    answered(service, name, code.name).inc()
    took(service, name).observe(seconds)


@lru_cache(maxsize=4_096)
def split(method: str) -> tuple[str, str]:
    service, _, name = method.strip("/").partition("/")
    return service, name


# Looking a child up by its labels costs more than counting does.
@lru_cache(maxsize=4_096)
def answered(service: str, name: str, code: str) -> Counter:
    return RPC_HANDLED.labels(service, name, code)


@lru_cache(maxsize=4_096)
def took(service: str, name: str) -> Histogram:
    return RPC_SECONDS.labels(service, name)


def exposition() -> bytes:
    """All numbers, in the text that Prometheus scrapes (text/plain; version=0.0.4)."""
    return generate_latest(REGISTRY)
