"""./rapport apply DIR: brings the store's data in, over the public interfaces, as the operator.

The folder is the truth for what it names: the second time, nothing changes. Each file is a noun: faq.yaml, hours.yaml,
policy.yaml, programme.yaml, rewards.yaml, vouchers.yaml, clients.yaml. retention.yaml is read by every service when it
starts, and is not brought in by anybody.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc
import yaml
from google.api.field_behavior_pb2 import OUTPUT_ONLY, field_behavior
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from rapport.identity.v1 import oauth_pb2 as oauth_pb
from rapport.identity.v1.oauth_pb2_grpc import OAuthServiceStub
from rapport.loyalty.v1 import loyalty_pb2 as loyalty_pb
from rapport.loyalty.v1 import rewards_pb2 as rewards_pb
from rapport.loyalty.v1.loyalty_pb2_grpc import LoyaltyServiceStub
from rapport.loyalty.v1.rewards_pb2_grpc import RewardsServiceStub
from rapport.privacy.v1 import privacy_pb2 as privacy_pb
from rapport.privacy.v1.privacy_pb2_grpc import PrivacyServiceStub
from rapport.support.v1 import support_pb2 as support_pb
from rapport.support.v1.support_pb2_grpc import SupportServiceStub

from chassis.client import channel
from chassis.refusal import refused
from deploy.local.credentials import target
from deploy.local.plan import Plan
from deploy.local.terminal import LocalError

ELSEWHERE = ("retention.yaml",)
ABSENT = ("SERVICE_HOURS_NOT_SET", "POLICY_NOT_FOUND", "PROGRAMME_NOT_SET")
M = TypeVar("M", bound=Message)
Say = Callable[[str], None]
Channels = Mapping[str, grpc.aio.Channel]


@dataclass(frozen=True)
class Change:
    """One thing that differs, and what makes it as the folder says."""

    what: str
    how: str  # "new", "goes", or the fields that differ
    make: Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Report:
    """What was changed, thing by thing."""

    changes: Sequence[str] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.changes:
            return "nothing to change"
        return f"{len(self.changes)} change{'s' if len(self.changes) > 1 else ''}"


def apply(plan: Plan, folder: Path, say: Say = lambda _: None) -> str:
    """Bring `folder` into the running platform; `say` hears what differs, before it is changed."""
    token = plan.state.secret("token-operator").read_text()

    async def go() -> Report:
        async with AsyncExitStack() as stack:
            channels = {}
            for name in ("identity", "support", "privacy", "loyalty"):
                one = channel(target(plan, name), service_token=token, name="operator")
                channels[name] = await stack.enter_async_context(one)
            return await bring_in(folder, channels, say)

    return str(asyncio.run(go()))


async def bring_in(folder: Path, channels: Channels, say: Say = lambda _: None) -> Report:
    """Make the store as `folder` says, over channels that speak as the operator."""
    made: list[str] = []
    for file in files_of(folder):
        try:
            changes = [change async for change in NOUNS[file.name](load(file), channels)]
            for change in changes:
                say(f"{change.what}: {change.how}")
            for change in changes:
                await change.make()
                made.append(change.what)
        except (ParseError, KeyError, TypeError) as problem:
            raise LocalError(f"{file.name} does not read as store data: {problem!r}") from problem
        except grpc.aio.AioRpcError as error:
            raise LocalError(refusal(file, error)) from error
    return Report(made)


def files_of(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise LocalError(f"There is no store data in {folder}: name a folder that holds *.yaml.")
    for file in files:
        if file.name not in (*NOUNS, *ELSEWHERE):
            raise LocalError(f"{file.name} is no store data: known are {', '.join((*NOUNS, *ELSEWHERE))}.")
    return [file for file in files if file.name in NOUNS]


def refusal(file: Path, error: grpc.aio.AioRpcError) -> str:
    said = refused(error)
    mend = "; ".join(f"{one.field}: {one.description}" for one in said.violations)
    return f"{file.name} was refused ({said.reason or said.code.name}): {mend or said.message}"


def load(file: Path) -> dict[str, Any]:
    try:
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise LocalError(f"{file.name} is no YAML: {problem}") from problem
    if not isinstance(said, dict):
        raise LocalError(f"{file.name} holds no store data.")
    return said


# The nouns -----------------------------------------------------------------------------------------------------------


async def faq(said: dict[str, Any], channels: Channels) -> AsyncIterator[Change]:
    support = SupportServiceStub(channels["support"])
    shelves = {one.name: one async for one in all_categories(support)}
    answers = {one.name: one async for one in all_articles(support)}
    for rank, category, articles in categories_of(said):
        category.rank = rank
        request = support_pb.UpdateCategoryRequest(category=category)
        for change in differing(category.name, category, shelves.get(category.name), support.UpdateCategory, request):
            yield change
        for article in articles:
            put = support_pb.UpdateArticleRequest(article=article)
            present = answers.pop(article.name, None)
            for change in differing(article.name, article, present, support.UpdateArticle, put):
                yield change
        for name in [name for name in answers if name.startswith(f"{category.name}/")]:
            gone = support_pb.DeleteArticleRequest(name=answers.pop(name).name)
            yield Change(name, "goes", partial(support.DeleteArticle, gone))


def categories_of(said: dict[str, Any]) -> Iterator[tuple[int, support_pb.Category, list[support_pb.Article]]]:
    for rank, one in enumerate(said["categories"]):
        category = dict(one)
        name, articles = f"categories/{category.pop('slug')}", category.pop("articles")
        yield rank, ParseDict(category | {"name": name}, support_pb.Category()), list(articles_of(name, articles))


def articles_of(category: str, said: Sequence[Mapping[str, Any]]) -> Iterator[support_pb.Article]:
    for rank, one in enumerate(said):
        article = dict(one)
        name = f"{category}/articles/{article.pop('slug')}"
        article |= {"name": name, "rank": rank, "body": unwrapped(article["body"])}
        yield ParseDict(article, support_pb.Article())


async def all_categories(support: SupportServiceStub) -> AsyncIterator[support_pb.Category]:
    request = support_pb.ListCategoriesRequest(page_size=200)
    while True:
        page = await support.ListCategories(request)
        for one in page.categories:
            yield one
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def all_articles(support: SupportServiceStub) -> AsyncIterator[support_pb.Article]:
    request = support_pb.ListArticlesRequest(parent="categories/-", page_size=200)
    while True:
        page = await support.ListArticles(request)
        for one in page.articles:
            yield one
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def hours(said: dict[str, Any], channels: Channels) -> AsyncIterator[Change]:
    support = SupportServiceStub(channels["support"])
    wanted = hours_of(said)
    present = await there(support.GetServiceHours(support_pb.GetServiceHoursRequest()))
    wanted.etag = present.etag if present else ""
    request = support_pb.UpdateServiceHoursRequest(service_hours=wanted)
    for change in differing("service hours", wanted, present, support.UpdateServiceHours, request):
        yield change


def hours_of(said: Mapping[str, Any], reading: str = "") -> support_pb.ServiceHours:
    """The service hours of hours.yaml: by the reading it names, or by another of its presets."""
    reading = reading or said["reading"]
    if reading not in said["presets"]:
        raise LocalError(f"hours.yaml has no preset {reading}: it has {', '.join(said['presets'])}.")
    preset = dict(said["presets"][reading])
    days, spans = preset.pop("days"), preset.pop("windows")
    windows = [window(span, day) for day in days for span in spans]
    overrides = [
        {"date": one["date"], "windows": [window(span, 0) for span in one["windows"]]} for one in said["overrides"]
    ]
    whole = {"reading": reading, "windows": windows, "holidays": said["holidays"], "overrides": overrides}
    return ParseDict(preset | whole, support_pb.ServiceHours())


def window(span: str, weekday: int) -> dict[str, Any]:
    start, _, end = span.partition("-")
    return {"weekday": weekday, "start": start, "end": end}


async def policy(said: dict[str, Any], channels: Channels) -> AsyncIterator[Change]:
    privacy = PrivacyServiceStub(channels["privacy"])
    wanted = ParseDict(said | {"body": said["body"].strip()}, privacy_pb.Policy())
    present = await there(privacy.GetPolicy(privacy_pb.GetPolicyRequest(name="policies/latest")))
    wanted.name = present.name if present else ""
    request = privacy_pb.PublishPolicyRequest(policy=wanted)
    for change in differing("privacy policy", wanted, present, privacy.PublishPolicy, request):
        yield change


async def programme(said: dict[str, Any], channels: Channels) -> AsyncIterator[Change]:
    loyalty = LoyaltyServiceStub(channels["loyalty"])
    wanted = ParseDict(said, loyalty_pb.Programme())
    present = await there(loyalty.GetProgramme(loyalty_pb.GetProgrammeRequest()))
    wanted.etag = present.etag if present else ""
    request = loyalty_pb.UpdateProgrammeRequest(programme=wanted)
    for change in differing("points programme", wanted, present, loyalty.UpdateProgramme, request):
        yield change


async def rewards(said: dict[str, Any], channels: Channels) -> AsyncIterator[Change]:
    loyalty = RewardsServiceStub(channels["loyalty"])
    wanted = ParseDict(said, rewards_pb.RewardRules())
    present = await loyalty.GetRewardRules(rewards_pb.GetRewardRulesRequest())
    wanted.etag = present.etag
    request = rewards_pb.UpdateRewardRulesRequest(reward_rules=wanted)
    for change in differing("rules of rewards", wanted, present, loyalty.UpdateRewardRules, request):
        yield change


async def vouchers(said: dict[str, Any], channels: Channels) -> AsyncIterator[Change]:
    loyalty = RewardsServiceStub(channels["loyalty"])
    offered = {one.name: one async for one in all_offers(loyalty)}
    for one in said["offers"]:
        offer = dict(one)
        name = f"voucherOffers/{offer.pop('slug')}"
        wanted = ParseDict(offer | {"name": name}, rewards_pb.VoucherOffer())
        put = rewards_pb.UpdateVoucherOfferRequest(voucher_offer=wanted)
        present = offered.pop(wanted.name, None)
        for change in differing(wanted.name, wanted, present, loyalty.UpdateVoucherOffer, put):
            yield change
    for name in offered:
        gone = rewards_pb.DeleteVoucherOfferRequest(name=name)
        yield Change(name, "goes", partial(loyalty.DeleteVoucherOffer, gone))


async def all_offers(loyalty: RewardsServiceStub) -> AsyncIterator[rewards_pb.VoucherOffer]:
    request = rewards_pb.ListVoucherOffersRequest(page_size=200)
    while True:
        page = await loyalty.ListVoucherOffers(request)
        for one in page.voucher_offers:
            yield one
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def clients(said: dict[str, Any], channels: Channels) -> AsyncIterator[Change]:
    identity = OAuthServiceStub(channels["identity"])
    known = {one.name: one async for one in all_clients(identity)}
    for one in said["clients"]:
        client = dict(one)
        wanted = ParseDict(client | {"name": f"clients/{client.pop('id')}"}, oauth_pb.Client())
        present = known.pop(wanted.name, None)
        wanted.etag = present.etag if present else ""
        put = oauth_pb.UpdateClientRequest(client=wanted)
        for change in differing(wanted.name, wanted, present, identity.UpdateClient, put):
            yield change
    for name in known:
        yield Change(name, "goes", partial(identity.DeleteClient, oauth_pb.DeleteClientRequest(name=name)))


async def all_clients(identity: OAuthServiceStub) -> AsyncIterator[oauth_pb.Client]:
    request = oauth_pb.ListClientsRequest(page_size=200)
    while True:
        page = await identity.ListClients(request)
        for one in page.clients:
            yield one
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


NOUNS = {
    "clients.yaml": clients,
    "faq.yaml": faq,
    "hours.yaml": hours,
    "policy.yaml": policy,
    "programme.yaml": programme,
    "rewards.yaml": rewards,
    "vouchers.yaml": vouchers,
}


# What differs --------------------------------------------------------------------------------------------------------


def differing(
    what: str, wanted: M, present: M | None, put: Callable[[Any], Awaitable[object]], request: Message
) -> Iterator[Change]:
    """The change that makes `present` as `wanted`, if it takes one."""
    fields = [one for one in wanted.DESCRIPTOR.fields if not is_output(one)]
    if present is None:
        yield Change(what, "new", partial(put, request))
    elif differ := [one for one in fields if getattr(wanted, one.name) != getattr(present, one.name)]:
        yield Change(what, ", ".join(difference(one, wanted, present) for one in differ), partial(put, request))


def difference(field: Any, wanted: Message, present: Message) -> str:
    """A field that differs; of a list of things with an id also which: + comes, - goes, ~ changes."""
    if not field.is_repeated or field.message_type is None or "id" not in field.message_type.fields_by_name:
        return str(field.name)
    after, before = ({one.id: one for one in getattr(side, field.name)} for side in (wanted, present))
    signs = [f"+{one}" for one in after if one not in before] + [f"-{one}" for one in before if one not in after]
    signs += [f"~{one}" for one in after if one in before and after[one] != before[one]]
    return f"{field.name} ({' '.join(signs)})" if signs else f"{field.name} (in another order)"


async def there(answer: Awaitable[M]) -> M | None:
    """What is there, or None where the service says that nothing is yet."""
    try:
        return await answer
    except grpc.aio.AioRpcError as error:
        if refused(error).reason in ABSENT:
            return None
        raise


def is_output(one: Any) -> bool:
    return OUTPUT_ONLY in one.GetOptions().Extensions[field_behavior]


def unwrapped(text: str) -> str:
    """The paragraphs of a text, each in one line: where it breaks is for whoever shows it."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))
