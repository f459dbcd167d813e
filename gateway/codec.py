"""JSON to protobuf's wire form and back: the native codec when all is well, a slow and exact reading when it is not.

The gateway never builds a message it does not have to: JSON becomes bytes, bytes become JSON.
"""

from collections.abc import Callable

from google.protobuf.descriptor import Descriptor
from protobuf import Message as NativeMessage
from protobuf import Registry
from protobuf.wkt import FileDescriptorSet

from gateway.diagnosis import diagnose
from gateway.problems import contracts

Encode = Callable[[bytes], bytes]
Decode = Callable[[bytes], str]


class Codec:
    """Knows every message of the contracts."""

    def __init__(self) -> None:
        # As protoc wrote them: what Python's own descriptors give back lacks the names of fields in JSON.
        self.registry: Registry = FileDescriptorSet.from_binary(contracts().SerializeToString()).to_registry()

    def decoder(self, message: Descriptor) -> Decode:
        """What turns `message`'s bytes into JSON: zero values printed, what a newer service sent left out."""
        native = self.native(message)
        if native is None:
            return lambda _: "{}"

        def decode(data: bytes) -> str:
            return native.from_binary(data, ignore_unknown_fields=True).to_json(always_emit_implicit=True)

        return decode

    def encoder(self, message: Descriptor) -> Encode:
        """What turns JSON into `message`'s bytes, or refuses with everything that is wrong with it."""
        native = self.native(message)

        def encode(data: bytes) -> bytes:
            try:
                return native.from_json(data).to_binary() if native is not None else b""
            except (ValueError, TypeError, RecursionError) as problem:
                raise diagnose(data, message) from problem

        return encode

    def native(self, message: Descriptor) -> type[NativeMessage] | None:
        found = self.registry.message(message.full_name)
        return None if found is None else found.type
