import asyncio
from datetime import timedelta
from uuid import uuid4

import grpc
import pytest
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.events_pb2 import UserCreated
from sqlalchemy import func, select

from services.identity.models import Registration
from services.identity.registrations import MAILS_AN_HOUR, forget_registrations
from tests.identity.people import ADA, EVE, PASSWORD, PNG, SUPPORT, Identity
from tests.world import refused


def complete(token: str, password: str = PASSWORD, **said: object) -> pb.CompleteRegistrationRequest:
    return pb.CompleteRegistrationRequest(token=token, password=password, **said)  # type: ignore[arg-type]


async def links(identity: Identity) -> int:
    async with identity.sessions() as session:
        return await session.scalar(select(func.count()).select_from(Registration)) or 0


async def test_a_link_by_mail_makes_a_user(identity: Identity) -> None:
    await identity.begin(" Ada@Example.ORG ")
    [mail] = await identity.mails()
    token = await identity.token()
    assert f"https://store.example.org/register#token={token}" in mail.text
    assert f'href="https://store.example.org/register#token={token}"' in (mail.html or "")

    user = await identity.stub.CompleteRegistration(complete(token, display_name=" Ada ", photo=PNG))

    assert user.name == f"users/{mail.person_id}"  # the mail was about her before she was a user
    assert (user.email, user.display_name, user.has_photo) == (ADA, "Ada", True)
    assert user.state == pb.User.ACTIVE
    assert await identity.get(user.name) == user
    assert (await identity.sign_in()).session.name.startswith(f"{user.name}/sessions/")
    [created] = await identity.stated(UserCreated)
    assert created.user == user.name
    assert await links(identity) == 0


async def test_the_answer_and_the_work_are_the_same_for_a_known_address(identity: Identity) -> None:
    ada = await identity.create(ADA)
    await identity.begin(ADA)
    await identity.begin(EVE)
    [known], [unknown] = await identity.mails(ADA), await identity.mails(EVE)
    assert (known.template, unknown.template) == ("already_registered", "registration_link")
    assert ada.name == f"users/{known.person_id}"
    assert "#token" not in known.text
    assert await links(identity) == 2


async def test_who_is_being_erased_is_mailed_that_and_no_link(identity: Identity) -> None:
    await identity.delete(await identity.create(ADA))
    await identity.begin(ADA)
    assert "still being deleted" in (await identity.mails())[-1].text


async def test_a_token_is_kept_as_a_hash(identity: Identity) -> None:
    token = await identity.link()
    async with identity.sessions() as session:
        [row] = await session.scalars(select(Registration))
    assert token.encode() not in row.token_hash
    assert len(row.token_hash) == 32


async def test_a_link_works_once(identity: Identity) -> None:
    token = await identity.link()
    await identity.stub.CompleteRegistration(complete(token))
    with refused("LINK_INVALID"):
        await identity.stub.CompleteRegistration(complete(token))


async def test_of_many_who_use_a_link_at_once_one_wins(identity: Identity) -> None:
    token = await identity.link()
    tries = [identity.stub.CompleteRegistration(complete(token)) for _ in range(8)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, pb.User) for one in done) == 1
    assert sum(isinstance(one, grpc.aio.AioRpcError) and one.code() is grpc.StatusCode.NOT_FOUND for one in done) == 7
    assert len(await identity.stated(UserCreated)) == 1


async def test_two_links_of_an_address_used_at_once_make_one_user(identity: Identity) -> None:
    tokens = [await identity.link(), await identity.link()]
    tries = [identity.stub.CompleteRegistration(complete(token)) for token in tokens]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, pb.User) for one in done) == 1
    assert await links(identity) == 0


async def test_asking_again_does_not_spoil_the_link_before(identity: Identity) -> None:
    first = await identity.link()
    second = await identity.link()
    assert first != second
    mails = await identity.mails()
    assert mails[0].person_id == mails[1].person_id
    await identity.stub.CompleteRegistration(complete(first))
    with refused("LINK_INVALID"):
        await identity.stub.CompleteRegistration(complete(second))


async def test_a_link_ends_after_a_day(identity: Identity) -> None:
    token = await identity.link()
    identity.clock.advance(timedelta(hours=24))
    with refused("LINK_INVALID"):
        await identity.stub.CompleteRegistration(complete(token))


async def test_a_link_that_was_never_ours_is_refused(identity: Identity) -> None:
    with refused("LINK_INVALID"):
        await identity.stub.CompleteRegistration(complete("not one of ours"))


