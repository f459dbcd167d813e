import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.events_pb2 import SessionRevoked, UserCreated, UserUpdated

from tests.identity.people import ADA, EVE, GATEWAY, OPERATOR, PASSWORD, PNG, Identity
from tests.identity.test_photos import made
from tests.world import refused

HOME = pb.Address(recipient="Ada", lines=["1 Kettle Lane"], postal_code="12345", city="Brassby", region_code="GB")
BOLTS = pb.Business(kind=pb.Business.WHOLESALER, company="Ada's Bolts", website="https://bolts.example.org")


def creation(email: str = ADA, password: str = PASSWORD, request_id: str = "", **said: Any) -> pb.CreateUserRequest:
    return pb.CreateUserRequest(user=pb.User(email=email, **said), password=password, request_id=request_id)


async def update(identity: Identity, user: pb.User, *paths: str, **said: Any) -> pb.User:
    asked = pb.UpdateUserRequest(user=pb.User(name=user.name, **said), update_mask=FieldMask(paths=paths))
    return await identity.stub.UpdateUser(asked, metadata=identity.as_(user))


async def test_the_operator_makes_a_user_with_a_whole_profile(identity: Identity) -> None:
    user = await identity.create(ADA, display_name="Ada", billing_address=HOME, shipping_address=HOME, business=BOLTS)
    assert (user.billing_address, user.shipping_address, user.business) == (HOME, HOME, BOLTS)
    assert await identity.get(user.name) == user
    assert (await identity.sign_in()).secret


async def test_what_only_we_may_set_is_left_out_of_what_was_sent(identity: Identity) -> None:
    user = await identity.create(ADA, roles=["admin"], state=pb.User.DELETING, erasure=f"erasures/{uuid4()}")
    assert (list(user.roles), user.state, user.erasure) == ([], pb.User.ACTIVE, "")


async def test_making_a_user_again_makes_no_other(identity: Identity) -> None:
    asked = creation(request_id=str(uuid4()))
    made = [await identity.stub.CreateUser(asked, metadata=OPERATOR) for _ in range(2)]
    assert made[0] == made[1]
    assert len(await identity.stated(UserCreated)) == 1
    asked.user.email = EVE
    with refused("REQUEST_ID_REUSED"):
        await identity.stub.CreateUser(asked, metadata=OPERATOR)


async def test_an_address_belongs_to_one_user_however_it_is_written(identity: Identity) -> None:
    await identity.create(ADA)
    with refused("EMAIL_TAKEN"):
        await identity.create("ADA@EXAMPLE.ORG")


