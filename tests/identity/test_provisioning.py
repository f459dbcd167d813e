"""The store's staff, as a program provisions them: what is stated and kept, and that who is off is out by every way."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from rapport.identity.v1 import audit_pb2, identity_pb2, oauth_pb2
from rapport.identity.v1 import provisioning_pb2 as pb
from rapport.identity.v1.audit_pb2_grpc import AuditServiceStub
from rapport.identity.v1.events_pb2 import (
    AuthorizationRevoked,
    SessionRevoked,
    UserCreated,
    UserDeletionRequested,
    UserDisabled,
    UserEnabled,
)
from rapport.identity.v1.provisioning_pb2_grpc import ProvisioningServiceStub

from chassis.client import Metadata
from deploy.local.social_provider import Account
from services.identity import provisioning
from services.identity.deletions import purge_users
from services.identity.recoveries import forget_recoveries
from services.identity.registrations import MAILS_AN_HOUR
from tests import tokens
from tests.identity.authenticator import Authenticator
from tests.identity.factors import Owner
from tests.identity.oauth import SCOPES, Provider
from tests.identity.people import ADA, OPERATOR, PASSWORD, Identity
from tests.identity.social import NORA, Social
from tests.identity.test_impersonation import reasons as endings
from tests.identity.test_impersonation import staff
from tests.identity.test_passkeys import add as add_passkey
from tests.identity.test_passkeys import sign_in as sign_in_by_passkey
from tests.world import refused

GRACE, JOAN = "grace@example.org", "joan@example.org"


@dataclass(frozen=True)
class Program:
    """A client with the scope, and the service as it asks it."""

    identity: Identity
    client: str = "hr"

    @property
    def stub(self) -> ProvisioningServiceStub:
        return ProvisioningServiceStub(self.identity.channel)

    @property
    def token(self) -> Metadata:
        now, key = self.identity.clock(), self.identity.key
        claims = {
            "sub": f"clients/{self.client}",
            "client_id": self.client,
            "scope": "scim",
            "credential": str(uuid4()),
        }
        return (("authorization", f"Bearer {tokens.signed(claims, now, key=key)}"),)

    async def register(self, *roles: str) -> "Program":
        client = oauth_pb2.Client(
            name=f"clients/{self.client}",
            title="The directory",
            profile=oauth_pb2.Client.SERVICE,
            scopes=["scim"],
            grantable_roles=roles,
        )
        await Provider(self.identity).stub.UpdateClient(oauth_pb2.UpdateClientRequest(client=client), metadata=OPERATOR)
        return self

    async def provision(self, email: str = GRACE, request_id: str = "", **said: Any) -> pb.ProvisionedUser:
        asked = pb.ProvisionUserRequest(user=pb.ProvisionedUser(email=email, **said), request_id=request_id)
        return await self.stub.ProvisionUser(asked, metadata=self.token)

    async def get(self, name: str) -> pb.ProvisionedUser:
        return await self.stub.GetProvisionedUser(pb.GetProvisionedUserRequest(name=name), metadata=self.token)

    async def update(self, name: str, etag: str = "", **said: Any) -> pb.ProvisionedUser:
        user = pb.ProvisionedUser(name=name, etag=etag, **said)
        asked = pb.UpdateProvisionedUserRequest(user=user, update_mask=FieldMask(paths=list(said)))
        return await self.stub.UpdateProvisionedUser(asked, metadata=self.token)

    async def deprovision(self, name: str, etag: str = "") -> None:
        await self.stub.DeprovisionUser(pb.DeprovisionUserRequest(name=name, etag=etag), metadata=self.token)

    async def listed(self, **said: Any) -> pb.ListProvisionedUsersResponse:
        return await self.stub.ListProvisionedUsers(pb.ListProvisionedUsersRequest(**said), metadata=self.token)

    async def with_password(self, email: str = GRACE) -> pb.ProvisionedUser:
        """Somebody who has chosen a password by the link that was mailed."""
        made = await self.provision(email, roles=["agent"])
        await choose_password(self.identity, email)
        return made


async def choose_password(identity: Identity, email: str) -> None:
    asked = identity_pb2.CompleteRecoveryRequest(token=await identity.token(email), password=PASSWORD)
    await identity.stub.CompleteRecovery(asked)


def user_of(made: pb.ProvisionedUser) -> str:
    return made.name.replace("provisionedUsers/", "users/")


@pytest.fixture
async def hr(identity: Identity) -> Program:
    return await Program(identity).register("agent", "privacy_officer")


# Making ---------------------------------------------------------------------------------------------------------------


async def test_who_is_made_is_a_user_with_a_role_and_without_a_password(hr: Program) -> None:
    made = await hr.provision(
        " Grace@Example.org ", display_name=" Grace ", external_id="E-1", roles=["agent", "agent"]
    )
    assert (made.email, made.display_name, made.external_id) == (GRACE, "Grace", "E-1")
    assert (made.active, list(made.roles)) == (True, ["agent"])
    user = await hr.identity.get(user_of(made))
    assert (user.email, user.state, list(user.roles)) == (GRACE, identity_pb2.User.ACTIVE, ["agent"])
    assert await hr.get(made.name) == made
    assert [one.user for one in await hr.identity.stated(UserCreated)] == [user.name]
    with refused("SIGN_IN_FAILED"):
        await hr.identity.sign_in(GRACE)
    [mail] = await hr.identity.mails(GRACE)
    assert mail.template == "account_made"
    await choose_password(hr.identity, GRACE)
    assert (await hr.identity.sign_in(GRACE)).secret


async def test_a_link_to_choose_a_password_lasts_a_day_and_then_another_is_asked_for(hr: Program) -> None:
    await hr.provision()
    first = await hr.identity.token(GRACE)
    hr.identity.clock.advance(timedelta(hours=23))
    await forget_recoveries.work(hr.identity.sessions, hr.identity.clock())
    again = identity_pb2.CompleteRecoveryRequest(token=first, password="short")
    with refused("PASSWORD_WEAK"):  # so it is still good
        await hr.identity.stub.CompleteRecovery(again)
    hr.identity.clock.advance(timedelta(hours=2))
    with refused("LINK_INVALID"):
        await hr.identity.stub.CompleteRecovery(again)
    await forget_recoveries.work(hr.identity.sessions, hr.identity.clock())
    await hr.identity.stub.BeginRecovery(identity_pb2.BeginRecoveryRequest(email=GRACE))
    await choose_password(hr.identity, GRACE)


async def test_an_address_that_belongs_to_a_user_is_not_taken_over(hr: Program) -> None:
    await hr.identity.create(ADA)
    with refused("EMAIL_TAKEN"):
        await hr.provision(ADA)
    made = await hr.provision()
    with refused("EMAIL_TAKEN"):
        await hr.update(made.name, email=ADA)
    with refused("EMAIL_MALFORMED"):
        await hr.update(made.name, email="no address")
    assert (await hr.get(made.name)).email == GRACE


async def test_of_many_who_make_the_same_user_at_once_one_does(hr: Program) -> None:
    outcomes = await asyncio.gather(*(hr.provision() for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(one, pb.ProvisionedUser) for one in outcomes) == 1
    assert (await hr.listed()).total_size == 1
    assert len(await hr.identity.mails(GRACE)) == 1


async def test_a_request_that_arrives_twice_makes_one_user(hr: Program) -> None:
    request_id = str(uuid4())
    assert await hr.provision(request_id=request_id) == await hr.provision(request_id=request_id)
    assert len(await hr.identity.mails(GRACE)) == 1


async def test_a_program_makes_so_many_an_hour_and_no_more(hr: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning, "MOST_AN_HOUR", 2)
    await hr.provision()
    await hr.provision(JOAN)
    with refused("QUOTA_EXCEEDED") as told:
        await hr.provision(ADA)
    assert told[0].retry_after == timedelta(minutes=15)
    hr.identity.clock.advance(timedelta(hours=1))
    await hr.provision(ADA)


async def test_no_mailbox_is_filled_by_switching_somebody_off_and_on(hr: Program) -> None:
    made = await hr.provision()
    for _ in range(7):
        await hr.update(made.name, active=False)
        await hr.update(made.name, active=True)
    assert len(await hr.identity.mails(GRACE)) == MAILS_AN_HOUR


async def test_a_registration_that_somebody_began_with_the_address_is_over(hr: Program) -> None:
    link = await hr.identity.link(GRACE)
    await hr.provision()
    asked = identity_pb2.CompleteRegistrationRequest(token=link, password=PASSWORD)
    with refused("LINK_INVALID"):
        await hr.identity.stub.CompleteRegistration(asked)


# Roles ----------------------------------------------------------------------------------------------------------------


async def test_roles_that_the_client_may_not_give_are_refused_and_stay_where_others_gave_them(hr: Program) -> None:
    with refused("ROLE_NOT_GRANTABLE") as told:
        await hr.provision(roles=["agent", "admin"])
    assert [one.field for one in told[0].violations] == ["user.roles[1]"]
    made = await hr.provision(roles=["agent"])
    asked = identity_pb2.SetUserRolesRequest(name=user_of(made), roles=["agent", "admin"])
    await hr.identity.stub.SetUserRoles(asked, metadata=OPERATOR)
    assert list((await hr.update(made.name, roles=["admin", "privacy_officer"])).roles) == ["admin", "privacy_officer"]
    assert list((await hr.update(made.name, roles=[])).roles) == ["admin"]


async def test_a_client_that_lists_no_role_gives_that_of_an_agent(identity: Identity) -> None:
    program = await Program(identity).register()
    assert list((await program.provision(roles=["agent"])).roles) == ["agent"]
    with refused("ROLE_NOT_GRANTABLE"):
        await program.provision(JOAN, roles=["privacy_officer"])


async def test_who_loses_a_role_is_signed_out(hr: Program) -> None:
    made = await hr.with_password()
    await hr.identity.sign_in(GRACE)
    await hr.update(made.name, roles=[])
    assert [one.user for one in await hr.identity.stated(SessionRevoked)] == [user_of(made)]


async def test_only_a_program_that_acts_for_itself_gives_roles(identity: Identity) -> None:
    with refused("CLIENT_UNSAFE"):
        await Provider(identity).register(grantable_roles=["agent"])


# Off, on and gone -----------------------------------------------------------------------------------------------------


async def test_who_is_switched_off_is_out_and_comes_back_as_they_were(hr: Program) -> None:
    made = await hr.with_password()
    session = await hr.identity.sign_in(GRACE)
    off = await hr.update(made.name, active=False)
    assert (off.active, list(off.roles)) == (False, ["agent"])
    assert off.etag != made.etag
    assert (await hr.identity.get(user_of(made))).state == identity_pb2.User.DISABLED
    assert [one.session for one in await hr.identity.stated(SessionRevoked)] == [session.session.name]
    with refused("SESSION_ENDED"):
        await hr.identity.issue(session.secret)
    with refused("SIGN_IN_FAILED"):
        await hr.identity.sign_in(GRACE)
    await hr.update(made.name, active=False)  # again, nothing happens
    assert [one.user for one in await hr.identity.stated(UserDisabled)] == [user_of(made)]

    before = len(await hr.identity.mails(GRACE))
    assert (await hr.update(made.name, active=True)).active
    assert [one.user for one in await hr.identity.stated(UserEnabled)] == [user_of(made)]
    assert (await hr.identity.sign_in(GRACE)).secret
    assert len(await hr.identity.mails(GRACE)) == before  # who has a password is mailed no link


async def test_the_audit_log_says_which_program_it_was(hr: Program) -> None:
    made = await hr.with_password()
    await hr.update(made.name, active=False)
    await hr.update(made.name, active=True)
    user = user_of(made)
    asked = audit_pb2.ListAuditEntriesRequest(parent=user)
    stub, who = AuditServiceStub(hr.identity.channel), hr.identity.as_(user)
    told = (await stub.ListAuditEntries(asked, metadata=who)).audit_entries
    by_program = [one.fact for one in told if (one.actor, one.program) == (audit_pb2.AuditEntry.PROGRAM, "clients/hr")]
    assert by_program == ["UserEnabled", "UserDisabled", "UserUpdated", "UserCreated"]


async def test_no_link_that_was_mailed_before_is_a_way_around_it(hr: Program) -> None:
    made = await hr.with_password()
    await hr.identity.stub.BeginRecovery(identity_pb2.BeginRecoveryRequest(email=GRACE))
    link = await hr.identity.token(GRACE)
    await hr.update(made.name, active=False)
    asked = identity_pb2.CompleteRecoveryRequest(token=link, password="brass kettle at dusk")
    with refused("LINK_INVALID"):
        await hr.identity.stub.CompleteRecovery(asked)


async def test_who_is_off_and_asks_for_a_link_is_mailed_that(hr: Program) -> None:
    made = await hr.with_password()
    await hr.update(made.name, active=False)
    await hr.identity.stub.BeginRecovery(identity_pb2.BeginRecoveryRequest(email=GRACE))
    newest = (await hr.identity.mails(GRACE))[-1]
    assert newest.template == "already_registered"
    assert "switched off" in newest.text
    assert "#token=" not in newest.text


async def test_no_factor_is_a_way_around_it(hr: Program) -> None:
    made = await hr.with_password()
    grace, device = Owner(hr.identity, user_of(made), GRACE), Authenticator()
    await grace.add()
    await add_passkey(grace, device)
    challenge = await grace.challenge()  # a sign-in that has begun
    token = grace.me
    await hr.update(made.name, active=False)
    with refused("USER_DISABLED"):
        await grace.prove(challenge, code=grace.code())
    with refused("PASSKEY_REFUSED"):
        await sign_in_by_passkey(grace, device)
    with refused("USER_DISABLED"):  # with a token of a moment ago
        await grace.remove(metadata=token)


async def test_no_account_elsewhere_is_a_way_around_it(social: Social) -> None:
    hr = await Program(social.identity).register()
    made = await hr.with_password(NORA.email)
    await social.prove((await social.come(NORA)).password_needed.secret, PASSWORD)
    claim = (await social.come(Account("9", "Nora elsewhere", NORA.email))).password_needed.secret
    await hr.update(made.name, active=False)
    with refused("USER_DISABLED"):
        await social.come(NORA)
    with refused("USER_DISABLED"):
        await social.come(Account("8", "Nora elsewhere", NORA.email))
    with refused("SIGN_IN_FAILED"):
        await social.prove(claim, PASSWORD)
    await hr.update(made.name, active=True)
    assert (await social.come(NORA)).signed_in.secret


async def test_programs_that_the_person_let_in_are_out(provider: Provider) -> None:
    hr = await Program(provider.identity).register()
    made = await hr.with_password()
    await provider.sign_in(GRACE)
    tokens_of_grace = await provider.tokens(scope=" ".join(SCOPES))
    await hr.update(made.name, active=False)
    assert [one.user for one in await provider.identity.stated(AuthorizationRevoked)] == [user_of(made)]
    status, told = await provider.refresh(tokens_of_grace["refresh_token"])
    assert (status, told["error"]) == (400, "invalid_grant")


async def test_nobody_looks_at_the_account_of_who_is_switched_off(hr: Program) -> None:
    made = await hr.provision()
    alma = await staff(hr.identity, ADA)
    user = identity_pb2.User(name=user_of(made))
    await alma.look(user)
    await hr.update(made.name, active=False)
    assert await endings(hr.identity) == ["USER_DISABLED"]
    with refused("USER_DISABLED"):
        await alma.look(user)


async def test_who_is_leaving_and_is_switched_off_is_erased_when_it_is_time(hr: Program) -> None:
    made = await hr.with_password()
    user = user_of(made)
    leaving = identity_pb2.DeleteUserRequest(name=user)
    await hr.identity.stub.DeleteUser(leaving, metadata=hr.identity.as_(user))
    await hr.update(made.name, active=False)
    with refused("USER_DISABLED"):
        back = identity_pb2.UndeleteUserRequest(name=user)
        await hr.identity.stub.UndeleteUser(back, metadata=hr.identity.as_(user))
    hr.identity.clock.advance(timedelta(days=7))
    assert await purge_users.work(hr.identity.sessions, hr.identity.clock()) == 1
    assert [one.user for one in await hr.identity.stated(UserDeletionRequested)] == [user]


async def test_who_is_taken_away_loses_every_role_and_is_erased(hr: Program) -> None:
    made = await hr.with_password()
    await hr.identity.sign_in(GRACE)
    with refused("ETAG_MISMATCH"):
        await hr.deprovision(made.name, etag="another")
    await hr.deprovision(made.name, etag=(await hr.get(made.name)).etag)
    user = await hr.identity.get(user_of(made))
    assert (user.state, list(user.roles)) == (identity_pb2.User.DELETING, [])
    assert [one.user for one in await hr.identity.stated(UserDeletionRequested)] == [user.name]
    for call in (hr.get(made.name), hr.update(made.name, active=True), hr.deprovision(made.name)):
        with refused("PROVISIONED_USER_NOT_FOUND"):
            await call
    assert (await hr.listed()).total_size == 0
    with refused("EMAIL_TAKEN"):
        await hr.provision()  # until the erasure is done


# Whose ----------------------------------------------------------------------------------------------------------------


async def test_a_program_sees_those_it_made_and_nobody_else(hr: Program) -> None:
    other = await Program(hr.identity, "payroll").register()
    grace, joan, ada = await hr.provision(), await other.provision(JOAN), await hr.identity.create(ADA)
    customer = ada.name.replace("users/", "provisionedUsers/")
    for name in (joan.name, customer, f"provisionedUsers/{uuid4()}"):
        for call in (hr.get(name), hr.update(name, active=False), hr.deprovision(name)):
            with refused("PROVISIONED_USER_NOT_FOUND"):
                await call
    assert [one.name for one in (await hr.listed()).users] == [grace.name]
    for email in (JOAN, ADA):
        assert (await hr.listed(email=email)).total_size == 0


async def test_pages_follow_one_another(hr: Program) -> None:
    made = []
    for number in range(5):
        made.append((await hr.provision(f"staff-{number}@example.org")).name)
        hr.identity.clock.advance(timedelta(seconds=1))
    first = await hr.listed(page_size=2, skip=1)
    assert ([one.name for one in first.users], first.total_size) == (made[1:3], 5)
    rest = await hr.listed(page_size=5, skip=1, page_token=first.next_page_token)
    assert ([one.name for one in rest.users], rest.next_page_token) == (made[3:], "")
    with refused("INVALID_FIELD"):
        await hr.listed(skip=-1)


async def test_of_two_changes_at_once_none_is_lost(hr: Program) -> None:
    made = await hr.provision()
    changes = [hr.update(made.name, display_name="Grace"), hr.update(made.name, external_id="E-1")]
    changes += [hr.update(made.name, roles=["agent"]), hr.update(made.name, active=False)]
    await asyncio.gather(*changes)
    found = await hr.get(made.name)
    said = (found.display_name, found.external_id, list(found.roles), found.active)
    assert said == ("Grace", "E-1", ["agent"], False)


async def test_a_field_that_is_none_is_refused(hr: Program) -> None:
    made = await hr.provision()
    mask = FieldMask(paths=["create_time"])
    asked = pb.UpdateProvisionedUserRequest(user=pb.ProvisionedUser(name=made.name, email=GRACE), update_mask=mask)
    with refused("INVALID_FIELD"):
        await hr.stub.UpdateProvisionedUser(asked, metadata=hr.token)


async def test_a_client_that_is_gone_gives_no_role(hr: Program) -> None:
    token = hr.token
    await Provider(hr.identity).stub.DeleteClient(oauth_pb2.DeleteClientRequest(name="clients/hr"), metadata=OPERATOR)
    asked = pb.ProvisionUserRequest(user=pb.ProvisionedUser(email=GRACE, roles=["agent"]))
    with pytest.raises(grpc.aio.AioRpcError):  # refused for the token, or for the role until that is heard of
        await hr.stub.ProvisionUser(asked, metadata=token)