async def test_links_that_ended_are_forgotten(identity: Identity) -> None:
    await identity.begin(ADA)
    identity.clock.advance(timedelta(hours=23))
    await identity.begin(EVE)
    await forget_registrations.work(identity.sessions, identity.clock())
    assert await links(identity) == 2
    identity.clock.advance(timedelta(hours=1))
    await forget_registrations.work(identity.sessions, identity.clock())
    assert await links(identity) == 1


@pytest.mark.parametrize("known", [True, False])
async def test_an_address_gets_so_many_mails_an_hour(identity: Identity, known: bool) -> None:
    if known:
        await identity.create(ADA)
    for _ in range(MAILS_AN_HOUR + 3):
        await identity.begin(ADA)
    await identity.begin(EVE)
    assert len(await identity.mails(ADA)) == MAILS_AN_HOUR
    assert len(await identity.mails(EVE)) == 1
    identity.clock.advance(timedelta(hours=1))
    await identity.begin(ADA)
    assert len(await identity.mails(ADA)) == MAILS_AN_HOUR + 1


async def test_a_flood_at_once_is_no_way_around_that(identity: Identity) -> None:
    await asyncio.gather(*(identity.begin(ADA) for _ in range(20)))
    assert len(await identity.mails(ADA)) == MAILS_AN_HOUR


async def test_a_repeated_request_sends_one_mail(identity: Identity) -> None:
    request_id = str(uuid4())
    await identity.begin(ADA, request_id)
    await identity.begin(ADA, request_id)
    assert len(await identity.mails(ADA)) == 1


async def test_who_got_an_account_in_between_is_told_to_sign_in(identity: Identity) -> None:
    token = await identity.link()
    await identity.create(ADA)
    with refused("EMAIL_TAKEN"):
        await identity.stub.CompleteRegistration(complete(token))


@pytest.mark.parametrize(
    "email", ["ada", "ada@", "@example.org", "ada@example", "a da@example.org", "ada@exa mple.org", "ada@-.org", "a@b@"]
)
async def test_what_is_no_address_is_refused(identity: Identity, email: str) -> None:
    with refused("EMAIL_MALFORMED") as said:
        await identity.begin(email)
    assert said[0].violations[0].field == "email"
    assert email not in said[0].message


async def test_a_domain_in_letters_of_its_own_is_taken(identity: Identity) -> None:
    await identity.begin("ada@bücher.example")
    assert len(await identity.mails("ada@xn--bcher-kva.example")) == 1


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "password",
        "PassWord1",
        "aaaaaaaaaaaa",
        "abababababab",
        "123456789012"[:9],
        "hgfedcba",
        ADA,
        "ADA LOVELY",
    ],
)
async def test_a_password_that_is_guessed_first_is_refused(identity: Identity, password: str) -> None:
    token = await identity.link()
    with refused("PASSWORD_WEAK") as said:
        await identity.stub.CompleteRegistration(complete(token, password, display_name="Ada Lovely"))
    assert said[0].violations[0].field == "password"
    await identity.stub.CompleteRegistration(complete(token))  # and the link still works


@pytest.mark.parametrize(
    ("chosen", "typed"),
    [
        ("ünïcødé → is ok", "u\u0308ni\u0308cøde\u0301 → is ok"),  # the same letters, composed by another keyboard
        ("x7-z" * 32, "x7-z" * 32),
        ("    fifteen    ", "    fifteen    "),
    ],
)
async def test_any_characters_make_a_password(identity: Identity, chosen: str, typed: str) -> None:
    await identity.stub.CompleteRegistration(complete(await identity.link(), chosen))
    assert (await identity.sign_in(ADA, typed)).secret


async def test_a_password_of_which_only_the_end_differs_is_another(identity: Identity) -> None:
    await identity.stub.CompleteRegistration(complete(await identity.link(), "x7-z" * 31 + "ab"))
    with refused("SIGN_IN_FAILED"):
        await identity.sign_in(ADA, "x7-z" * 31 + "ac")


async def test_a_picture_of_another_kind_is_refused(identity: Identity) -> None:
    token = await identity.link()
    with refused("PHOTO_UNREADABLE"):
        await identity.stub.CompleteRegistration(complete(token, photo=b"<svg onload='alert(1)'/>"))


async def test_a_user_of_no_such_name_is_not_found(identity: Identity) -> None:
    with refused("USER_NOT_FOUND"):
        await identity.stub.GetUser(pb.GetUserRequest(name=f"users/{uuid4()}"), metadata=SUPPORT)
