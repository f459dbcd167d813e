"""./rapport apply, on the services it speaks to."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import pytest
import yaml
from rapport.loyalty.v1 import loyalty_pb2 as loyalty_pb
from rapport.loyalty.v1 import rewards_pb2 as rewards_pb
from rapport.loyalty.v1.loyalty_pb2_grpc import LoyaltyServiceStub
from rapport.loyalty.v1.rewards_pb2_grpc import RewardsServiceStub
from rapport.privacy.v1 import privacy_pb2 as privacy_pb
from rapport.privacy.v1.privacy_pb2_grpc import PrivacyServiceStub
from rapport.support.v1 import support_pb2 as pb
from rapport.support.v1.support_pb2_grpc import SupportServiceStub

import services.identity.__main__ as identity
import services.loyalty.__main__ as loyalty
import services.privacy.__main__ as privacy
import services.support.__main__ as support
from chassis.client import channel
from chassis.database import connect
from chassis.service import serving
from chassis.settings import Secret
from deploy.local.apply import Report, bring_in
from deploy.local.terminal import LocalError
from services.identity.settings import Settings as IdentitySettings
from services.loyalty.settings import Settings as LoyaltySettings
from services.privacy.settings import Settings as PrivacySettings
from services.support.settings import Settings as SupportSettings
from tests import tokens, world
from tests.identity.conftest import new_key
from tests.support.conftest import NOWHERE
from tests.support.test_store_data import STORE
from tests.world import Hands, refused, token_of

Apply: TypeAlias = Callable[[], Any]
TOLD: dict[str, Any] = {"identity_target": NOWHERE, "privacy_target": NOWHERE, "loyalty_target": NOWHERE}
SERVICES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "identity": (
        identity.service,
        IdentitySettings,
        {"public_url": "https://store.example.org", **world.identity_keys(new_key())},
    ),
    "support": (support.service, SupportSettings, {}),
    "privacy": (privacy.service, PrivacySettings, {"support_target": NOWHERE}),
    "loyalty": (
        loyalty.service,
        LoyaltySettings,
        {"public_url": "https://store.example.org", "bonus_key": Secret(bytes(32).hex())},
    ),
}


@pytest.fixture
async def channels(postgres: str, tmp_path: Path, clock: Hands) -> AsyncIterator[dict[str, grpc.aio.Channel]]:
    """The four services that hold store data, spoken to as the operator."""
    found: dict[str, grpc.aio.Channel] = {}
    async with AsyncExitStack() as stack:
        for name, (compose, settings_type, others) in SERVICES.items():
            folder = tmp_path / name
            folder.mkdir()
            database = await world.database_of(postgres, name)
            settings = world.settings(settings_type, folder, name=name, database=database, **TOLD | others)
            engine, sessions = connect(database, name="tests", most=4)
            stack.push_async_callback(engine.dispose)
            made = replace(compose(settings, sessions, clock), keys=tokens.keys)
            served = await stack.enter_async_context(serving(made, settings))
            one = channel(f"ipv4:127.0.0.1:{served.port}", service_token=token_of("operator"), name="operator")
            found[name] = await stack.enter_async_context(one)
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the store's data, to change."""
    return Path(shutil.copytree(STORE, tmp_path / "store"))


def edit(folder: Path, name: str, change: Callable[[Any], object]) -> None:
    file = folder / name
    said = yaml.safe_load(file.read_text(encoding="utf-8"))
    change(said)
    file.write_text(yaml.safe_dump(said), encoding="utf-8")


async def test_the_store_comes_in_and_the_second_time_nothing_changes(
    channels: dict[str, grpc.aio.Channel], folder: Path
) -> None:
    said: list[str] = []
    first = await bring_in(folder, channels, said.append)
    assert len(first.changes) == len(said) > 20
    assert {"service hours: new", "privacy policy: new", "points programme: new"} <= set(said)
    said.clear()
    second = await bring_in(folder, channels, said.append)
    assert (second, said, str(second)) == (Report([]), [], "nothing to change")


async def test_what_differs_in_a_list_of_rules_is_said_by_its_id(
    channels: dict[str, grpc.aio.Channel], folder: Path
) -> None:
    await bring_in(folder, channels)

    def change(said: Any) -> None:
        base, _ = said["earn_rules"]
        said["earn_rules"] = [base | {"pending_days": 14}, {"id": "autumn", "points_per_order": 5}]
        said["caps"] = []
        said["tier_ladder"]["grace_days"] = 10

    edit(folder, "programme.yaml", change)
    said: list[str] = []
    await bring_in(folder, channels, said.append)
    assert said == ["points programme: earn_rules (+autumn -summer-week ~purchase), caps (-a-day), tier_ladder"]
    edit(folder, "programme.yaml", lambda said: said["earn_rules"].reverse())
    said.clear()
    await bring_in(folder, channels, said.append)
    assert said == ["points programme: earn_rules (in another order)"]
    assert str(await bring_in(folder, channels)) == "nothing to change"


