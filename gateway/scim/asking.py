"""What is asked, read: bodies as the directories send them, patches, filters, pages."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from uuid import UUID

import orjson
from pydantic import ValidationError
from rapport.identity.v1 import provisioning_pb2 as pb
from scim2_models import Context, PatchOp, ResponseParameters, SCIMException, ScimPolicy, SearchRequest
from scim2_models.path import CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator

from gateway.http import Request, pairs
from gateway.refusals import UnsupportedMediaType
from gateway.scim.errors import DETAILS, Refused
from gateway.scim.resources import MOST, PATTERN, USUALLY, User

TAKEN = ("application/scim+json", "application/json")
MOST_OPERATIONS, LONGEST_FILTER = 100, 1_000
LARGEST = (1 << 31) - 1
# What Entra sends beyond the RFCs: attributes nobody declared, a remove with a value, a path whose filter fits nothing.
POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
# How Entra speaks of the role of somebody who can have one only; which of several is primary is nothing that we hold.
ONE_ROLE = re.compile(r'roles\[primary eq "?true"?\]\.value', re.IGNORECASE)
WORD = re.compile(r"[A-Za-z]{1,40}")
T = TypeVar("T")
Body = dict[str, Any]


async def body_of(request: Request) -> Body:
    body = await request.body()
    if request.header(b"content-type").partition(";")[0].strip().lower() not in TAKEN:
        raise UnsupportedMediaType("The body must be application/scim+json.")
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refused("invalidSyntax") from None
    if not isinstance(said, dict):
        raise Refused("invalidSyntax")
    return said


def read(reading: Callable[[], T]) -> T:
    """What `reading` makes of it, or a refusal."""
    try:
        return reading()
    except (SCIMException, ValidationError) as error:
        raise of_library(error) from None
    except RecursionError:
        raise Refused("invalidSyntax", "That is nested too deeply.") from None


def of_library(error: SCIMException | ValidationError) -> Refused:
    """What scim2-models would not read, in our words."""
    if isinstance(error, SCIMException):
        return Refused(error.scim_type or "invalidValue")
    first = error.errors(include_url=False, include_input=False)[0]
    scim_type = str(first.get("ctx", {}).get("scim_type") or "invalidValue")
    place = ".".join(str(one) for one in first["loc"] if isinstance(one, int) or WORD.fullmatch(one))
    return Refused(scim_type, f"{DETAILS.get(scim_type, DETAILS['invalidValue'])}{f' At {place}.' if place else ''}")


# Users ----------------------------------------------------------------------------------------------------------------


def new_user(said: Body) -> User:
    return read(lambda: validated(said, Context.RESOURCE_CREATION_REQUEST))


def whole_user(said: Body) -> User:
    """For PUT. What it leaves out is not asserted and stays (RFC 7644, 3.5.1); what it says is null goes."""
    return read(lambda: validated(said, Context.RESOURCE_REPLACEMENT_REQUEST))


def validated(said: Body, context: Context) -> User:
    user = User.model_validate(plain(said), scim_ctx=context, scim_policy=POLICY)
    name = next((said[one] for one in said if one.lower() == "name"), None)
    formatted = user.name.formatted if user.name else None
    if "display_name" not in user.model_fields_set and isinstance(name, dict) and (known := formatted or joined(name)):
        user.display_name = known
    return user


def joined(name: Mapping[str, Any]) -> str | None:
    """Okta's way: a given name and a family name, and nothing else."""
    lower = {key.lower(): value for key, value in name.items()}
    parts = [lower.get("givenname"), lower.get("familyname")]
    return " ".join(part.strip() for part in parts if isinstance(part, str) and part.strip()) or None


def plain(said: Body) -> Body:
    """Without what is not ours to be told: the address is userName."""
    return {name: value for name, value in said.items() if not is_of_emails(name)}


def is_of_emails(path: str) -> bool:
    return path.lower().removeprefix(f"{User.__schema__}:".lower()).startswith("emails")


# Patches --------------------------------------------------------------------------------------------------------------


