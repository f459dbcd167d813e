"""The store's people look at a customer's account: for a reason, for minutes, and the customer sees that."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.descriptor import Descriptor
from joserfc import jwt
from rapport.annotations.v1.access_pb2 import access as access_option
from rapport.holder.v1 import holder_pb2 as holder
from rapport.holder.v1.holder_pb2_grpc import HolderServiceStub
from rapport.identity.v1 import acting_pb2 as pb
from rapport.identity.v1 import audit_pb2, events_pb2, identity_pb2, oauth_pb2
from rapport.identity.v1.acting_pb2_grpc import ActingServiceStub
from rapport.identity.v1.events_pb2 import ImpersonationEnded, UserImpersonated
from rapport.identity.v1.identity_pb2 import User

from chassis.access import methods
from chassis.client import Metadata, as_person
from gateway.__main__ import CONTRACTS
from services.identity.impersonations import KEPT, LIFE, forget_impersonations
from tests.identity.oauth import Provider
from tests.identity.people import ADA, EVE, OPERATOR, PRIVACY, Identity
from tests.identity.test_audit import entries
from tests.identity.test_deletion import Order, order
from tests.world import refused

ALMA, OTTO = "alma@example.org", "otto@example.org"  # administrators
NOTE = "She wrote that her points of Tuesday are missing."
Reason = pb.Impersonation.Reason
__all__ = ["order"]  # the fixture


@dataclass
class Staff:
    """An administrator who is signed in."""

    identity: Identity
    user: User
    session: identity_pb2.CreateSessionResponse

    @property
    def stub(self) -> ActingServiceStub:
        return ActingServiceStub(self.identity.channel)

    async def me(self) -> Metadata:
        return as_person((await self.identity.issue(self.session.secret)).access_token)

    async def look(self, user: User, **said: Any) -> pb.ImpersonateUserResponse:
        usual: dict[str, Any] = {"name": user.name, "reason": Reason.SUPPORT_REQUEST, "note": NOTE}
        return await self.stub.ImpersonateUser(pb.ImpersonateUserRequest(**usual | said), metadata=await self.me())

    async def seen(self, user: User, metadata: Metadata) -> list[pb.Impersonation]:
        asked = pb.ListImpersonationsRequest(parent=user.name)
        return list((await self.stub.ListImpersonations(asked, metadata=metadata)).impersonations)


async def staff(identity: Identity, email: str) -> Staff:
    user = await identity.create(email, "admin", display_name="Alma Admin")
    return Staff(identity, user, await identity.sign_in(email))


@pytest.fixture
async def alma(identity: Identity) -> Staff:
    return await staff(identity, ALMA)


@pytest.fixture
async def ada(identity: Identity) -> User:
    return await identity.create(ADA, display_name="Ada")


def claims(identity: Identity, token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, identity.key, algorithms=["Ed25519"]).claims)


# What an administrator cannot do --------------------------------------------------------------------------------------


def says_password(message: Descriptor, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a request can hold a password, at whatever depth."""
    within = [one.message_type for one in message.fields if one.message_type and one.message_type.full_name not in seen]
    known = seen | {one.full_name for one in within}
    return any(one.type == one.TYPE_STRING and "password" in one.name for one in message.fields) or any(
        says_password(one, known) for one in within
    )


def test_no_method_lets_an_administrator_set_a_password_of_somebody_who_has_an_account() -> None:
    takes: dict[str, list[str]] = {}
    for contracts in CONTRACTS.values():
        for _, method in methods(*contracts):
            if says_password(method.input_type):
                said = method.GetOptions().Extensions[access_option]
                who = "owner" if said.owner else "public" if said.public else ", ".join([*said.roles, *said.services])
                takes.setdefault(who, []).append(method.name)
    assert takes == {
        "public": ["CompleteRegistration", "CompleteRecovery"],  # by a link that was mailed to the person
        "owner": ["ChangePassword"],
        "admin, operator": ["CreateUser", "ImportUsers"],  # refused where there is an account
        "gateway": ["CreateSession", "ProveAgain", "ProveSocialPassword"],  # which sign in, and set none
    }


