"""An import, as its tests run it again and again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from rapport.identity.v1 import identity_pb2
from rapport.identity.v1 import imports_pb2 as pb
from rapport.identity.v1.imports_pb2_grpc import ImportsServiceStub

from chassis.client import Metadata
from tests.identity.people import OPERATOR, Identity

Results = Sequence[pb.ImportUsersResponse.Result]
CREATED, EXISTS, REFUSED = (
    pb.ImportUsersResponse.CREATED,
    pb.ImportUsersResponse.EXISTS,
    pb.ImportUsersResponse.REFUSED,
)
HASH = "$2b$10$CwTycUXWue0Thq9StjUM0uJ8jD8jY9eZ7lHn0v1a8B9n5nS3gXkJe"  # of nothing anybody knows


@dataclass(frozen=True)
class Import:
    """One import of the operator's, or of who is named."""

    stub: ImportsServiceStub
    name: str
    numbers: Iterator[int]
    who: Metadata

    @classmethod
    async def begin(cls, identity: Identity, *, dry: bool = False, who: Metadata = OPERATOR, **said: Any) -> "Import":
        stub = ImportsServiceStub(identity.channel)
        asked = pb.CreateUserImportRequest(user_import=pb.UserImport(validate_only=dry, **said))
        return cls(stub, (await stub.CreateUserImport(asked, metadata=who)).name, count(1), who)

    def rows(self, *people: dict[str, Any]) -> list[pb.UserRow]:
        return [row(next(self.numbers), **one) for one in people]

    async def send(self, *people: dict[str, Any]) -> Results:
        """The next rows."""
        return await self.take(self.rows(*people))

    async def take(self, rows: Sequence[pb.UserRow]) -> Results:
        return (await self.stub.ImportUsers(self.asked(rows), metadata=self.who)).results

    def asked(self, rows: Sequence[pb.UserRow]) -> pb.ImportUsersRequest:
        return pb.ImportUsersRequest(name=self.name, rows=rows)

    async def get(self) -> pb.UserImport:
        return await self.stub.GetUserImport(pb.GetUserImportRequest(name=self.name), metadata=self.who)

    async def finish(self) -> pb.UserImport:
        return await self.stub.FinishUserImport(pb.FinishUserImportRequest(name=self.name), metadata=self.who)

    async def refused(self, **said: Any) -> pb.ListRefusedRowsResponse:
        asked = pb.ListRefusedRowsRequest(parent=self.name, **said)
        return await self.stub.ListRefusedRows(asked, metadata=self.who)


def row(
    number: int, email: str, *, hashed: str = "", verified: bool = True, since: Any = None, **said: Any
) -> pb.UserRow:
    user = identity_pb2.User(email=email, **said)
    return pb.UserRow(row_number=number, user=user, email_verified=verified, password_hash=hashed, create_time=since)
