"""JSON to protobuf's wire form and back: the native codec when all is well, a slow and exact reading when it is not.

The gateway builds no message that it does not have to: JSON becomes bytes, bytes become JSON.
"""

from collections.abc import Callable
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor
from protobuf import Message as NativeMessage
from protobuf import Registry
from protobuf.wkt import FileDescriptorSet

from gateway.contracts import contracts
from gateway.diagnosis import diagnose

Encode = Callable[[bytes], bytes]
Decode = Callable[[bytes], tuple[bytes, str]]
SHALLOW = 1_000  # brackets: with no more than these, nothing can nest too deeply


class Codec:
    """Knows every message of the contracts."""

    def __init__(self) -> None:
        # As protoc wrote them: what Python's own descriptors give back lacks the names of fields in JSON.
        self.registry: Registry = FileDescriptorSet.from_binary(contracts().SerializeToString()).to_registry()

    def decoder(self, message: Descriptor) -> Decode:
        """What turns `message`'s bytes into JSON and its etag ("" where it has none): zero values printed, what a newer
        service sent left out."""
        native, has_etag = self.native(message), "etag" in message.fields_by_name

        def decode(data: bytes) -> tuple[bytes, str]:
            read: Any = native.from_binary(data, ignore_unknown_fields=True)
            return read.to_json(always_emit_implicit=True).encode(), read.etag if has_etag else ""

        return decode

    def encoder(self, message: Descriptor) -> Encode:
        """What turns JSON into `message`'s bytes, or refuses with everything that is wrong with it."""
        native = self.native(message)

        def encode(data: bytes) -> bytes:
            try:
                if data.count(b"{") + data.count(b"[") > SHALLOW:
                    orjson.loads(data)  # bounds the depth, where the native codec would run out of stack and crash
                return native.from_json(data).to_binary()
            except (ValueError, TypeError, OverflowError, RecursionError):
                raise diagnose(data, message) from None

        return encode

    def native(self, message: Descriptor) -> type[NativeMessage]:
        found = self.registry.message(message.full_name)
        if found is None:
            raise LookupError(f"{message.full_name} is in no contract.")
        return found.type