async def test_an_administrator_changes_nobody_s_password(identity: Identity, alma: Staff, ada: User) -> None:
    other = "marble teapot at midnight"
    with refused("EMAIL_TAKEN"):
        asked = identity_pb2.CreateUserRequest(user=User(email=ADA), password=other)
        await identity.stub.CreateUser(asked, metadata=await alma.me())
    with refused("FORBIDDEN"):
        change = identity_pb2.ChangePasswordRequest(name=ada.name, password=other)
        await identity.stub.ChangePassword(change, metadata=await alma.me())
    recovery = identity_pb2.BeginRecoveryRequest(email=ADA, request_id=str(uuid4()))
    await identity.stub.BeginRecovery(recovery, metadata=await alma.me())
    assert (await identity.mails())[-1].template == "recovery_link"  # to her, and not to who asked
    assert (await identity.sign_in()).session.name.startswith(ada.name)


# Looking --------------------------------------------------------------------------------------------------------------


async def test_who_looks_has_a_token_that_says_whose_it_is_and_who_acts(
    identity: Identity, alma: Staff, ada: User
) -> None:
    told = await alma.look(ada)
    said = claims(identity, told.access_token)
    assert (f"users/{said['sub']}", said["act"]) == (ada.name, {"sub": alma.user.name})
    assert said["exp"] - said["iat"] == LIFE.total_seconds() == 300
    assert said["exp"] == told.expire_time.seconds
    assert (said["roles"], said["client_id"]) == ([], "impersonation")
    assert said["scope"].split() == ["profile", "orders", "tickets", "points"]
    assert {"auth_time", "sid", "authorization", "acr", "amr"}.isdisjoint(said)
    assert f"{ada.name}/impersonations/{said['impersonation']}" == told.impersonation.name
    # Nothing beside it could make another.
    assert {field.name for field in told.DESCRIPTOR.fields} == {"access_token", "expire_time", "impersonation"}
    asked = identity_pb2.GetUserRequest(name=ada.name)
    assert (await identity.stub.GetUser(asked, metadata=as_person(told.access_token))).email == ADA


async def test_looking_needs_a_reason_and_a_fresh_sign_in(identity: Identity, alma: Staff, ada: User) -> None:
    with refused("INVALID_FIELD"):
        await alma.look(ada, reason=Reason.REASON_UNSPECIFIED)
    with refused("INVALID_FIELD"):
        await alma.look(ada, note="x" * 501)
    identity.clock.advance(timedelta(seconds=301))
    with refused("SIGN_IN_TOO_OLD"):
        await alma.look(ada)
    assert await identity.stated(UserImpersonated) == []


@pytest.mark.parametrize("role", ["agent", "privacy_officer", "admin"])
async def test_the_store_s_own_people_are_not_looked_at(identity: Identity, alma: Staff, role: str) -> None:
    with refused("USER_IS_STAFF"):
        await alma.look(await identity.create(OTTO, role))
    with refused("USER_IS_STAFF"):
        await alma.look(alma.user)


async def test_who_is_being_deleted_or_restricted_is_not_looked_at(identity: Identity, alma: Staff, ada: User) -> None:
    eve = await identity.create(EVE)
    asked = holder.RestrictSubjectRequest(subject=eve.name, restricted=True)
    await HolderServiceStub(identity.channel).RestrictSubject(asked, metadata=PRIVACY)
    with refused("PERSON_RESTRICTED"):
        await alma.look(eve)
    await identity.delete(ada)
    with refused("USER_DELETING"):
        await alma.look(ada)
    with refused("USER_NOT_FOUND"):
        await alma.look(ada, name=f"users/{uuid4()}")


