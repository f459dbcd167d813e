"""HTTP/1.1 from the wire, with bounds that uvicorn leaves to a proxy: on the size of a request's head, and on how long
it may take to be whole."""

from asyncio import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_BYTES = 64 << 10
PATIENCE = 15.0  # seconds
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Http(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.head_bytes = 0
        self.head_due: TimerHandle | None = None  # while a head is expected or not whole

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self.head_is_whole()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.head_due is not None:
            self.head_bytes += len(data)
            if self.head_bytes > MOST_BYTES:
                self.transport.write(TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self.head_due is None:
            self.expect_head()

    def on_headers_complete(self) -> None:
        self.head_is_whole()
        super().on_headers_complete()

    def expect_head(self) -> None:
        self.head_bytes, self.head_due = 0, self.loop.call_later(PATIENCE, self.transport.close)

    def head_is_whole(self) -> None:
        if self.head_due is not None:
            self.head_due.cancel()
            self.head_due = None
