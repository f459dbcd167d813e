"""What answers at each of SCIM's addresses."""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from datetime import timedelta
from typing import Any

import grpc
import orjson
from google.protobuf.field_mask_pb2 import FieldMask
from rapport.identity.v1 import provisioning_pb2 as pb
from rapport.identity.v1.provisioning_pb2_grpc import ProvisioningServiceStub
from scim2_models import Context, ListResponse, ResourceType, ResponseParameters, Schema, ScimObject

from chassis.client import Metadata
from chassis.refusal import EtagMismatch, TryAgain, refused
from gateway.binding import KEY, etag_in
from gateway.http import Handler, Request, Response
from gateway.scim import asking, errors
from gateway.scim.asking import Search
from gateway.scim.credentials import Credentials
from gateway.scim.door import BASE
from gateway.scim.errors import HEAD, KIND, Refused
from gateway.scim.resources import (
    PATTERN,
    User,
    changes,
    config,
    fields_in,
    message_of,
    resource_type,
    schema,
    user_of,
    version_of,
)

TRIES = 10  # of a patch, while others change the same user
MADE, SHOWN = Context.RESOURCE_CREATION_RESPONSE, Context.RESOURCE_QUERY_RESPONSE
ALONE: dict[str, Any] = {"total_results": 1, "start_index": 1, "items_per_page": 1}
Captured = MutableMapping[str, str]
Answering = Callable[[Request, Captured], Awaitable[Response]]