async def test_asked_again_the_same_token_is_told_while_it_lasts(identity: Identity, alma: Staff, ada: User) -> None:
    key = str(uuid4())
    first = await alma.look(ada, request_id=key)
    identity.clock.advance(timedelta(minutes=1))
    again = await alma.look(ada, request_id=key)
    assert (again.impersonation, again.expire_time) == (first.impersonation, first.expire_time)
    assert claims(identity, again.access_token)["exp"] == first.expire_time.seconds
    assert len(await identity.stated(UserImpersonated)) == 1
    assert [one.template for one in await identity.mails()] == ["impersonation_begun"]
    identity.clock.advance(timedelta(minutes=3, seconds=59))
    with refused("IMPERSONATION_NOT_FOUND"):
        identity.clock.advance(timedelta(seconds=1))
        await alma.stub.ImpersonateUser(
            pb.ImpersonateUserRequest(name=ada.name, reason=Reason.SUPPORT_REQUEST, note=NOTE, request_id=key),
            metadata=identity.as_(alma.user, "admin"),
        )


# What a token of it is shut out of ------------------------------------------------------------------------------------


async def test_who_looks_changes_nothing_and_sees_nothing_that_secures_the_account(
    identity: Identity, alma: Staff, ada: User
) -> None:
    looking = as_person((await alma.look(ada)).access_token)
    changes = identity_pb2.UpdateUserRequest(user=User(name=ada.name, display_name="Eve"))
    with refused("FORBIDDEN"):
        await identity.stub.UpdateUser(changes, metadata=looking)
    with refused("FORBIDDEN"):
        await identity.stub.DeleteUser(identity_pb2.DeleteUserRequest(name=ada.name), metadata=looking)
    with refused("FORBIDDEN"):
        change = identity_pb2.ChangePasswordRequest(name=ada.name, password="marble teapot at midnight")
        await identity.stub.ChangePassword(change, metadata=looking)
    with refused("FORBIDDEN"):
        await identity.stub.ChangeEmail(identity_pb2.ChangeEmailRequest(name=ada.name, email=EVE), metadata=looking)
    with refused("SCOPE_MISSING"):
        await identity.stub.ListSessions(identity_pb2.ListSessionsRequest(parent=ada.name), metadata=looking)
    with refused("SCOPE_MISSING"):
        await alma.seen(ada, looking)
    assert (await identity.get(ada.name)).display_name == "Ada"


async def test_what_anybody_may_do_who_looks_does_not_in_the_customer_s_name(alma: Staff, ada: User) -> None:
    looking = as_person((await alma.look(ada)).access_token)
    with refused("FORBIDDEN"):
        await alma.identity.stub.BeginRecovery(identity_pb2.BeginRecoveryRequest(email=ADA), metadata=looking)


async def test_who_looks_looks_at_nobody_else(identity: Identity, alma: Staff, ada: User) -> None:
    looking, eve = as_person((await alma.look(ada)).access_token), await identity.create(EVE)
    with refused("FORBIDDEN"):
        asked = pb.ImpersonateUserRequest(name=eve.name, reason=Reason.FRAUD_REVIEW)
        await alma.stub.ImpersonateUser(asked, metadata=looking)
    with refused("FORBIDDEN"):
        await identity.stub.GetUser(identity_pb2.GetUserRequest(name=eve.name), metadata=looking)


async def test_a_token_of_it_is_none_for_the_provider(identity: Identity, alma: Staff, ada: User) -> None:
    token, provider = (await alma.look(ada)).access_token, Provider(identity, client="site")
    await provider.register(oauth_pb2.Client.WEB)
    assert (await provider.userinfo(token))[0] == 401
    asked = {"client_id": "site", "client_secret": provider.secret, "token": token}
    assert (await provider.call(oauth_pb2.CallEndpointRequest.INTROSPECTION, **asked))[1] == {"active": False}
    assert (await provider.refresh(token))[1]["error"] == "invalid_grant"


async def test_no_client_is_named_as_its_tokens_are(identity: Identity) -> None:
    with refused("CLIENT_UNSAFE"):
        await Provider(identity, client="impersonation").register()


# What the customer sees -----------------------------------------------------------------------------------------------


