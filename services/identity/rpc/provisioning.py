"""The store's staff, as a program of who employs them has them."""

from collections.abc import Collection
from typing import Any

from google.protobuf.empty_pb2 import Empty
from rapport.identity.v1 import provisioning_pb2 as pb
from rapport.identity.v1.provisioning_pb2_grpc import ProvisioningServiceServicer

from chassis.access import caller
from chassis.database import Sessions
from chassis.etags import etag_of
from chassis.idempotency import once
from chassis.names import parse
from chassis.pages import Pages
from chassis.refusal import InvalidField, Violation
from chassis.rpc import Context
from chassis.time import Clock, timestamp
from services.identity import provisioning
from services.identity.models import ProvisionedUser, State
from services.identity.provisioning import FIELDS, Filters, Wanted

NAME = "provisionedUsers/{provisioned_user}"


class Provisioning(ProvisioningServiceServicer):
    """The store's staff, for the program that calls."""

    def __init__(self, sessions: Sessions, clock: Clock, pages: Pages, public_url: str) -> None:
        self.sessions, self.clock, self.pages, self.public_url = sessions, clock, pages, public_url

    async def ProvisionUser(self, request: pb.ProvisionUserRequest, context: Context) -> pb.ProvisionedUser:
        wanted = wanted_of(request.user, [field for field in FIELDS if is_set(request.user, field)])
        async with once(self.sessions, request, now=self.clock()) as call:
            if call.is_repeat:
                made = await provisioning.get(call.session, program(), parse(NAME, call.name))
            else:
                made = await provisioning.provision(
                    call.session, program(), wanted, public_url=self.public_url, now=self.clock()
                )
                call.name = made.name
            return message(made)

    async def GetProvisionedUser(self, request: pb.GetProvisionedUserRequest, context: Context) -> pb.ProvisionedUser:
        async with self.sessions() as session:
            return message(await provisioning.get(session, program(), parse(NAME, request.name)))

    async def ListProvisionedUsers(
        self, request: pb.ListProvisionedUsersRequest, context: Context
    ) -> pb.ListProvisionedUsersResponse:
        if request.skip < 0:
            violation = Violation("skip", "OUT_OF_RANGE", "Zero or more.")
            raise InvalidField("skip cannot be negative.", violations=[violation])
        page = self.pages.of(request)
        async with self.sessions() as session:
            rows, total = await provisioning.oldest(
                session, program(), filters_of(request), after=page.cursor, skip=request.skip, limit=page.reach
            )
        shown, token = page.cut(rows, lambda one: (one.create_time, one.user_id))
        return pb.ListProvisionedUsersResponse(users=map(message, shown), next_page_token=token, total_size=total)

    async def UpdateProvisionedUser(
        self, request: pb.UpdateProvisionedUserRequest, context: Context
    ) -> pb.ProvisionedUser:
        who, wanted = parse(NAME, request.user.name), wanted_of(request.user, fields_of(request))
        async with self.sessions.begin() as session:
            changed = await provisioning.update(
                session,
                program(),
                who,
                wanted,
                etag=request.user.etag,
                public_url=self.public_url,
                now=self.clock(),
            )
            return message(changed)

    async def DeprovisionUser(self, request: pb.DeprovisionUserRequest, context: Context) -> Empty:
        who = parse(NAME, request.name)
        async with self.sessions.begin() as session:
            await provisioning.deprovision(session, program(), who, etag=request.etag, now=self.clock())
        return Empty()


def program() -> str:
    """The client that calls: no method here lets anybody else in."""
    return caller().name.removeprefix("clients/")


# In ------------------------------------------------------------------------------------------------------------------


def fields_of(request: pb.UpdateProvisionedUserRequest) -> Collection[str]:
    """The fields that an update names; without a mask, those it sets."""
    if not request.update_mask.paths:
        return [field for field in FIELDS if is_set(request.user, field)]
    if set(request.update_mask.paths) - set(FIELDS):
        can = f"The fields to change are {', '.join(FIELDS)}."
        raise InvalidField("Mend the fields listed.", violations=[Violation("update_mask", "UNKNOWN_PATH", can)])
    return list(dict.fromkeys(request.update_mask.paths))


def is_set(user: pb.ProvisionedUser, field: str) -> bool:
    return user.HasField("active") if field == "active" else bool(getattr(user, field))


def wanted_of(user: pb.ProvisionedUser, fields: Collection[str]) -> Wanted:
    return {field: value_of(user, field) for field in fields}


def value_of(user: pb.ProvisionedUser, field: str) -> Any:
    value = getattr(user, field)
    if field == "roles":
        return list(dict.fromkeys(value))
    return value.strip() if field == "display_name" else value


def filters_of(request: pb.ListProvisionedUsersRequest) -> Filters:
    return Filters(
        id=parse(NAME, request.name) if request.name else None,
        email=request.email if request.HasField("email") else None,
        external_id=request.external_id if request.HasField("external_id") else None,
        active=request.active if request.HasField("active") else None,
    )


# Out -----------------------------------------------------------------------------------------------------------------


def message(found: ProvisionedUser) -> pb.ProvisionedUser:
    user = found.user
    return pb.ProvisionedUser(
        name=found.name,
        email=user.email,
        display_name=user.display_name,
        external_id=found.external_id,
        active=user.state is State.ACTIVE,
        roles=user.roles,
        create_time=timestamp(user.create_time),
        update_time=timestamp(user.update_time),
        etag=etag_of(user.version, user.id),
    )
