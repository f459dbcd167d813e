"""Every kind of bad input against every route it applies to, read from the descriptors.

Each is refused with a reason of the contract, where the caller finds it, under the request's id. None is a fault of
ours, and none says what went wrong inside.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor import FieldDescriptor as F

from gateway.binding import body_of, is_text
from gateway.http import MOST_BYTES
from gateway.routes import ANY
from gateway.schemas import WELL_KNOWN
from tests.contract.calls import JSON, RULES, Callers, Try, access_of, body_for, member_of, outcomes, path_of, valid
from tests.gateway.conftest import order
from tests.store import Store, user

pytestmark = pytest.mark.xdist_group("store")
WRONG: dict[int, Any] = {  # what no field of that kind takes
    F.CPPTYPE_STRING: {"a": 1},
    F.CPPTYPE_MESSAGE: "text",
    F.CPPTYPE_ENUM: "NO_SUCH_VALUE",
    F.CPPTYPE_BOOL: "yes",
    F.CPPTYPE_INT32: "many",
    F.CPPTYPE_INT64: 1.5,
    F.CPPTYPE_DOUBLE: "much",
}


# Rows ----------------------------------------------------------------------------------------------------------------


def unknown_field(callers: Callers) -> Iterator[Try]:
    for rule in RULES:
        path, headers = path_of(rule, callers.ada.user), callers.admitted(rule) | JSON
        if rule.body:
            at = ("pointer", "/noSuchField")
            yield Try(rule.verb, path, "UNKNOWN_FIELD", 400, at, headers, body=b'{"noSuchField": 1}')
        at = ("query", "noSuchField")
        yield Try(rule.verb, path, "UNKNOWN_FIELD", 400, at, headers, "noSuchField=1", body_for(rule))


def wrong_type(callers: Callers) -> Iterator[Try]:
    for rule in RULES:
        path, headers = path_of(rule, callers.ada.user), callers.admitted(rule) | JSON
        body = body_of(rule)
        for one in body.fields if body is not None else ():
            written = orjson.dumps({one.json_name: wrong_value(one)})
            yield Try(rule.verb, path, "INVALID_FIELD", 400, ("pointer", f"/{one.json_name}"), headers, body=written)
        for one in rule.method.input_type.fields:
            if rule.body in ("*", one.name) or not is_text(one) or one.cpp_type == F.CPPTYPE_STRING:
                continue
            at, query = ("query", one.json_name), f"{one.json_name}=no+such!"
            yield Try(rule.verb, path, "INVALID_FIELD", 400, at, headers, query, body_for(rule))


def wrong_value(one: FieldDescriptor) -> Any:
    if one.is_repeated:
        return "text"
    if one.message_type is not None and one.message_type.full_name in WELL_KNOWN:
        return "no such!"
    return "no base64!" if one.type == F.TYPE_BYTES else WRONG[one.cpp_type]


def oversize_body(callers: Callers) -> Iterator[Try]:
    for rule in RULES:
        if rule.body:
            path, headers = path_of(rule, callers.ada.user), callers.admitted(rule) | JSON
            yield Try(rule.verb, path, "BODY_TOO_LARGE", 413, None, headers, body=b" " * (MOST_BYTES + 1))


def bad_utf_8(callers: Callers) -> Iterator[Try]:
    for rule in RULES:
        path, headers = path_of(rule, callers.ada.user), callers.admitted(rule) | JSON
        if rule.body:
            yield Try(rule.verb, path, "MALFORMED_JSON", 400, None, headers, body=b'{"a": "\xff"}')
        yield Try(rule.verb, path, "INVALID_FIELD", 400, None, headers, "a=%ff", body_for(rule))


def unknown_route(callers: Callers) -> Iterator[Try]:
    for rule in RULES:
        path = path_of(rule, callers.ada.user)
        for wrong in (f"{path}/a/b/c", f"{path}:noSuchVerb", f"{path}/", path.replace("/v1/", "/v2/")):
            yield Try(rule.verb, wrong, "ROUTE_NOT_FOUND", 404, headers=callers.admitted(rule))


def wrong_method(callers: Callers) -> Iterator[Try]:
    taken: dict[str, set[str]] = {}
    for rule in RULES:
        taken.setdefault("/".join(rule.template.parts) + rule.template.custom, set()).add(rule.verb)
    for rule in RULES:
        for verb in {"GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"} - taken[
            "/".join(rule.template.parts) + rule.template.custom
        ]:
            yield Try(verb, path_of(rule, callers.ada.user), "METHOD_NOT_ALLOWED", 405)


def missing_token(callers: Callers) -> Iterator[Try]:
    for rule in RULES:
        said, path = access_of(rule), path_of(rule, callers.ada.user)
        if said.owner or said.roles or said.signed_in:
            yield Try(rule.verb, path, "SIGN_IN_NEEDED", 401, headers=JSON, body=body_for(rule))
        elif not said.public:  # signing in would not help
            yield Try(rule.verb, path, "FORBIDDEN", 403, headers=JSON, body=body_for(rule))


def stale_token(callers: Callers) -> Iterator[Try]:
    for rule in RULES:
        headers = callers.store.bearer(callers.ada.user, *access_of(rule).roles, age=timedelta(minutes=6)) | JSON
        path = path_of(rule, callers.ada.user)
        yield Try(rule.verb, path, "TOKEN_INVALID", 401, headers=headers, body=body_for(rule))


def somebody_elses(callers: Callers) -> Iterator[Try]:
    for rule in RULES:
        if access_of(rule).owner:
            headers = callers.store.bearer(user()) | JSON
            path = path_of(rule, callers.ada.user)
            yield Try(rule.verb, path, "FORBIDDEN", 403, headers=headers, body=body_for(rule))


def malformed_name(callers: Callers) -> Iterator[Try]:
    for rule in RULES:
        for variable in rule.template.variables:
            at = ("path", variable.field.rpartition(".")[2])
            parts = rule.template.parts[variable.start : variable.end]
            headers = callers.admitted(rule, rather_by_role=True) | JSON
            is_ones_own = access_of(rule).owner and not access_of(rule).roles
            if is_ones_own and parts.count(ANY) == 1:  # before its form is looked at, it is not theirs
                path = path_of(rule, callers.ada.user, every="a!")
                yield Try(rule.verb, path, "FORBIDDEN", 403, headers=headers, body=body_for(rule))
            else:
                path = path_of(rule, callers.ada.user, last="a!")
                yield Try(rule.verb, path, "MALFORMED_NAME", 400, at, headers, body=valid(rule, callers.ada.user))


def malformed_page_token(callers: Callers) -> Iterator[Try]:
    for rule in RULES:
        if "page_token" in rule.method.input_type.fields_by_name:
            needed = "&query=lamp" if "query" in rule.method.input_type.fields_by_name else ""
            path, headers = path_of(rule, callers.ada.user), callers.admitted(rule)
            for token in ("nonsense", "AAAA", "%E4%B8%AD", "bm9uc2Vuc2Ugb2YgYSBwcm9wZXIgbGVuZ3Ro"):
                if rule.body:
                    body, said = orjson.dumps({"pageToken": token}), ("pointer", "/pageToken")
                    yield Try(rule.verb, path, "PAGE_TOKEN_INVALID", 400, said, headers | JSON, body=body)
                    continue
                query, at = f"pageToken={token}{needed}", ("query", "pageToken")
                yield Try(rule.verb, path, "PAGE_TOKEN_INVALID", 400, at, headers, query)


ROWS = (
    unknown_field,
    wrong_type,
    oversize_body,
    bad_utf_8,
    unknown_route,
    wrong_method,
    missing_token,
    stale_token,
    somebody_elses,
    malformed_name,
    malformed_page_token,
)


@pytest.mark.parametrize("row", ROWS, ids=[row.__name__ for row in ROWS])
async def test_bad_input_is_refused_on_every_route(
    store: Store, callers: Callers, row: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    refused, problems = await outcomes(store, row(callers))
    with capsys.disabled():
        print(f"\n  {row.__name__}: {refused.total()} requests, {dict(refused.most_common())}", end="")
    assert not problems, "\n".join(problems)
    assert refused


# What takes more than one request ------------------------------------------------------------------------------------


async def ticket(store: Store, owner: str) -> str:
    """A ticket of that user."""
    asked = {"kind": "CLAIM", "title": "A", "body": "B", "order": await order(store, owner)}
    async with store.http(**store.bearer(owner)) as http:
        return str((await http.post(f"/v1/{owner}/tickets", json=asked)).json()["name"])


async def business(callers: Callers) -> str:
    """An application that Ada began."""
    begun = {"business": {"kind": "AFFILIATE", "company": "A"}}
    async with callers.store.http(**callers.store.bearer(callers.ada.user)) as http:
        return str((await http.post("/v1/businesses", json=begun)).raise_for_status().json()["name"])


async def approved(callers: Callers, trade: str) -> str:
    """The path of a business, once somebody has approved it."""
    said = {"website": "https://example.org", "regionCode": "DE", "contacts": [{"name": "A"}]}
    async with callers.store.http(
        **callers.store.bearer(callers.ada.user, **member_of(trade.removeprefix("/v1/")))
    ) as http:
        (await http.patch(trade, json=said)).raise_for_status()
        (await http.post(f"{trade}:submit", json={})).raise_for_status()
    async with callers.store.http(**callers.store.bearer(user(), "admin")) as http:
        (await http.post(f"{trade}:approve", json={})).raise_for_status()
    return trade


async def test_a_stale_etag_is_refused_on_every_route_that_takes_one(
    store: Store, callers: Callers, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = callers.ada.user
    async with store.http() as http:
        hours, programme = (await http.get("/v1/serviceHours")).json(), (await http.get("/v1/programme")).json()
    trade = f"/v1/{await business(callers)}"
    client = {"title": "The app", "profile": "PUBLIC", "redirectUris": ["org.example.store:/signed-in"]}
    bodies = {
        "UpdateClient": ("/v1/clients/store-app", client),
        "UpdateUser": (f"/v1/{owner}", {"displayName": "Ada"}),
        "DeleteUser": (f"/v1/{owner}", None),
        "UndeleteUser": (f"/v1/{owner}:undelete", {}),
        "ConfirmContactData": (f"/v1/{owner}:confirmContactData", {}),
        "SolveTicket": (f"/v1/{await ticket(store, owner)}:solve", {}),
        "UpdateServiceHours": ("/v1/serviceHours", {name: one for name, one in hours.items() if name != "etag"}),
        "UpdateProgramme": ("/v1/programme", {name: one for name, one in programme.items() if name != "etag"}),
        "UpdateRewardRules": ("/v1/rewardRules", {"referrals": {}, "newsletter": {"guestDays": 30, "markMonths": 24}}),
        "UpdateBusiness": (trade, {"company": "B"}),
        "DeleteBusiness": (trade, None),
        "ApproveBusiness": (f"{trade}:approve", {}),
        "RequestBusinessInfo": (f"{trade}:requestInfo", {"text": "A"}),
        "RefuseBusiness": (f"{trade}:refuse", {"reasons": ["NOT_PROVEN"]}),
        "SuspendBusiness": (f"{trade}:suspend", {"text": "A"}),
        "ReinstateBusiness": (f"{trade}:reinstate", {}),
    }
    tries = []
    for rule in RULES:
        takes = (rule.method.input_type, body_of(rule) or rule.method.input_type)
        is_new = rule.method.name.startswith("Create")  # of which there is no state that could be stale
        if any("etag" in one.fields_by_name for one in takes) and not is_new:
            path, body = bodies.pop(rule.method.name)
            headers = callers.admitted(rule, path=path) | JSON | {"if-match": '"stale"'}
            written, at = None if body is None else orjson.dumps(body), ("header", "If-Match")
            tries.append(Try(rule.verb, path, "ETAG_MISMATCH", 412, at, headers, body=written))
    refused, problems = await outcomes(store, tries)
    with capsys.disabled():
        print(f"\n  stale_etag: {refused.total()} requests, {dict(refused)}", end="")
    assert not problems, "\n".join(problems)
    assert not bodies


IN_LEDGER = {
    "EarnPoints": "points",
    "RedeemPoints": "points",
    "EarnFromCampaign": "points",
    "CreateHold": "lasts",
    "CaptureHold": "final",
    "RefundPoints": "points",
    "ReversePoints": "policy",
    "TransferPoints": "points",
    "CreateAdjustment": "points",
}
PERIOD = {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-02T00:00:00Z"}
ONE_PAYLOAD = {
    "CreateExport",
    "ReleaseHold",
    "ApproveAdjustment",
    "RefuseAdjustment",
    "VoidVoucher",
    "ApproveReview",
    "RefuseReview",
}  # say nothing but whose or which it is: there is no other payload


async def wallet(callers: Callers, owner: str) -> tuple[str, str, str, str]:
    """A wallet with points in it, a hold of it, a movement of it that earned, and one that spent."""
    place = f"/v1/{owner}/pointsAccount"
    async with callers.store.http(**callers.store.bearer(user(), "admin")) as http:

        async def done(path: str, points: int) -> str:
            answer = await http.post(path, json={"points": points, "requestId": str(uuid4())})
            return str(answer.raise_for_status().json()["name"])

        earned = await done(f"{place}/movements:earn", 100)
        spent = await done(f"{place}/movements:redeem", 10)
        return place, f"/v1/{await done(f'{place}/holds', 10)}", f"/v1/{earned}", f"/v1/{spent}"


async def rewards(callers: Callers, owner: str) -> tuple[str, str]:
    """The code of a voucher of that user, and one by which somebody else brings others."""
    offer = {"title": "A", "points": "1", "value": {"currencyCode": "USD", "units": "1"}, "daysValid": 1}
    friend = callers.store.register("bo").user
    async with callers.store.http(**callers.store.bearer(user(), "admin")) as http:
        (await http.patch("/v1/voucherOffers/a", json=offer)).raise_for_status()
    async with callers.store.http(**callers.store.bearer(owner)) as http:
        bought = await http.post(f"/v1/{owner}/vouchers", json=OFFERED | {"requestId": str(uuid4())})
    async with callers.store.http(**callers.store.bearer(friend)) as http:
        brings = await http.get(f"/v1/{friend}/referralCode")
    return bought.raise_for_status().json()["code"], brings.raise_for_status().json()["code"]


PAYPAL = {"paymentMethod": {"provider": "paypal", "kind": "PAYPAL"}}
OFFERED = {"voucherOffer": "voucherOffers/a"}


async def asked_twice(store: Store, callers: Callers) -> dict[str, tuple[str, dict[str, Any], dict[str, Any]]]:
    """By method: where it is asked, unless that can be told from the route, what is asked first, and what then."""
    owner = callers.ada.user
    bought, about = await order(store, owner), await ticket(store, owner)
    fact = {"user": owner, "order": bought, "eventTime": "2026-07-06T12:00:00Z"}
    mail = f"{uuid4().hex}@example.org"
    claim = {"kind": "CLAIM", "title": "A", "body": "B", "order": bought}
    points, hold, earned, spent = await wallet(callers, owner)
    voucher, friend = await rewards(callers, owner)
    trade = f"/v1/{await business(callers)}"
    back = {"points": "1", "policy": "WITHIN_BALANCE"}
    gift = {"points": "1", "campaign": "thank-you"}
    over = {"points": "1", "destination": f"{user()}/pointsAccount"}
    return {
        "BeginRegistration": ("", {"email": mail}, {"email": f"a{mail}"}),
        "BeginRecovery": ("", {"email": mail}, {"email": f"a{mail}"}),
        "CreateUser": (
            "",
            {"user": {"email": mail}, "password": "brass kettle at dawn"},
            {"user": {"email": mail}, "password": "another kettle at dusk"},
        ),
        "CreateUserImport": ("", {"userImport": {"validateOnly": True}}, {"userImport": {}}),
        "CreatePaymentMethod": ("", PAYPAL | {"providerToken": "B-1"}, PAYPAL | {"providerToken": "B-2"}),
        "CreateBusiness": (
            "",
            {"business": {"kind": "AFFILIATE", "company": "A"}},
            {"business": {"kind": "AFFILIATE", "company": "B"}},
        ),
        "CreateBusinessDocument": (
            f"{trade}/documents",
            {"document": {"title": "A", "sizeBytes": 8}},
            {"document": {"title": "A", "sizeBytes": 9}},
        ),
        "InviteBusinessMember": (
            f"{trade}/invitations",
            {"email": mail, "role": "VIEWER"},
            {"email": mail, "role": "OWNER"},
        ),
        "CreateBusinessCustomer": (
            f"{await approved(callers, trade)}/customers",
            {"customer": {"email": mail}},
            {"customer": {"email": f"a{mail}"}},
        ),
        "ImpersonateUser": ("", {"reason": "SUPPORT_REQUEST"}, {"reason": "FRAUD_REVIEW"}),
        "BeginSubjectAccess": ("", {"email": mail}, {"email": f"a{mail}"}),
        "CreateTicket": ("", claim, claim | {"title": "C"}),
        "CreateMessage": (f"/v1/{about}/messages", {"body": "A"}, {"body": "B"}),
        "CreateConsent": (
            "",
            {"use": "NEWSLETTER", "granted": True, "policy": await policy(store)},
            {"use": "NEWSLETTER", "granted": False, "policy": await policy(store)},
        ),
        "EarnPoints": ("", {"points": "1"}, {"points": "2"}),
        "RedeemPoints": ("", {"points": "1"}, {"points": "2"}),
        "EarnFromCampaign": ("", gift, gift | {"points": "2"}),
        "CreateHold": ("", {"points": "1"}, {"points": "1", "lasts": "60s"}),
        "CaptureHold": (f"{hold}:capture", {"points": "1"}, {"points": "1", "final": True}),
        "RefundPoints": (f"{spent}:refund", {"points": "1"}, {"points": "2"}),
        "ReversePoints": (f"{earned}:reverse", back, back | {"policy": "UNLIMITED"}),
        "TransferPoints": (f"{points}/movements:transfer", over, over | {"points": "2"}),
        "CreateAdjustment": ("", {"points": "1", "reason": "A"}, {"points": "2", "reason": "A"}),
        "CreateStatement": ("", PERIOD, PERIOD | {"endTime": "2026-01-03T00:00:00Z"}),
        "CreateVoucher": ("", OFFERED, {"voucherOffer": "voucherOffers/b"}),
        "UseVoucher": ("", {"code": voucher}, {"code": "another"}),
        "ClaimReferral": ("", {"code": friend}, {"code": "another"}),
        "StateOrderEvent": (
            "",
            {"paid": fact | {"amount": {"currencyCode": "USD", "units": "1"}}},
            {"paid": fact | {"amount": {"currencyCode": "USD", "units": "2"}}},
        ),
    }


async def test_a_reused_key_is_refused_on_every_route_that_takes_one(
    store: Store, callers: Callers, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = await asked_twice(store, callers)
    tries = []
    async with store.http() as http:
        # Who has ordered is brought by nobody any more: so the order is paid last.
        for rule in sorted(RULES, key=lambda rule: rule.method.name == "StateOrderEvent"):
            name = rule.method.name
            if "request_id" not in rule.method.input_type.fields_by_name or name in ONE_PAYLOAD:
                continue
            path, first, second = asked.pop(name)
            path = path or path_of(rule, callers.ada.user)
            caller = await administrator(store) if name == "ImpersonateUser" else callers.admitted(rule, path=path)
            headers = caller | JSON | {"idempotency-key": str(uuid4())}
            done = await http.request(rule.verb, path, headers=headers, json=first)
            assert done.status_code == 200, f"{name}: {done.text}"
            again = await http.request(rule.verb, path, headers=headers, json=first)
            assert again.status_code == 200, f"{name}: {again.text}"
            # The ledger says which of what was asked differs, where others say that something does.
            at = ("pointer", f"/{IN_LEDGER[name]}") if name in IN_LEDGER else ("header", "Idempotency-Key")
            tries.append(Try(rule.verb, path, "REQUEST_ID_REUSED", 422, at, headers, body=orjson.dumps(second)))
    refused, problems = await outcomes(store, tries)
    with capsys.disabled():
        print(f"\n  reused_key: {refused.total()} requests, {dict(refused)}", end="")
    assert not problems, "\n".join(problems)
    assert not asked


async def administrator(store: Store) -> dict[str, str]:
    """One who is signed in: what hangs on a session is not begun by a token alone."""
    alma = store.register("alma", "admin")
    async with store.http() as http:
        begun = (await http.post("/session", json=alma.sign_in)).raise_for_status().json()["session"]
    return store.bearer(alma.user, "admin", session=UUID(begun.rpartition("/")[2]))


async def policy(store: Store) -> str:
    async with store.http() as http:
        return str((await http.get("/v1/policies/latest")).json()["name"])
