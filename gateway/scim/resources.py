"""What a user is in SCIM's words (RFC 7643, 4.1): no more than we hold of one; and what we say of ourselves."""

from typing import Annotated, Any

from pydantic import Field
from rapport.identity.v1 import provisioning_pb2 as pb
from scim2_models import (
    URN,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    ETag,
    External,
    Filter,
    Meta,
    Mutability,
    Pagination,
    Patch,
    Reference,
    Required,
    Resource,
    ResourceType,
    Schema,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)

from chassis.time import moment
from gateway.scim.door import BASE

PATTERN = "provisionedUsers/"
MOST, USUALLY = 200, 100  # users in one answer


class Name(ComplexAttribute):
    """The same as displayName: a name is one text here."""

    formatted: str | None = None


class Email(ComplexAttribute):
    value: Annotated[str | None, Mutability.read_only] = None
    type: Annotated[str | None, Mutability.read_only] = None
    primary: Annotated[bool | None, Mutability.read_only] = None


class Role(ComplexAttribute):
    value: Annotated[str | None, CaseExact.true] = Field(None, examples=["agent", "privacy_officer", "admin"])


class User(Resource[Any]):
    """A member of the store's staff."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[str | None, Required.true, Uniqueness.server] = None
    """The mail address, by which they sign in."""

    name: Name | None = None
    """The same as displayName."""

    display_name: str | None = None
    """The name that people see."""

    active: bool | None = None
    """Whether they can sign in. Nothing is erased of who is not active."""

    emails: Annotated[list[Email] | None, Mutability.read_only] = None
    """What userName says; what is sent of it is ignored."""

    roles: list[Role] | None = None
    """Of the roles that the program may give, those that they have; others that they have are shown too."""


# Out ------------------------------------------------------------------------------------------------------------------


def user_of(found: pb.ProvisionedUser, origin: str) -> User:
    """The user, as it is shown."""
    id = found.name.removeprefix(PATTERN)  # noqa: A001 - SCIM's own word
    display_name = found.display_name or None
    return User(
        id=id,
        external_id=found.external_id or None,
        user_name=found.email,
        name=Name(formatted=display_name) if display_name else None,
        display_name=display_name,
        active=found.active,
        emails=[Email(value=found.email, type="work", primary=True)],
        roles=[Role(value=one) for one in found.roles] or None,
        meta=Meta(
            resource_type="User",
            created=moment(found.create_time),
            last_modified=moment(found.update_time),
            location=Reference[External](f"{origin}{BASE}/Users/{id}"),
            version=version_of(found),
        ),
    )


def version_of(found: pb.ProvisionedUser) -> str:
    return f'W/"{found.etag}"'


# In -------------------------------------------------------------------------------------------------------------------

FIELDS = {
    "email": "user_name",
    "display_name": "display_name",
    "external_id": "external_id",
    "active": "active",
    "roles": "roles",
}


def fields_in(said: User) -> list[str]:
    """What was said of a user, by the names of the contract. That somebody is active or not is never unsaid."""
    given = said.model_fields_set - ({"active"} if said.active is None else set())
    return [field for field, attribute in FIELDS.items() if attribute in given]


def changes(before: User, after: User) -> list[str]:
    return [
        field
        for field, attribute in FIELDS.items()
        if held(getattr(before, attribute)) != held(getattr(after, attribute))
    ]


def held(value: Any) -> Any:
    return sorted({one.value or "" for one in value}) if isinstance(value, list) else value


def message_of(said: User) -> pb.ProvisionedUser:
    return pb.ProvisionedUser(
        email=said.user_name or "",
        display_name=said.display_name or "",
        external_id=said.external_id or "",
        active=said.active,
        roles=list(dict.fromkeys(one.value or "" for one in said.roles or ())),
    )


# Ourselves ------------------------------------------------------------------------------------------------------------


def config(origin: str) -> ServiceProviderConfig:
    """What is supported (RFC 7643, 5). Passwords are chosen by who they are of, and never set by a program."""
    token = AuthenticationScheme(
        type=AuthenticationScheme.Type.oauthbearertoken,
        name="OAuth 2.0 client credentials",
        description="A token with the scope scim, from /oauth/token (RFC 6749, 4.4), which lives five minutes.",
        spec_uri=Reference[External]("https://www.rfc-editor.org/rfc/rfc6749"),
        primary=True,
    )
    secret = AuthenticationScheme(
        type=AuthenticationScheme.Type.httpbasic,
        name="HTTP Basic",
        description="The client's id and secret (RFC 6749, 2.3.1), for what cannot fetch a token.",
        spec_uri=Reference[External]("https://www.rfc-editor.org/rfc/rfc7617"),
    )
    return ServiceProviderConfig(
        patch=Patch(supported=True),
        bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
        filter=Filter(supported=True, max_results=MOST),
        change_password=ChangePassword(supported=False),
        sort=Sort(supported=False),
        etag=ETag(supported=True),
        authentication_schemes=[token, secret],
        pagination=Pagination(
            cursor=False,
            index=True,
            default_pagination_method=Pagination.DefaultPaginationMethod("index"),
            default_page_size=USUALLY,
            max_page_size=MOST,
        ),
        meta=meta("ServiceProviderConfig", f"{origin}{BASE}/ServiceProviderConfig"),
    )


def resource_type(origin: str) -> ResourceType:
    found = ResourceType.from_resource(User)
    found.description = "A member of the store's staff."
    found.meta = meta("ResourceType", f"{origin}{BASE}/ResourceTypes/User")
    return found


def schema(origin: str) -> Schema:
    found: Schema = User.to_schema()
    found.meta = meta("Schema", f"{origin}{BASE}/Schemas/{found.id}")
    return found


def meta(kind: str, location: str) -> Meta:
    return Meta(resource_type=kind, location=Reference[External](location))
