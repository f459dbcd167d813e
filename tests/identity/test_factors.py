"""An app that shows codes: added, listed, removed, and what is kept of it."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

import grpc
import pytest
from rapport.identity.v1 import events_pb2 as events
from rapport.identity.v1 import factors_pb2 as pb
from rapport.identity.v1.events_pb2 import CredentialAdded, CredentialRemoved
from sqlalchemy import select

from chassis.database import Sessions
from chassis.sealing import Sealer
from chassis.settings import Secret, SettingsError
from chassis.time import moment
from services.identity import totp
from services.identity.models import RecoveryCode, Totp
from services.identity.settings import Settings
from tests.identity.conftest import served
from tests.identity.factors import Owner, owner
from tests.identity.people import ADA, EVE, Identity
from tests.world import Hands, refused


@pytest.fixture
async def ada(identity: Identity) -> Owner:
    return await owner(identity)


async def test_an_app_is_added_by_a_code_it_shows(ada: Owner) -> None:
    begun = await ada.begin()
    uri = urlsplit(begun.uri)
    assert (uri.scheme, uri.netloc, unquote(uri.path)) == ("otpauth", "totp", f"/store.example.org:{ADA}")
    assert parse_qs(uri.query) == {"secret": [begun.secret], "issuer": ["store.example.org"]}
    assert begun.qr_code.startswith("<svg")
    assert not (await ada.factors()).factors  # it is none yet
    assert (await ada.password()).secret  # and nobody is asked for it

    now = ada.identity.clock()
    added = await ada.confirm()
    assert (added.factor.name, added.factor.kind) == (begun.name, pb.Factor.TOTP)
    assert moment(added.factor.create_time) == now
    told = await ada.factors()
    assert (list(told.factors), told.recovery_codes_left) == ([added.factor], 10)
    assert [(one.user, one.kind) for one in await ada.identity.stated(CredentialAdded)] == [
        (ada.user, events.TOTP),
        (ada.user, events.RECOVERY_CODES),
    ]
    assert (await ada.identity.mails())[-1].template == "factor_added"


async def test_a_wrong_code_adds_nothing(ada: Owner) -> None:
    await ada.begin()
    with refused("CODE_WRONG"):
        await ada.confirm(ada.wrong())
    assert not (await ada.factors()).factors
    await ada.confirm()


async def test_what_was_begun_is_over_in_an_hour_or_when_something_else_is_begun(ada: Owner) -> None:
    first = (await ada.begin()).name
    await ada.begin()
    second, ada.app = ada.app, first
    with refused("FACTOR_NOT_FOUND"):
        await ada.confirm()
    ada.app = second
    ada.identity.clock.advance(totp.BEGUN_LASTS)
    with refused("FACTOR_NOT_FOUND"):
        await ada.confirm()
    assert await totp.forget_begun_totp.work(ada.identity.sessions, ada.identity.clock()) == 1
    await ada.add()
    ada.identity.clock.advance(totp.BEGUN_LASTS)
    assert await totp.forget_begun_totp.work(ada.identity.sessions, ada.identity.clock()) == 0


async def test_there_is_one_app_at_a_time(ada: Owner) -> None:
    await ada.add()
    with refused("FACTOR_EXISTS"):
        await ada.confirm()
    with refused("FACTOR_EXISTS"):
        await ada.begin()


async def test_of_fifty_who_confirm_at_once_one_gets_the_recovery_codes(ada: Owner) -> None:
    await ada.begin()
    asked = pb.ConfirmTotpRequest(name=ada.app, code=ada.code())
    calls = (ada.stub.ConfirmTotp(asked, metadata=ada.me) for _ in range(50))
    told = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(not isinstance(one, grpc.aio.AioRpcError) for one in told) == 1
    assert (await ada.factors()).recovery_codes_left == 10


async def test_an_app_that_is_removed_is_asked_for_no_more(ada: Owner) -> None:
    await ada.add()
    signed = await ada.sign_in(trust_device=True)
    await ada.remove()
    assert (await ada.password()).secret
    assert ((await ada.factors()).recovery_codes_left, await ada.devices()) == (0, [])
    assert [one.kind for one in await ada.identity.stated(CredentialRemoved)] == [events.TOTP, events.RECOVERY_CODES]
    assert (await ada.identity.mails())[-1].template == "factor_removed"
    assert await ada.identity.issue(signed.secret)  # who is signed in stays so
    with refused("FACTOR_NOT_FOUND"):
        await ada.remove()


async def test_nobody_has_the_factors_of_somebody_else(ada: Owner) -> None:
    await ada.add()
    eve = await owner(ada.identity, EVE)
    theirs = f"{eve.user}/factors/{ada.app.rpartition('/')[2]}"
    with refused("FACTOR_NOT_FOUND"):
        await eve.remove(theirs)
    with refused("FACTOR_NOT_FOUND"):
        await eve.stub.ConfirmTotp(pb.ConfirmTotpRequest(name=theirs, code="000000"), metadata=eve.me)
    with refused("FORBIDDEN"):
        await eve.remove(ada.app)
    assert len((await ada.factors()).factors) == 1


async def test_adding_and_removing_take_a_fresh_sign_in(ada: Owner) -> None:
    secret = (await ada.password()).secret
    await ada.add()
    ada.identity.clock.advance(timedelta(minutes=6))
    old = await ada.token(secret)
    with refused("SIGN_IN_TOO_OLD"):
        await ada.stub.BeginTotp(pb.BeginTotpRequest(parent=ada.user), metadata=old)
    with refused("SIGN_IN_TOO_OLD"):
        await ada.stub.ConfirmTotp(pb.ConfirmTotpRequest(name=ada.app, code="000000"), metadata=old)
    with refused("SIGN_IN_TOO_OLD"):
        await ada.stub.ReplaceRecoveryCodes(pb.ReplaceRecoveryCodesRequest(parent=ada.user), metadata=old)
    with refused("SIGN_IN_TOO_OLD"):
        await ada.remove(metadata=old)


async def test_codes_on_paper_are_replaced_all_at_once(ada: Owner) -> None:
    asked = pb.ReplaceRecoveryCodesRequest(parent=ada.user)
    with refused("FACTOR_NOT_FOUND"):
        await ada.stub.ReplaceRecoveryCodes(asked, metadata=ada.me)
    await ada.add()
    made = list((await ada.stub.ReplaceRecoveryCodes(asked, metadata=ada.me)).recovery_codes)
    assert (len(set(made)), set(made) & set(ada.codes)) == (10, set())
    with refused("CODE_WRONG"):
        await ada.prove(await ada.challenge(), recovery_code=ada.codes[0])
    assert (await ada.prove(await ada.challenge(), recovery_code=made[0])).secret
    assert [one.kind for one in await ada.identity.stated(CredentialAdded)][-1] == events.RECOVERY_CODES
    templates = [one.template for one in await ada.identity.mails()]
    assert templates == ["factor_added", "recovery_codes_replaced", "recovery_code_used"]


async def test_a_dump_of_the_database_shows_no_secret_that_works(ada: Owner) -> None:
    added = await ada.add()
    signed = await ada.sign_in()
    async with ada.identity.sessions() as session:
        [app] = await session.scalars(select(Totp))
        hashes = (await session.scalars(select(RecoveryCode.code_hash))).all()
    assert ada.secret.encode() not in app.sealed
    assert {len(one) for one in hashes} == {32}
    assert len(signed.device_secret) >= 43
    assert all(len(one.replace("-", "")) == 16 for one in added.recovery_codes)  # 80 bits


async def test_what_is_sealed_for_one_person_opens_for_nobody_else() -> None:
    sealer, ada, eve = Sealer("fa" * 32, "A_FILE"), uuid4(), uuid4()
    sealed = sealer.seal(b"secret", owner=ada)
    assert sealer.open(sealed, owner=ada) == b"secret"
    assert sealer.open(sealed, owner=eve) is None
    assert Sealer("ab" * 32, "A_FILE").open(sealed, owner=ada) is None
    assert sealer.seal(b"secret", owner=ada) != sealed


@pytest.mark.parametrize("hexes", ["", "no hex", "ab" * 31, "ab" * 32 + "\n" + "ab" * 16])
def test_without_keys_of_the_right_size_nothing_starts(hexes: str) -> None:
    with pytest.raises(SettingsError, match="32 bytes"):
        Sealer(hexes, "RAPPORT_FACTOR_KEY_FILE")


async def test_keys_are_rotated_while_people_sign_in(settings: Settings, sessions: Sessions, clock: Hands) -> None:
    new = "ab" * 32
    async with served(settings, sessions, clock) as identity:
        ada = await owner(identity)
        await ada.add()
    both = replace(settings, factor_key=Secret(f"{new}\n{settings.factor_key.value}"))
    async with served(both, sessions, clock) as identity:
        ada = replace(ada, identity=identity)
        await ada.sign_in()
    async with served(replace(settings, factor_key=Secret(new)), sessions, clock) as identity:
        await replace(ada, identity=identity).sign_in()  # it was sealed anew
    async with served(settings, sessions, clock) as identity:
        gone = replace(ada, identity=identity)
        with refused("CODE_WRONG"):
            await gone.sign_in()
        assert (await gone.prove(await gone.challenge(), recovery_code=ada.codes[0])).secret


async def test_who_is_being_erased_adds_nothing(ada: Owner) -> None:
    await ada.begin()
    await ada.identity.delete(await ada.identity.get(ada.user))
    with refused("USER_DELETING"):
        await ada.confirm()


async def test_nothing_of_it_is_said_in_a_log(ada: Owner, capfd: pytest.CaptureFixture[str]) -> None:
    await ada.add()
    code = ada.code()
    signed = await ada.sign_in()
    with refused("CODE_WRONG"):
        await ada.prove(await ada.challenge(), code=ada.wrong())
    said = "".join(capfd.readouterr())
    assert "FactorsService/ProveFactor" in said
    for planted in (ada.secret, *ada.codes, f'"{code}"', signed.device_secret, signed.secret, ADA):
        assert planted not in said