async def test_the_customer_is_told_by_mail_without_a_private_word(alma: Staff, ada: User) -> None:
    await alma.look(ada)
    [mail] = await alma.identity.mails()
    assert mail.template == "impersonation_begun"
    for private in (NOTE, "Alma", ALMA, alma.user.name, "SUPPORT_REQUEST"):
        assert private not in f"{mail.text}{mail.html}"


async def test_the_customer_sees_when_and_why_and_not_who(identity: Identity, alma: Staff, ada: User) -> None:
    begun = (await alma.look(ada)).impersonation
    assert begun.staff == alma.user.name
    [shown] = await alma.seen(ada, identity.as_(ada))
    assert (shown.name, shown.reason, shown.note, shown.staff_role) == (
        begun.name,
        Reason.SUPPORT_REQUEST,
        NOTE,
        "admin",
    )
    assert (shown.staff, shown.state) == ("", pb.Impersonation.ACTIVE)
    [known] = await alma.seen(ada, await alma.me())
    assert known.staff == alma.user.name
    identity.clock.advance(LIFE)
    [ended] = await alma.seen(ada, identity.as_(ada))
    assert (ended.state, ended.HasField("end_time")) == (pb.Impersonation.ENDED, False)
    with refused("FORBIDDEN"):
        await alma.seen(ada, identity.as_(await identity.create(EVE)))


async def test_it_is_in_the_audit_log_and_stated_without_a_private_word(
    identity: Identity, alma: Staff, ada: User
) -> None:
    begun = await alma.look(ada)
    await alma.stub.EndImpersonation(
        pb.EndImpersonationRequest(name=begun.impersonation.name), metadata=as_person(begun.access_token)
    )
    [stated] = await identity.stated(UserImpersonated)
    now = stated.event_time
    assert stated == UserImpersonated(
        user=ada.name, impersonation=begun.impersonation.name, reason=Reason.SUPPORT_REQUEST, event_time=now
    )
    which = begun.impersonation.name.removeprefix(f"{ada.name}/")
    first, last = (await entries(identity, ada))[-2:]
    assert (first.fact, first.actor) == ("UserImpersonated", audit_pb2.AuditEntry.STAFF)
    assert dict(first.details) == {"impersonation": which, "reason": "SUPPORT_REQUEST"}
    # What is done with the token is done by who looks, not by the customer.
    assert (last.fact, last.actor, last.program) == ("ImpersonationEnded", audit_pb2.AuditEntry.STAFF, "")
    assert dict(last.details) == {"impersonation": which, "reason": "ASKED_FOR"}


def test_what_is_stated_of_it_holds_no_private_word() -> None:
    for kind in (events_pb2.UserImpersonated, events_pb2.ImpersonationEnded):
        assert {field.name for field in kind.DESCRIPTOR.fields} == {"user", "impersonation", "reason", "event_time"}


# How it ends ----------------------------------------------------------------------------------------------------------


async def reasons(identity: Identity) -> list[str]:
    return [ImpersonationEnded.Reason.Name(one.reason) for one in await identity.stated(ImpersonationEnded)]


async def test_the_customer_ends_it_and_so_does_any_administrator(identity: Identity, alma: Staff, ada: User) -> None:
    otto, eve = await staff(identity, OTTO), await identity.create(EVE)
    for metadata in (identity.as_(ada), await alma.me(), await otto.me()):
        begun = (await alma.look(ada)).impersonation
        asked = pb.EndImpersonationRequest(name=begun.name)
        with refused("FORBIDDEN"):
            await alma.stub.EndImpersonation(asked, metadata=identity.as_(eve))
        ended = await alma.stub.EndImpersonation(asked, metadata=metadata)
        assert (ended.state, ended.HasField("end_time")) == (pb.Impersonation.ENDED, True)
        assert await alma.stub.EndImpersonation(asked, metadata=await alma.me())  # again is the same
    assert await reasons(identity) == ["ASKED_FOR"] * 3
    with refused("IMPERSONATION_NOT_FOUND"):
        missing = pb.EndImpersonationRequest(name=f"{ada.name}/impersonations/{uuid4()}")
        await alma.stub.EndImpersonation(missing, metadata=await alma.me())


