"""What an operator lays out in JetStream before anybody speaks: streams, and a durable consumer for each handler.

Services and teams may not create anything there: rights to create are rights to read and to send what one likes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from chassis.outbox import MOST_BYTES
from chassis.subjects import stream_of

DAY = 86_400.0
KEPT_DAYS = 90  # a new team can read so far back
INGRESS_DAYS = 3  # what outsiders say may hold anything: it is gone soon
ACK_WAIT = 30.0
MOST_UNACKNOWLEDGED = 1_000


@dataclass(frozen=True)
class Durable:
    """A consumer that the stream remembers: its name, where it listens, to what."""

    name: str
    stream: str
    filter: str


async def prepare(
    js: JetStreamContext,
    packages: Iterable[str],
    ingress: Iterable[str],
    durables: Sequence[Durable],
    *,
    replicas: int = 1,
) -> None:
    """Lay out the streams of `packages`, one per name in `ingress` for outsiders, and `durables`. Repeating is safe."""
    for package in packages:
        await lay(js, stream_config(stream_of(package), f"{package}.>", KEPT_DAYS, replicas))
    for name in ingress:
        await lay(js, stream_config(f"INGRESS_{name.upper()}", f"ingress.{name}.>", INGRESS_DAYS, replicas))
    for durable in durables:
        await js.add_consumer(durable.stream, consumer_config(durable))  # creates, or updates


async def lay(js: JetStreamContext, config: StreamConfig) -> None:
    try:
        await js.update_stream(config)
    except NotFoundError:
        await js.add_stream(config)


def stream_config(name: str, subjects: str, days: float, replicas: int) -> StreamConfig:
    return StreamConfig(
        name=name,
        subjects=[subjects],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,  # a full stream must not stop the shop; the outbox keeps what it drops
        max_age=days * DAY,
        max_msg_size=MOST_BYTES + 8 * 1024,  # headers count too
        num_replicas=replicas,
        duplicate_window=120.0,
        deny_delete=True,
        deny_purge=True,
        allow_direct=True,  # readers without a durable read so
    )


def consumer_config(durable: Durable) -> ConsumerConfig:
    return ConsumerConfig(
        durable_name=durable.name,
        filter_subject=durable.filter,
        deliver_policy=DeliverPolicy.ALL,  # who starts late hears what was said before
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT,
        max_deliver=-1,  # how often is ours to count: a dead letter needs a reason
        max_ack_pending=MOST_UNACKNOWLEDGED,
    )