async def test_of_many_at_once_one_gets_the_address(identity: Identity) -> None:
    made = await asyncio.gather(*(identity.create(ADA) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(one, pb.User) for one in made) == 1
    assert sum(isinstance(e, grpc.aio.AioRpcError) and e.code() is grpc.StatusCode.ALREADY_EXISTS for e in made) == 7


async def test_a_user_is_not_made_with_a_weak_password_or_no_address(identity: Identity) -> None:
    with refused("PASSWORD_WEAK"):
        await identity.stub.CreateUser(creation(password="password1"), metadata=OPERATOR)
    with refused("EMAIL_MALFORMED"):
        await identity.stub.CreateUser(creation("ada at example.org"), metadata=OPERATOR)


async def test_only_admin_and_operator_make_users(identity: Identity) -> None:
    eve = await identity.create(EVE)
    assert await identity.stub.CreateUser(creation(), metadata=identity.as_(eve, "admin"))
    with refused("FORBIDDEN"):
        await identity.stub.CreateUser(creation("bo@example.org"), metadata=identity.as_(eve, "agent"))
    with refused("SIGN_IN_NEEDED"):
        await identity.stub.CreateUser(creation("bo@example.org"), metadata=GATEWAY)


async def test_a_user_is_seen_by_the_owner_and_by_staff_alone(identity: Identity) -> None:
    ada, eve = await identity.create(ADA), await identity.create(EVE)
    asked = pb.GetUserRequest(name=ada.name)
    assert await identity.stub.GetUser(asked, metadata=identity.as_(ada)) == ada
    assert await identity.stub.GetUser(asked, metadata=identity.as_(eve, "agent")) == ada
    with refused("FORBIDDEN"):
        await identity.stub.GetUser(asked, metadata=identity.as_(eve))
    with refused("SIGN_IN_NEEDED"):
        await identity.stub.GetUser(asked)


async def test_users_are_listed_newest_first_a_page_at_a_time(identity: Identity) -> None:
    made = []
    for number in range(5):
        identity.clock.advance(timedelta(seconds=number // 2))  # some at the same moment
        made.append((await identity.create(f"u{number}@example.org")).name)
    admin, seen, token = identity.as_(made[0], "admin"), [], ""
    while True:
        asked = pb.ListUsersRequest(page_size=2, page_token=token)
        page = await identity.stub.ListUsers(asked, metadata=admin)
        seen += [(user.create_time.ToDatetime(), user.name) for user in page.users]
        assert len(page.users) <= 2
        token = page.next_page_token
        if not token:
            break
    assert [name for _, name in seen] == [name for _, name in sorted(seen, reverse=True)]
    assert {name for _, name in seen} == set(made)
    with refused("PAGE_TOKEN_INVALID"):
        await identity.stub.ListUsers(pb.ListUsersRequest(page_token="mine"), metadata=admin)


async def test_users_are_found_by_their_address_their_state_and_their_roles(identity: Identity) -> None:
    ada, eve = await identity.create(ADA), await identity.create(EVE, "agent")
    bo, cy = await identity.create("bo@example.org", "agent", "admin"), await identity.create("cy@example.org")
    await identity.delete(cy)

    async def found(**said: Any) -> set[str]:
        page = await identity.stub.FindUsers(pb.FindUsersRequest(**said), metadata=identity.as_(bo, "admin"))
        return {user.name for user in page.users}

    assert await found() == {ada.name, eve.name, bo.name, cy.name}
    assert await found(email=" ADA@example.org") == {ada.name}
    assert await found(email="nobody@example.org") == set()
    assert await found(state=pb.User.DELETING) == {cy.name}
    assert await found(role="agent") == {eve.name, bo.name}
    assert await found(role="agent", email=ADA) == await found(role="agent", state=pb.User.DELETING) == set()
    with refused("EMAIL_MALFORMED"):
        await found(email="ada")
    with refused("INVALID_FIELD"):
        await found(role="owner")


async def test_users_that_are_found_come_a_page_at_a_time(identity: Identity) -> None:
    made = [(await identity.create(f"u{number}@example.org", "agent")).name for number in range(3)]
    admin, asked, seen = identity.as_(made[0], "admin"), pb.FindUsersRequest(role="agent", page_size=2), list[str]()
    for most in (2, 1):
        page = await identity.stub.FindUsers(asked, metadata=admin)
        assert len(page.users) == most
        seen += [user.name for user in page.users]
        asked.page_token = page.next_page_token
    assert (sorted(seen), asked.page_token) == (sorted(made), "")
    other = pb.FindUsersRequest(role="admin", page_token=(await first_page(identity, made[0])).next_page_token)
    with refused("PAGE_TOKEN_INVALID"):
        await identity.stub.FindUsers(other, metadata=admin)


async def first_page(identity: Identity, who: str) -> pb.FindUsersResponse:
    asked = pb.FindUsersRequest(role="agent", page_size=2)
    return await identity.stub.FindUsers(asked, metadata=identity.as_(who, "admin"))


async def test_a_correction_reaches_every_holder_by_an_event_that_names_fields_only(identity: Identity) -> None:
    ada = await identity.create(ADA, display_name="Ada", business=BOLTS)
    identity.clock.advance(timedelta(minutes=1))
    after = await update(identity, ada, display_name=" Ada L. ", billing_address=HOME)
    assert (after.display_name, after.billing_address, after.business) == ("Ada L.", HOME, BOLTS)
    assert after.update_time.ToDatetime() > ada.update_time.ToDatetime()
    assert after.etag != ada.etag
    assert await identity.get(ada.name) == after
    [updated] = await identity.stated(UserUpdated)
    assert set(updated.paths) == {"display_name", "billing_address"}


async def test_a_mask_changes_what_it_names_and_nothing_else(identity: Identity) -> None:
    ada = await identity.create(ADA, display_name="Ada", billing_address=HOME, business=BOLTS)
    after = await update(
        identity, ada, "billing_address", "display_name", business=pb.Business(kind=pb.Business.AFFILIATE)
    )
    assert (after.display_name, after.HasField("billing_address"), after.business) == ("", False, BOLTS)


async def test_a_part_that_is_there_is_replaced_whole(identity: Identity) -> None:
    ada = await identity.create(ADA, shipping_address=HOME, business=BOLTS)
    other = pb.Address(city="Tinford", region_code="GB")
    after = await update(identity, ada, shipping_address=other, business=pb.Business(kind=pb.Business.AFFILIATE))
    assert after.shipping_address == other
    assert after.business == pb.Business(kind=pb.Business.AFFILIATE)


async def test_a_correction_that_changes_nothing_is_no_news(identity: Identity) -> None:
    ada = await identity.create(ADA, display_name="Ada", billing_address=HOME)
    assert await update(identity, ada, display_name="Ada", billing_address=HOME) == ada
    assert await identity.stated(UserUpdated) == []


async def test_the_address_that_proves_who_one_is_cannot_be_typed_over(identity: Identity) -> None:
    ada = await identity.create(ADA)
    assert (await update(identity, ada, email=EVE)).email == ADA
    with refused("INVALID_FIELD") as said:
        await update(identity, ada, "email", email=EVE)
    assert said[0].violations[0].field == "update_mask"


async def test_a_change_to_what_somebody_else_changed_is_refused(identity: Identity) -> None:
    ada = await identity.create(ADA)
    await update(identity, ada, display_name="Ada", etag=ada.etag)
    with refused("ETAG_MISMATCH"):
        await update(identity, ada, display_name="Lady Ada", etag=ada.etag)
    assert (await update(identity, ada, display_name="Lady Ada")).display_name == "Lady Ada"


async def test_of_many_changes_to_the_same_state_one_is_made(identity: Identity) -> None:
    ada = await identity.create(ADA)
    tries = [update(identity, ada, display_name=f"Ada {number}", etag=ada.etag) for number in range(6)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, pb.User) for one in done) == 1


async def test_a_profile_is_corrected_by_its_owner_alone(identity: Identity) -> None:
    ada, eve = await identity.create(ADA), await identity.create(EVE)
    asked = pb.UpdateUserRequest(user=pb.User(name=ada.name, display_name="Eve was here"))
    with refused("FORBIDDEN"):
        await identity.stub.UpdateUser(asked, metadata=identity.as_(eve, "admin"))


async def test_roles_are_those_that_were_given_last(identity: Identity) -> None:
    ada = await identity.create(ADA, "agent", "admin", "agent")
    assert list(ada.roles) == ["admin", "agent"]
    [updated] = await identity.stated(UserUpdated)
    assert list(updated.paths) == ["roles"]
    assert list((await identity.issue((await identity.sign_in()).secret)).roles) == ["admin", "agent"]


async def test_who_loses_a_role_is_signed_out(identity: Identity) -> None:
    ada, sessions = await identity.create(ADA, "agent"), [await identity.sign_in() for _ in range(2)]
    with_more = pb.SetUserRolesRequest(name=ada.name, roles=["agent", "admin"])
    await identity.stub.SetUserRoles(with_more, metadata=OPERATOR)
    assert await identity.stated(SessionRevoked) == []
    await identity.stub.SetUserRoles(pb.SetUserRolesRequest(name=ada.name, roles=["agent"]), metadata=OPERATOR)
    assert {one.session for one in await identity.stated(SessionRevoked)} == {one.session.name for one in sessions}
    with refused("SESSION_ENDED"):
        await identity.issue(sessions[0].secret)


async def test_a_role_that_is_none_is_refused(identity: Identity) -> None:
    ada = await identity.create(ADA)
    with refused("INVALID_FIELD"):
        await identity.stub.SetUserRoles(pb.SetUserRolesRequest(name=ada.name, roles=["king"]), metadata=OPERATOR)
    with refused("USER_NOT_FOUND"):
        asked = pb.SetUserRolesRequest(name=f"users/{uuid4()}", roles=["agent"])
        await identity.stub.SetUserRoles(asked, metadata=OPERATOR)


@pytest.mark.parametrize(
    ("photo", "kind"),
    [(PNG, "image/jpeg"), (made("JPEG"), "image/jpeg"), (made("WEBP", "RGBA"), "image/webp")],
)
async def test_a_photo_comes_back_as_a_picture_of_our_own_making(identity: Identity, photo: bytes, kind: str) -> None:
    ada = await identity.create(ADA)
    me = identity.as_(ada)
    with refused("PHOTO_NOT_FOUND"):
        await identity.stub.GetUserPhoto(pb.GetUserPhotoRequest(name=f"{ada.name}/photo"), metadata=me)
    for given in (made("PNG"), photo):
        after = await identity.stub.SetUserPhoto(pb.SetUserPhotoRequest(name=ada.name, photo=given), metadata=me)
    assert after.has_photo
    assert [list(one.paths) for one in await identity.stated(UserUpdated)] == [["has_photo"]] * 2
    shown = await identity.stub.GetUserPhoto(pb.GetUserPhotoRequest(name=f"{ada.name}/photo"), metadata=me)
    assert (shown.content_type, shown.data == photo) == (kind, False)


async def test_what_is_no_photo_is_refused(identity: Identity) -> None:
    ada = await identity.create(ADA)
    asked = pb.SetUserPhotoRequest(name=ada.name, photo=b"GIF89a")
    with refused("PHOTO_UNREADABLE") as said:
        await identity.stub.SetUserPhoto(asked, metadata=identity.as_(ada))
    assert said[0].violations[0].field == "photo"


async def test_who_is_to_be_deleted_is_found_as_such_and_not_among_the_active(identity: Identity) -> None:
    ada, eve = await identity.create(ADA), await identity.create(EVE)
    await identity.stub.DeleteUser(pb.DeleteUserRequest(name=ada.name), metadata=identity.as_(ada))
    admin = identity.as_(f"users/{uuid4()}", "admin")
    for state, found in ((pb.User.PENDING_DELETION, ada), (pb.User.ACTIVE, eve)):
        told = await identity.stub.FindUsers(pb.FindUsersRequest(state=state), metadata=admin)
        assert [one.name for one in told.users] == [found.name]