async def test_it_ends_with_the_sign_in_of_who_looks(identity: Identity, alma: Staff, ada: User) -> None:
    await alma.look(ada)
    me = await alma.me()
    await identity.stub.DeleteSession(identity_pb2.DeleteSessionRequest(name=alma.session.session.name), metadata=me)
    assert await reasons(identity) == ["STAFF_SIGNED_OUT"]
    # The token of that sign-in lives for minutes yet where nobody has heard: it begins nothing any more.
    with refused("SESSION_ENDED"):
        asked = pb.ImpersonateUserRequest(name=ada.name, reason=Reason.SUPPORT_REQUEST)
        await alma.stub.ImpersonateUser(asked, metadata=me)


async def test_it_ends_with_the_role_of_who_looks(identity: Identity, alma: Staff, ada: User) -> None:
    await alma.look(ada)
    asked = identity_pb2.SetUserRolesRequest(name=alma.user.name, roles=["agent"])
    await identity.stub.SetUserRoles(asked, metadata=OPERATOR)
    assert await reasons(identity) == ["STAFF_SIGNED_OUT"]


async def test_it_ends_with_the_account(identity: Identity, alma: Staff, ada: User) -> None:
    await alma.look(ada)
    await identity.delete(ada)
    assert await reasons(identity) == ["USER_DELETING"]


async def test_one_whose_time_is_over_ends_no_more(identity: Identity, alma: Staff, ada: User) -> None:
    begun = await alma.look(ada)
    identity.clock.advance(LIFE)
    with refused("TOKEN_INVALID"):
        asked = identity_pb2.GetUserRequest(name=ada.name)
        await identity.stub.GetUser(asked, metadata=as_person(begun.access_token))
    asked_end = pb.EndImpersonationRequest(name=begun.impersonation.name)
    ended = await alma.stub.EndImpersonation(asked_end, metadata=await alma.me())
    assert not ended.HasField("end_time")
    assert await reasons(identity) == []


# What is kept of it ---------------------------------------------------------------------------------------------------


async def exported(identity: Identity, user: User) -> str:
    asked = holder.ExportSubjectRequest(subject=user.name)
    rows = HolderServiceStub(identity.channel).ExportSubject(asked, metadata=PRIVACY)
    return json.dumps([json.loads(row.row_json) async for row in rows if row.table.startswith("impersonation")])


async def test_a_copy_of_ones_data_says_that_somebody_looked_and_not_who(
    identity: Identity, alma: Staff, ada: User
) -> None:
    begun = (await alma.look(ada)).impersonation
    found = await exported(identity, ada)
    assert NOTE in found
    assert "SUPPORT_REQUEST" in found
    assert alma.user.name.removeprefix("users/") not in found
    # Of who looked, that they did; not what the customer is told.
    theirs = await exported(identity, alma.user)
    assert begun.name.rpartition("/")[2] in theirs
    assert ada.name.removeprefix("users/") not in theirs
    assert NOTE not in theirs


async def test_it_goes_with_the_customer_and_who_looked_goes_with_them(
    identity: Identity,
    alma: Staff,
    ada: User,
    order: Order,
) -> None:
    await alma.look(ada)
    eve = await identity.create(EVE)
    await alma.look(eve)
    await order(await identity.delete(ada))
    assert await alma.seen(ada, await alma.me()) == []
    otto = await staff(identity, OTTO)
    asked = identity_pb2.SetUserRolesRequest(name=alma.user.name, roles=[])
    await identity.stub.SetUserRoles(asked, metadata=OPERATOR)
    await order(await identity.delete(alma.user))
    [left] = await otto.seen(eve, await otto.me())
    assert (left.staff, left.staff_role, left.note) == ("", "admin", NOTE)


async def test_it_is_shown_for_a_year(identity: Identity, alma: Staff, ada: User) -> None:
    await alma.look(ada)
    now = identity.clock()
    assert await forget_impersonations.work(identity.sessions, now + KEPT - timedelta(seconds=1)) == 0
    assert await forget_impersonations.work(identity.sessions, now + KEPT) == 1
