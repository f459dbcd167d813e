"""Keys change while everybody works, and nobody notices (docs/rotate-keys.md)."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from rapport.identity.v1.identity_pb2 import GetJwksRequest, Jwk

from chassis.database import Sessions
from chassis.refusal import TokenInvalid
from chassis.revocations import Revocations
from chassis.settings import Secret
from chassis.tokens import LIFE, Tokens
from services.identity.settings import Settings
from tests.identity.conftest import new_key, served
from tests.identity.people import ADA, Identity
from tests.store import Store
from tests.tokens import ISSUER
from tests.world import Hands

REQUESTS = 1_000
KEPT = re.compile(r"max-age=(\d+)")


class Service:
    """One that checks tokens, and asks identity for the keys as it is now."""

    def __init__(self, clock: Hands) -> None:
        self.identity: Identity | None = None
        self.asked = 0
        self.tokens = Tokens(self.keys, clock, Revocations(clock), issuer=ISSUER)

    async def keys(self) -> Sequence[Jwk]:
        assert self.identity is not None
        self.asked += 1
        return (await self.identity.stub.GetJwks(GetJwksRequest())).keys

    async def takes(self, token: str) -> bool:
        shown = f"Bearer {token}"
        try:
            return bool(self.tokens.known(shown) or await self.tokens.check(shown))
        except TokenInvalid:
            return False

    def five_minutes_on(self) -> None:
        """What it keeps of the keys is as old as it gets."""
        self.tokens.keyring.got -= self.tokens.keyring.age
        self.tokens.keyring.asked -= self.tokens.keyring.age


async def test_of_a_thousand_checks_over_a_rotation_none_fails(
    settings: Settings, sessions: Sessions, clock: Hands
) -> None:
    old, new = settings.signing_key.value, new_key()
    service, failed, held = Service(clock), 0, list[str]()
    secret = ""
    for keys in (old, f"{old}\n{new}", f"{new}\n{old}", new):
        async with served(replace(settings, signing_key=Secret(keys)), sessions, clock) as identity:
            service.identity = identity
            if not secret:
                await identity.create(ADA)
                secret = (await identity.sign_in()).secret
            for number in range(REQUESTS // 4):
                if number % 10 == 0:
                    held.append((await identity.issue(secret)).access_token)
                failed += not await service.takes(held[number % len(held)])
        # The step after this one comes when the keys are known everywhere and tokens of the old one have ended.
        clock.advance(LIFE)
        held.clear()
        service.five_minutes_on()
    assert failed == 0
    assert service.asked <= 8


async def test_a_token_lives_on_through_each_step_of_a_rotation(
    settings: Settings, sessions: Sessions, clock: Hands
) -> None:
    old, new = settings.signing_key.value, new_key()
    service, secret, before = Service(clock), "", ""
    for keys in (old, f"{old}\n{new}", f"{new}\n{old}"):
        async with served(replace(settings, signing_key=Secret(keys)), sessions, clock) as identity:
            service.identity = identity
            if not secret:
                await identity.create(ADA)
                secret = (await identity.sign_in()).secret
            token = (await identity.issue(secret)).access_token
            assert await service.takes(token)
            assert not before or await service.takes(before)
            before = token
        service.five_minutes_on()


async def test_while_nobody_knows_a_key_it_is_asked_for_once_in_a_while(
    settings: Settings, sessions: Sessions, clock: Hands
) -> None:
    service = Service(clock)
    async with served(settings, sessions, clock) as identity:
        await identity.create(ADA)
        strange = (await identity.issue((await identity.sign_in()).secret)).access_token
    async with served(replace(settings, signing_key=Secret(new_key())), sessions, clock) as identity:
        service.identity = identity
        assert not any([await service.takes(strange) for _ in range(200)])
    assert service.asked <= 2


@pytest.mark.xdist_group("store")
async def test_the_published_keys_are_kept_no_longer_than_a_step_of_a_rotation_waits(store: Store) -> None:
    async with store.http() as http:
        answer = await http.get("/oauth/jwks")
    found = KEPT.search(answer.headers["cache-control"])
    assert found is not None
    assert timedelta(seconds=int(found[1])) <= LIFE == timedelta(minutes=5)