class Scim:
    """The store's staff, for the directory that provisions them."""

    def __init__(self, stub: ProvisioningServiceStub, credentials: Credentials, origin: str) -> None:
        self.stub, self.metadata, self.origin = stub, credentials.metadata, origin

    def endpoints(self) -> Iterator[tuple[str, str, Handler]]:
        yield "GET", "/Users", guarded(self.list)
        yield "POST", "/Users", guarded(self.create)
        yield "POST", "/Users/.search", guarded(self.search)
        yield "POST", "/.search", guarded(self.search)  # of all there is, which is users
        yield "GET", "/Users/{id}", guarded(self.show)
        yield "PUT", "/Users/{id}", guarded(self.replace)
        yield "PATCH", "/Users/{id}", guarded(self.patch)
        yield "DELETE", "/Users/{id}", guarded(self.delete)
        types, schemas = resource_type(self.origin), schema(self.origin)
        yield "GET", "/ServiceProviderConfig", guarded(told(config(self.origin)))
        yield "GET", "/ResourceTypes", guarded(told(ListResponse[ResourceType](resources=[types], **ALONE)))
        yield "GET", f"/ResourceTypes/{types.id}", guarded(told(types))
        yield "GET", "/Schemas", guarded(told(ListResponse[Schema](resources=[schemas], **ALONE)))
        yield "GET", f"/Schemas/{schemas.id}", guarded(told(schemas))

    # One user

    async def create(self, request: Request, _: Captured) -> Response:
        shown, said = asking.parameters_of(request), asking.new_user(await asking.body_of(request))
        asked = pb.ProvisionUserRequest(user=message_of(said), request_id=request.header(KEY).strip().strip('"'))
        made = await self.stub.ProvisionUser(asked, metadata=await self.metadata(request))
        response = self.one(made, shown, context=MADE, status=201)
        response.headers.append((b"location", self.location(made).encode()))
        return response

    async def show(self, request: Request, captured: Captured) -> Response:
        shown = asking.parameters_of(request)
        found = await self.get(captured, await self.metadata(request))
        if version_of(found) in request.header(b"if-none-match"):
            return Response(status=304, headers=[(b"etag", version_of(found).encode())])
        return self.one(found, shown)

    async def replace(self, request: Request, captured: Captured) -> Response:
        shown, said = asking.parameters_of(request), asking.whole_user(await asking.body_of(request))
        metadata, etag = await self.metadata(request), etag_in(request.header(b"if-match"))
        return self.one(await self.update(captured, said, fields_in(said), etag, metadata), shown)

    async def patch(self, request: Request, captured: Captured) -> Response:
        """Read, change, write what was changed; again where somebody wrote meanwhile, but for If-Match."""
        shown, patched = asking.parameters_of(request), asking.patch_of(await asking.body_of(request))
        metadata, etag = await self.metadata(request), etag_in(request.header(b"if-match"))
        for _ in range(TRIES):
            found = await self.get(captured, metadata)
            if etag and etag != found.etag:
                raise EtagMismatch("Somebody changed this since you read it.")
            before = user_of(found, self.origin)
            after = patched(before)
            if not (fields := changes(before, after)):
                return self.one(found, shown)
            try:
                return self.one(await self.update(captured, after, fields, found.etag, metadata), shown)
            except grpc.aio.AioRpcError as error:
                if etag or refused(error).reason != "ETAG_MISMATCH":
                    raise
        raise TryAgain("Too many change this user at once.", retry_after=timedelta(seconds=1))

    async def delete(self, request: Request, captured: Captured) -> Response:
        etag = etag_in(request.header(b"if-match"))
        asked = pb.DeprovisionUserRequest(name=PATTERN + captured["id"], etag=etag)
        await self.stub.DeprovisionUser(asked, metadata=await self.metadata(request))
        return Response(status=204)

    async def get(self, captured: Captured, metadata: Metadata) -> pb.ProvisionedUser:
        asked = pb.GetProvisionedUserRequest(name=PATTERN + captured["id"])
        return await self.stub.GetProvisionedUser(asked, metadata=metadata)

    async def update(
        self, captured: Captured, said: User, fields: Sequence[str], etag: str, metadata: Metadata
    ) -> pb.ProvisionedUser:
        user = message_of(said)
        user.name, user.etag = PATTERN + captured["id"], etag
        asked = pb.UpdateProvisionedUserRequest(user=user, update_mask=FieldMask(paths=fields))
        return await self.stub.UpdateProvisionedUser(asked, metadata=metadata)

    # Many

    async def list(self, request: Request, _: Captured) -> Response:
        return await self.found(Search(asking.query_of(request)), request)

    async def search(self, request: Request, _: Captured) -> Response:
        """As `list`, with nothing in the address that others log."""
        return await self.found(Search(await asking.body_of(request)), request)

    async def found(self, search: Search, request: Request) -> Response:
        asked, metadata = search.message(), await self.metadata(request)
        if asked is None:
            asked = pb.ListProvisionedUsersRequest(page_size=1, external_id="", email="")  # who may not ask is told so
        answer = await self.stub.ListProvisionedUsers(asked, metadata=metadata)
        users = [user_of(one, self.origin) for one in answer.users[: search.count]]
        listed = ListResponse[User](
            total_results=answer.total_size, start_index=search.start, items_per_page=len(users), resources=users
        )
        said = listed.model_dump(scim_ctx=SHOWN, response_parameters=search.asked)
        return Response(orjson.dumps(said), headers=[*HEAD])

    # How

    def one(
        self,
        found: pb.ProvisionedUser,
        shown: ResponseParameters[User],
        *,
        context: Context = SHOWN,
        status: int = 200,
    ) -> Response:
        said = user_of(found, self.origin).model_dump(scim_ctx=context, response_parameters=shown)
        headers = [KIND, (b"cache-control", b"private, no-cache"), (b"etag", version_of(found).encode())]
        return Response(orjson.dumps(said), status, headers)

    def location(self, found: pb.ProvisionedUser) -> str:
        return f"{self.origin}{BASE}/Users/{found.name.removeprefix(PATTERN)}"


def guarded(answering: Answering) -> Handler:
    """A handler whose every refusal is SCIM's; what is no request's fault is the application's to tell."""

    async def handler(request: Request, captured: Captured) -> Response:
        try:
            return await answering(request, captured)
        except Refused as error:
            return errors.answer(error)
        except UnicodeEncodeError:  # a filter or a path quotes JSON of its own, and the contract takes no halves
            return errors.answer(Refused("invalidValue", "A text has half of a surrogate pair."))

    return handler


# Ourselves ------------------------------------------------------------------------------------------------------------


def told(one: ScimObject) -> Answering:
    """What is always the same."""
    body = orjson.dumps(one.model_dump(scim_ctx=SHOWN))

    async def answering(request: Request, _: Captured) -> Response:
        if "filter" in asking.query_of(request):  # RFC 7644, 4
            raise Refused("", "There is nothing to filter here.", 403)
        return Response(body, headers=[KIND, (b"cache-control", b"public, max-age=300")])

    return answering
