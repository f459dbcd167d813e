"""Contact data stay right: asked once a year, and when mail comes back."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.events_pb2 import UserContactConfirmed, UserUpdated

from chassis.mail import Server, hand_over, send
from chassis.names import parse
from chassis.time import moment, system_clock
from services.identity import contacts
from services.identity.contacts import doubting
from tests.identity.people import ADA, EVE, Identity
from tests.identity.test_users import HOME
from tests.mail_server import Provider, at
from tests.world import refused

YEAR = timedelta(days=365)
NOT_THERE, FULL, UNWANTED = "550 5.1.1 no such mailbox", "452 4.2.2 full", "550 5.7.1 we take no mail from you"


@pytest.fixture
async def mails() -> AsyncIterator["Mails"]:
    provider = Provider()
    async with at(provider) as server:
        yield Mails(provider, server)


class Mails:
    """The store's mail server, and what identity sends through it."""

    def __init__(self, provider: Provider, server: Server) -> None:
        self.provider, self.server = provider, server

    async def go(self, identity: Identity, user: pb.User, answer: str, to: str = "") -> None:
        """Have a mail of identity's answered so."""
        self.provider.answer = lambda _: answer
        async with identity.sessions.begin() as session:
            person, to = parse("users/{user}", user.name), to or user.email
            await send(session, to=to, person=person, template="x", subject="A mail", text="Hello.")
        assert await hand_over(self.server, identity.sessions, later(), heard=contacts.hear) == 1


def later() -> datetime:
    return system_clock() + timedelta(seconds=1)


async def confirm(identity: Identity, user: pb.User, etag: str = "") -> pb.User:
    asked = pb.ConfirmContactDataRequest(name=user.name, etag=etag)
    return await identity.stub.ConfirmContactData(asked, metadata=identity.as_(user))


async def years_go_by(identity: Identity, by: timedelta = YEAR) -> int:
    """Do what is due then. The clock stands still: the service's own job is not to be the first."""
    return await doubting(YEAR).work(identity.sessions, identity.clock() + by)


async def test_who_has_just_told_us_is_not_asked(identity: Identity) -> None:
    ada = await identity.create(ADA)
    assert ada.contact_confirmation == pb.User.CONFIRMED
    assert moment(ada.contact_confirm_time) == identity.clock()
    assert await years_go_by(identity, YEAR - timedelta(seconds=1)) == 0


async def test_after_a_year_the_owner_is_asked_and_what_they_confirm_is_good_for_another(identity: Identity) -> None:
    ada = await identity.create(ADA)
    assert await years_go_by(identity) == 1
    asked = await identity.get(ada.name)
    assert asked.contact_confirmation == pb.User.OLD
    assert asked.etag != ada.etag  # who kept a copy learns that it is another now
    assert [list(one.paths) for one in await identity.stated(UserUpdated)] == [["contact_confirmation"]]
    assert await years_go_by(identity) == 0

    confirmed = await confirm(identity, ada, asked.etag)

    assert confirmed.contact_confirmation == pb.User.CONFIRMED
    assert moment(confirmed.contact_confirm_time) == identity.clock()
    [fact] = await identity.stated(UserContactConfirmed)
    assert fact.user == ada.name
    assert await years_go_by(identity) == 1


async def test_a_correction_is_as_good_as_a_confirmation(identity: Identity) -> None:
    ada = await identity.create(ADA)
    await years_go_by(identity)
    asked = pb.UpdateUserRequest(user=pb.User(name=ada.name, shipping_address=HOME))
    corrected = await identity.stub.UpdateUser(asked, metadata=identity.as_(ada))
    assert corrected.contact_confirmation == pb.User.CONFIRMED
    assert moment(corrected.contact_confirm_time) == identity.clock()


