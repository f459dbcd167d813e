"""A service that goes wrong in every way that ours must not: what it says of itself must not reach a browser."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.api.httpbody_pb2 import HttpBody

Context = grpc.aio.ServicerContext[Any, Any]
LEAK = "canary: column email of ada@example.org"  # what a careless service could say


async def fails(_: bytes, context: Context) -> bytes:
    raise RuntimeError(LEAK)


def aborts(code: grpc.StatusCode) -> Callable[[bytes, Context], Awaitable[bytes]]:
    async def abort(_: bytes, context: Context) -> bytes:
        return await context.abort(code, LEAK)

    return abort


async def hangs(_: bytes, context: Context) -> bytes:
    await asyncio.Event().wait()
    return b""


async def babbles(_: bytes, context: Context) -> bytes:
    return LEAK.encode()  # no message at all


async def breaks_off(_: bytes, context: Context) -> AsyncIterator[bytes]:
    yield HttpBody(content_type="application/json", data=b'{"holders": [').SerializeToString()
    await context.abort(grpc.StatusCode.UNAVAILABLE, LEAK)


METHODS: dict[str, Any] = {
    "rapport.support.v1.SupportService": {
        "GetAvailability": grpc.unary_unary_rpc_method_handler(fails),
        "GetServiceHours": grpc.unary_unary_rpc_method_handler(aborts(grpc.StatusCode.INTERNAL)),
        "ListCategories": grpc.unary_unary_rpc_method_handler(aborts(grpc.StatusCode.UNAVAILABLE)),
        "GetArticle": grpc.unary_unary_rpc_method_handler(aborts(grpc.StatusCode.RESOURCE_EXHAUSTED)),
        "ListArticles": grpc.unary_unary_rpc_method_handler(aborts(grpc.StatusCode.PERMISSION_DENIED)),
        "SearchArticles": grpc.unary_unary_rpc_method_handler(hangs),
    },
    "rapport.privacy.v1.PrivacyService": {
        "GetDataMap": grpc.unary_unary_rpc_method_handler(babbles),
        "DownloadExport": grpc.unary_stream_rpc_method_handler(breaks_off),
    },
}


@asynccontextmanager
async def peer() -> AsyncIterator[str]:
    """Its gRPC target."""
    server = grpc.aio.server()
    for service, methods in METHODS.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"ipv4:127.0.0.1:{port}"
    finally:
        await server.stop(0)
