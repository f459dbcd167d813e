"""A service with a method of every arity and a way in of every kind, behind the real road, over a socket."""

import hashlib
import sysconfig
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import grpc_tools  # type: ignore[import-untyped]
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc

from chassis.access import Gate, Peers, policies
from chassis.masking import Known, hiding, nothing_known
from chassis.revocations import Revocations
from chassis.rpc import Context, Road
from chassis.time import Clock, system_clock
from chassis.tokens import Keys, Tokens
from chassis.validation import checks
from tests import tokens

HERE = Path(__file__).parent
PRIVACY = (("x-rapport-service", "the privacy service's own"),)
SUPPORT = (("x-rapport-service", "the support service's own"),)
PEERS = {
    name: hashlib.sha256(proof.encode()).hexdigest()
    for name, [(_, proof)] in {"privacy": PRIVACY, "support": SUPPORT}.items()
}


def contract(text: str | None = None) -> FileDescriptor:
    """The contract in oracle.proto, or another text of the same kind."""
    name = "oracle.proto" if text is None else f"oracle{abs(hash(text))}.proto"
    with TemporaryDirectory() as folder:
        Path(folder, name).write_text((HERE / "oracle.proto").read_text() if text is None else text)
        includes = [folder, "protos", sysconfig.get_path("purelib"), f"{Path(grpc_tools.__file__).parent}/_proto"]
        failed = protoc.main(["", *(f"-I{one}" for one in includes), f"--descriptor_set_out={folder}/out", name])
        assert not failed
        [file] = FileDescriptorSet.FromString(Path(folder, "out").read_bytes()).file
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindFileByName(name)


FILE = contract()
SERVICE = FILE.services_by_name["OracleService"]
PATH = f"/{SERVICE.full_name}/"
Question: Any
Answer: Any
Omen: Any
Place: Any
UpdateOmenRequest: Any
Ordered: Any
Question, Answer, Omen, Place, UpdateOmenRequest, Ordered = (
    GetMessageClass(FILE.message_types_by_name[name])
    for name in ("Question", "Answer", "Omen", "Place", "UpdateOmenRequest", "Ordered")
)
Oracle = Callable[[Any, Context], Awaitable[str]]


async def echo(question: Any, context: Context) -> str:
    return getattr(question, "text", "")


def handlers(oracle: Oracle) -> dict[str, Any]:
    """Every method answers what the oracle says to each question; those that stream say it twice."""

    async def one(request: Any, context: Context) -> Any:
        return Answer(text=await oracle(request, context))

    async def twice(request: Any, context: Context) -> AsyncIterator[Any]:
        yield Answer(text=await oracle(request, context))
        yield Answer(text=await oracle(request, context))

    async def last(requests: AsyncIterator[Any], context: Context) -> Any:
        said = [await oracle(request, context) async for request in requests]
        return Answer(text=" ".join(said))

    async def each(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        async for request in requests:
            yield Answer(text=await oracle(request, context))

    make = {
        (False, False): (grpc.unary_unary_rpc_method_handler, one),
        (False, True): (grpc.unary_stream_rpc_method_handler, twice),
        (True, False): (grpc.stream_unary_rpc_method_handler, last),
        (True, True): (grpc.stream_stream_rpc_method_handler, each),
    }
    found = {}
    for method in SERVICE.methods:
        kind, serve = make[method.client_streaming, method.server_streaming]
        reads = GetMessageClass(method.input_type).FromString
        found[method.name] = kind(serve, request_deserializer=reads, response_serializer=Answer.SerializeToString)
    return found


def arity_of(name: str) -> str:
    method = SERVICE.methods_by_name[name]
    return f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"


def servicer(oracle: Oracle, server: grpc.aio.Server, **more: Any) -> None:
    """What a generated add_..._to_server does."""
    methods = {**handlers(oracle), **more}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, methods),))


class Stub:
    """What a generated stub would be."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    def __getattr__(self, name: str) -> Any:
        return getattr(self.channel, arity_of(name))(
            PATH + name,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=Answer.FromString,
        )


@asynccontextmanager
async def consulted(
    oracle: Oracle = echo,
    *,
    clock: Clock = system_clock,
    keys: Keys = tokens.keys,
    revoked: Revocations | None = None,
    contracts: Sequence[FileDescriptor] = (FILE,),
    more: Mapping[str, Any] | None = None,
    known: Known = nothing_known,
) -> AsyncIterator[Stub]:
    """A stub of the oracle, behind the road that every service stands behind."""
    tokens_ = Tokens(keys, clock, revoked or Revocations(clock), issuer=tokens.ISSUER)
    gate = Gate(policies(*contracts), tokens_, Peers(PEERS), clock)
    hidden = hiding(*contracts, known=known)
    server = grpc.aio.server(interceptors=[Road("oracle.rapport.example", gate, checks(*contracts), hidden)])
    servicer(oracle, server, **(more or {}))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Stub(channel)
    finally:
        await server.stop(None)
