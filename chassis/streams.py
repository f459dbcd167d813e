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

HOLDER = "rapport.holder.v1"  # every service states its own answers there
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


@dataclass(frozen=True)
class Party:
    """Somebody on NATS: a service, the gateway, a team."""

    name: str
    packages: Sequence[str] = ()  # whose events it states
    durables: Sequence[Durable] = ()  # what it hears, and is remembered for
    reads: Sequence[str] = ()  # filters it may read along, from any time on
    holder: bool = False  # answers about the people it holds


async def prepare(js: JetStreamContext, parties: Iterable[Party], *, replicas: int = 1) -> None:
    """Lay out the streams of all `parties` and of outsiders, and their durable consumers. Repeating it is safe."""
    parties = list(parties)
    packages = {package for one in parties for package in one.packages}
    packages |= {HOLDER for one in parties if one.holder}
    durables = [durable for one in parties for durable in one.durables]
    for package in sorted(packages):
        await lay(js, stream_config(stream_of(package), f"{package}.>", KEPT_DAYS, replicas))
    for stream in sorted({one.stream for one in durables if one.stream.startswith("INGRESS_")}):
        subjects = f"{stream.lower().replace('_', '.', 1)}.>"
        await lay(js, stream_config(stream, subjects, INGRESS_DAYS, replicas))
    for durable in durables:
        await js.add_consumer(durable.stream, consumer_config(durable))  # makes it, or mends it


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