async def test_what_came_in_is_what_the_services_say(channels: dict[str, grpc.aio.Channel], folder: Path) -> None:
    await bring_in(folder, channels)
    store, people, points = (
        SupportServiceStub(channels["support"]),
        PrivacyServiceStub(channels["privacy"]),
        LoyaltyServiceStub(channels["loyalty"]),
    )
    found = await store.SearchArticles(pb.SearchArticlesRequest(query="500 points"))
    assert found.articles[0].name.endswith("/subscribe-and-get-points")
    hours = await store.GetServiceHours(pb.GetServiceHoursRequest())
    assert (hours.reading, hours.version, len(hours.windows)) == ("eastern_shift", 1, 8)
    policy = await people.GetPolicy(privacy_pb.GetPolicyRequest(name="policies/latest"))
    assert policy.body.startswith("I. COLLECTION OF PERSONAL DATA\n\nIf you are registering")
    programme = await points.GetProgramme(loyalty_pb.GetProgrammeRequest())
    assert (programme.currency, programme.newsletter_bonus) == ("R points", 500)
    reply = await store.ListArticles(pb.ListArticlesRequest(parent="categories/-", page_size=200))
    for article in reply.articles:  # each question finds its own answer
        found = await store.SearchArticles(pb.SearchArticlesRequest(query=article.title))
        assert found.articles[0].name == article.name


async def test_a_change_is_said_before_it_is_made_and_nothing_else_is_touched(
    channels: dict[str, grpc.aio.Channel], folder: Path
) -> None:
    await bring_in(folder, channels)
    edit(folder, "hours.yaml", lambda said: said.update(reading="shanghai_office"))
    edit(folder, "faq.yaml", lambda said: said["categories"][0]["articles"][0].update(title="May I ask?"))
    edit(folder, "programme.yaml", lambda said: said.update(points_per_unit=2))
    said: list[str] = []
    report = await bring_in(folder, channels, said.append)
    assert said == [
        "categories/pre-sales/articles/ask-before-you-buy: title",
        "service hours: reading, time_zone, windows",
        "points programme: points_per_unit",
    ]
    assert str(report) == "3 changes"
    hours = await SupportServiceStub(channels["support"]).GetServiceHours(pb.GetServiceHoursRequest())
    assert (hours.reading, hours.version) == ("shanghai_office", 2)


async def test_an_article_that_was_taken_out_goes(channels: dict[str, grpc.aio.Channel], folder: Path) -> None:
    await bring_in(folder, channels)
    edit(folder, "faq.yaml", lambda said: said["categories"][0]["articles"].pop())
    said: list[str] = []
    await bring_in(folder, channels, said.append)
    assert said == ["categories/pre-sales/articles/service-times: goes"]
    with refused("ARTICLE_NOT_FOUND"):
        name = "categories/pre-sales/articles/service-times"
        await SupportServiceStub(channels["support"]).GetArticle(pb.GetArticleRequest(name=name))


async def test_vouchers_come_and_go_with_their_list_and_the_rules_of_rewards_change(
    channels: dict[str, grpc.aio.Channel], folder: Path
) -> None:
    await bring_in(folder, channels)
    edit(folder, "vouchers.yaml", lambda said: said["offers"].pop())
    edit(folder, "vouchers.yaml", lambda said: said["offers"][0].update(points=900))
    edit(folder, "rewards.yaml", lambda said: said["newsletter"].update(guest_days=14))
    said: list[str] = []
    await bring_in(folder, channels, said.append)
    assert said == ["rules of rewards: newsletter", "voucherOffers/ten-off: points", "voucherOffers/fifty-off: goes"]
    rewards = RewardsServiceStub(channels["loyalty"])
    [offer] = (await rewards.ListVoucherOffers(rewards_pb.ListVoucherOffersRequest())).voucher_offers
    assert (offer.name, offer.points, offer.value.units) == ("voucherOffers/ten-off", 900, 10)
    rules = await rewards.GetRewardRules(rewards_pb.GetRewardRulesRequest())
    assert (rules.newsletter.guest_days, len(rules.limits), rules.version) == (14, 7, 3)


MISTAKES = [
    (
        "vouchers.yaml was refused",
        "vouchers.yaml",
        "offers: [{slug: a, title: A, points: 1, days_valid: 1, value: {}}]",
    ),
    ("points.yaml is no store data", "points.yaml", "a: 1"),
    ("programme.yaml is no YAML", "programme.yaml", "a: ["),
    ("programme.yaml holds no store data", "programme.yaml", "- a"),
    ("programme.yaml does not read as store data", "programme.yaml", "currency: x\nbonus: 5"),
    ("hours.yaml does not read as store data", "hours.yaml", "reading: x"),
    ("programme.yaml was refused", "programme.yaml", "currency: ''"),
    ("programme.time_zone: A zone", "programme.yaml", "currency: x\ntime_zone: Mars/Olympus"),
]


async def test_what_is_no_store_data_is_said_in_a_sentence(
    channels: dict[str, grpc.aio.Channel], tmp_path: Path
) -> None:
    for number, (words, file, text) in enumerate(MISTAKES):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / file).write_text(text, encoding="utf-8")
        with pytest.raises(LocalError, match=words):
            await bring_in(folder, channels)


async def test_a_folder_without_store_data_is_said(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="There is no store data"):
        await bring_in(tmp_path / "nowhere", {})


async def test_clients_come_change_and_go_with_their_list(channels: dict[str, grpc.aio.Channel], folder: Path) -> None:
    await bring_in(folder, channels)

    def change(said: Any) -> None:
        said["clients"][0]["title"] = "Another title"
        said["clients"].append(said["clients"][0] | {"id": "another"})

    edit(folder, "clients.yaml", change)
    said: list[str] = []
    await bring_in(folder, channels, said.append)
    assert said == ["clients/store-app: title", "clients/another: new"]
    edit(folder, "clients.yaml", lambda said: said["clients"].pop())
    said.clear()
    await bring_in(folder, channels, said.append)
    assert said == ["clients/another: goes"]