def patch_of(said: Body) -> Callable[[User], User]:
    """What a PATCH makes of a user."""
    operations = next((value for name, value in said.items() if name.lower() == "operations"), None)
    if not isinstance(operations, list) or not operations:
        raise Refused("invalidSyntax", "Send Operations: a list of one or more (RFC 7644, 3.5.2).")
    if len(operations) > MOST_OPERATIONS:
        raise Refused("tooMany", f"There may be {MOST_OPERATIONS} operations at most.")
    kept = list(operations_of(operations))
    if not kept:
        return lambda user: user
    message = {"schemas": said.get("schemas"), "Operations": kept}
    context = Context.RESOURCE_PATCH_REQUEST
    patch = read(lambda: PatchOp[User].model_validate(message, scim_ctx=context, scim_policy=POLICY))

    def patched(user: User) -> User:
        after = user.model_copy(deep=True)
        read(lambda: patch.patch(after, scim_policy=POLICY))
        if after.active is None:
            raise Refused("mutability", "A user is active or is not: that cannot be removed.")
        if after.display_name == user.display_name:  # else it has the last word
            after.display_name = after.name.formatted if after.name else None
        return after

    return patched


def operations_of(operations: list[Any]) -> Iterator[Any]:
    for one in operations:
        if not isinstance(one, dict):
            raise Refused("invalidSyntax")
        lower = {name.lower(): value for name, value in one.items()}
        path, value = lower.get("path"), lower.get("value")
        if isinstance(path, str) and is_of_emails(path):
            continue
        if not path and isinstance(value, dict):
            value = plain(value)
            if not value:
                continue
        elif isinstance(path, str) and ONE_ROLE.fullmatch(path):
            yield {"op": "replace", "path": "roles", "value": [{"value": value}]}
            continue
        yield lower | ({"value": value} if "value" in lower else {})


# Lists ----------------------------------------------------------------------------------------------------------------


class Search:
    """Whom a list is of, and how much of it."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        lower = {name.lower(): value for name, value in said.items()}
        if isinstance(lower.get("filter"), str) and len(lower["filter"]) > LONGEST_FILTER:
            raise Refused("invalidFilter", f"A filter has {LONGEST_FILTER} characters at most.")
        known = ("filter", "startIndex", "count", "attributes", "excludedAttributes")  # sorting is not supported
        given = {name: lower[name.lower()] for name in known if lower.get(name.lower()) is not None}
        self.asked = read(lambda: SearchRequest[User].model_validate(given, scim_ctx=None, scim_policy=POLICY))
        self.start = min(self.asked.start_index or 1, LARGEST)
        self.count = USUALLY if self.asked.count is None else min(self.asked.count, MOST)

    def message(self) -> pb.ListProvisionedUsersRequest | None:
        """As identity is asked; None where nobody can fit."""
        asked = pb.ListProvisionedUsersRequest(page_size=max(self.count, 1), skip=self.start - 1)
        seen: set[str] = set()
        for name, value in comparisons(self.asked.filter.ast) if self.asked.filter else ():
            if name in seen:
                raise Refused("invalidFilter")
            seen.add(name)
            if not put(asked, name, value):
                return None
        return asked


def comparisons(node: FilterNode) -> Iterator[tuple[str, Any]]:
    """The attribute and the value of each comparison that a filter is made of."""
    match node:
        case LogicalExpr(op=LogicalOperator.and_):
            for term in node.terms:
                yield from comparisons(term)
        case Comparison(op=CompareOperator.eq) if node.attr_path.sub_attr is None:
            yield node.attr_path.attr.lower(), node.value
        case _:
            raise Refused("invalidFilter")


def put(asked: pb.ListProvisionedUsersRequest, name: str, value: Any) -> bool:
    """Ask for those of whom an attribute has this value; whether anybody could."""
    if name == "active":
        known = {"true": True, "false": False}.get(str(value).lower())
        if known is None:
            raise Refused("invalidFilter")
        asked.active = known
        return True
    if not isinstance(value, str):
        raise Refused("invalidFilter")
    match name:
        case "username":
            asked.email = value
        case "externalid":
            asked.external_id = value
        case "id":
            if not is_id(value):
                return False
            asked.name = f"{PATTERN}{value}"
        case _:
            raise Refused("invalidFilter")
    return True


def is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def parameters_of(request: Request) -> ResponseParameters[User]:
    """Which attributes a single user is to be shown with."""
    said = query_of(request)
    known = {name: said[name] for name in ("attributes", "excludedAttributes") if name in said}
    return read(lambda: ResponseParameters[User].model_validate(known, scim_ctx=None))


def query_of(request: Request) -> dict[str, str]:
    return dict(pairs(request.query))