async def test_what_is_no_contact_confirms_none(identity: Identity) -> None:
    ada = await identity.create(ADA)
    await years_go_by(identity)
    business = pb.Business(kind=pb.Business.AFFILIATE, company="Bolts")
    asked = pb.UpdateUserRequest(user=pb.User(name=ada.name, business=business))
    assert (await identity.stub.UpdateUser(asked, metadata=identity.as_(ada))).contact_confirmation == pb.User.OLD


async def test_a_confirmation_of_something_else_is_refused(identity: Identity) -> None:
    ada = await identity.create(ADA)
    await years_go_by(identity)
    with refused("ETAG_MISMATCH"):
        await confirm(identity, ada, ada.etag)
    assert await identity.stated(UserContactConfirmed) == []


async def test_nobody_confirms_for_somebody_else(identity: Identity) -> None:
    ada, eve = await identity.create(ADA), await identity.create(EVE)
    asked = pb.ConfirmContactDataRequest(name=ada.name)
    with refused("FORBIDDEN"):
        await identity.stub.ConfirmContactData(asked, metadata=identity.as_(eve, "admin"))


async def test_nothing_of_who_is_being_erased_is_confirmed(identity: Identity) -> None:
    gone = await identity.delete(await identity.create(ADA))
    with refused("USER_DELETING"):
        await confirm(identity, gone)


async def test_an_address_that_mail_comes_back_from_is_doubted_until_mail_is_taken(
    identity: Identity, mails: Mails
) -> None:
    ada = await identity.create(ADA)
    await mails.go(identity, ada, NOT_THERE)
    bounced = await identity.get(ada.name)
    assert bounced.contact_confirmation == pb.User.BOUNCED
    await mails.go(identity, ada, NOT_THERE)
    assert len(await identity.stated(UserUpdated)) == 1  # it is news once
    await mails.go(identity, ada, "250 OK")
    assert (await identity.get(ada.name)).contact_confirmation == pb.User.CONFIRMED


@pytest.mark.parametrize("answer", [FULL, UNWANTED])
async def test_what_may_pass_or_is_our_own_fault_doubts_no_address(
    identity: Identity, mails: Mails, answer: str
) -> None:
    ada = await identity.create(ADA)
    await mails.go(identity, ada, answer)
    assert (await identity.get(ada.name)).contact_confirmation == pb.User.CONFIRMED


async def test_mail_to_another_address_says_nothing_of_the_owners(identity: Identity, mails: Mails) -> None:
    ada = await identity.create(ADA)
    await mails.go(identity, ada, NOT_THERE, to=EVE)
    assert (await identity.get(ada.name)).contact_confirmation == pb.User.CONFIRMED


async def test_mail_for_who_has_no_account_comes_back_without_harm(identity: Identity, mails: Mails) -> None:
    mails.provider.answer = lambda _: NOT_THERE
    await identity.begin(EVE)
    assert await hand_over(mails.server, identity.sessions, later(), heard=contacts.hear) == 1


async def test_another_name_does_not_mend_an_address_and_its_owners_word_does(identity: Identity, mails: Mails) -> None:
    ada = await identity.create(ADA)
    await mails.go(identity, ada, NOT_THERE)
    asked = pb.UpdateUserRequest(user=pb.User(name=ada.name, display_name="Ada"))
    named = await identity.stub.UpdateUser(asked, metadata=identity.as_(ada))
    assert named.contact_confirmation == pb.User.BOUNCED
    assert (await confirm(identity, named, named.etag)).contact_confirmation == pb.User.CONFIRMED


async def test_another_address_that_is_proven_is_not_doubted(identity: Identity, mails: Mails) -> None:
    ada = await identity.create(ADA)
    await mails.go(identity, ada, NOT_THERE)
    change = pb.ChangeEmailRequest(name=ada.name, email="new@example.org")
    await identity.stub.ChangeEmail(change, metadata=identity.as_(ada))
    for address in (ADA, "new@example.org"):
        asked = pb.ConfirmEmailChangeRequest(token=await identity.token(address))
        await identity.stub.ConfirmEmailChange(asked)
    assert (await identity.get(ada.name)).contact_confirmation == pb.User.CONFIRMED
