"""Vouchers, referrals, reviews, and their rules."""

import re
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from google.protobuf.empty_pb2 import Empty
from google.type.money_pb2 import Money
from rapport.loyalty.v1 import rewards_pb2 as pb
from rapport.loyalty.v1.rewards_pb2_grpc import RewardsServiceServicer

from chassis.access import caller
from chassis.database import Sessions
from chassis.idempotency import once
from chassis.names import parse
from chassis.pages import Pages
from chassis.refusal import InvalidField, Refusal, Violation
from chassis.rpc import Context
from chassis.time import Clock, moment, timestamp
from services.loyalty import bonus, referrals, reviews, rewards, vouchers
from services.loyalty.keys import Keys
from services.loyalty.models import (
    Action,
    Dimension,
    Referral,
    Review,
    ReviewState,
    Verdict,
    Voucher,
    VoucherOffer,
)
from services.loyalty.people import People
from services.loyalty.refusals import ReferralCodeUnknown
from services.loyalty.rewards import Limit, Rules
from services.loyalty.rpc.counter import not_restricted
from services.loyalty.rpc.messages import optional

OFFER, VOUCHER = "voucherOffers/{offer:id}", "users/{user}/vouchers/{voucher}"
REVIEW = "reviews/{review}"
CURRENCY = re.compile("[A-Z]{3}")
NANO = Decimal("1e-9")
GROUP = 5  # characters of a code that are written together


class Rewards(RewardsServiceServicer):
    """What points buy, what bringing a friend earns, and what keeps both from being abused."""

    def __init__(self, sessions: Sessions, clock: Clock, pages: Pages, people: People, keys: Keys) -> None:
        self.sessions, self.clock, self.pages, self.people, self.keys = sessions, clock, pages, people, keys

    # Vouchers

    async def ListVoucherOffers(
        self, request: pb.ListVoucherOffersRequest, context: Context
    ) -> pb.ListVoucherOffersResponse:
        page = self.pages.of(request)
        async with self.sessions() as session:
            rows = await vouchers.offers(session, after=page.cursor[0] if page.cursor else None, limit=page.reach)
        shown, token = page.cut(rows, lambda offer: (offer.slug,))
        return pb.ListVoucherOffersResponse(voucher_offers=map(offer_message, shown), next_page_token=token)

    async def UpdateVoucherOffer(self, request: pb.UpdateVoucherOfferRequest, context: Context) -> pb.VoucherOffer:
        offered = offer_of(request.voucher_offer)
        async with self.sessions.begin() as session:
            return offer_message(await vouchers.put_offer(session, offered))

    async def DeleteVoucherOffer(self, request: pb.DeleteVoucherOfferRequest, context: Context) -> Empty:
        async with self.sessions.begin() as session:
            await vouchers.delete_offer(session, parse(OFFER, request.name))
        return Empty()

    async def CreateVoucher(self, request: pb.CreateVoucherRequest, context: Context) -> pb.Voucher:
        user, slug, now = parse("users/{user}", request.parent), parse(OFFER, request.voucher_offer), self.clock()
        async with once(self.sessions, request, now=now) as call:
            if call.is_repeat:
                voucher = await vouchers.get(call.session, *parse(VOUCHER, call.name))
            else:
                voucher = await vouchers.buy(
                    call.session, user=user, slug=slug, request_id=request.request_id, now=now
                )  # fmt: skip
                call.name = name_of(voucher)
        return voucher_message(voucher, now=now)

    async def ListVouchers(self, request: pb.ListVouchersRequest, context: Context) -> pb.ListVouchersResponse:
        page, user, now = self.pages.of(request), parse("users/{user}", request.parent), self.clock()
        async with self.sessions() as session:
            await not_restricted(session, user)
            rows = await vouchers.of(session, user, before=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda voucher: (voucher.create_time, voucher.id))
        is_own = caller().user == user and not caller().actor  # a code is money: not for who acts for somebody
        told = [voucher_message(one, now=now, with_code=is_own) for one in shown]
        return pb.ListVouchersResponse(vouchers=told, next_page_token=token)

    async def LookUpVoucher(self, request: pb.LookUpVoucherRequest, context: Context) -> pb.Voucher:
        async with self.sessions() as session:
            voucher = await vouchers.by_code(session, request.code)
            await not_restricted(session, voucher.user_id)
        return voucher_message(voucher, now=self.clock())

    async def UseVoucher(self, request: pb.UseVoucherRequest, context: Context) -> pb.Voucher:
        now = self.clock()
        async with once(self.sessions, request, now=now) as call:
            if call.is_repeat:
                voucher = await vouchers.get(call.session, *parse(VOUCHER, call.name))
            else:
                voucher = await vouchers.use(call.session, request.code, now=now)
                await not_restricted(call.session, voucher.user_id)
                call.name = name_of(voucher)
        return voucher_message(voucher, now=now)

    async def VoidVoucher(self, request: pb.VoidVoucherRequest, context: Context) -> pb.Voucher:
        (user, voucher_id), now = parse(VOUCHER, request.name), self.clock()
        async with once(self.sessions, request, now=now) as call:
            await not_restricted(call.session, user)
            if call.is_repeat:
                voucher = await vouchers.get(call.session, user, voucher_id)
            else:
                voucher = await vouchers.void(call.session, user, voucher_id, now=now)
                call.name = name_of(voucher)
        return voucher_message(voucher, now=now, with_code=False)

    # Referrals

    async def GetReferralCode(self, request: pb.GetReferralCodeRequest, context: Context) -> pb.ReferralCode:
        user = parse("users/{user}/referralCode", request.name)
        async with self.sessions.begin() as session:
            code = await referrals.code_of(session, user)
        return pb.ReferralCode(name=request.name, code=code)

    async def ClaimReferral(self, request: pb.ClaimReferralRequest, context: Context) -> pb.Referral:
        user, now = parse("users/{user}", request.parent), self.clock()
        async with once(self.sessions, request, now=now) as call:
            if call.is_repeat:
                claimed: Referral | Refusal = await referrals.of(call.session, user)
            else:
                new = await self.person(user)
                by = await self.person(await referrals.whose(call.session, request.code))
                claimed = await referrals.claim(call.session, new=new, by=by, keys=self.keys, now=now)
        if isinstance(claimed, Refusal):
            raise claimed
        return referral_message(user, claimed)

    async def person(self, user: UUID) -> referrals.Person:
        known = await self.people.known(user)
        if known is None:
            raise ReferralCodeUnknown("Nobody has that code.")
        return referrals.Person(user, known)

    # Reviews

    async def ListReviews(self, request: pb.ListReviewsRequest, context: Context) -> pb.ListReviewsResponse:
        page = self.pages.of(request)
        state = ReviewState(pb.Review.State.Name(request.state)) if request.state else None
        async with self.sessions() as session:
            rows = await reviews.reviews(session, state, before=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda row: (row[0].create_time, row[0].id))
        return pb.ListReviewsResponse(reviews=[review_message(*row) for row in shown], next_page_token=token)

    async def ApproveReview(self, request: pb.ApproveReviewRequest, context: Context) -> pb.Review:
        return await self.decided(request, ReviewState.APPROVED)

    async def RefuseReview(self, request: pb.RefuseReviewRequest, context: Context) -> pb.Review:
        return await self.decided(request, ReviewState.REFUSED)

    async def decided(self, request: pb.ApproveReviewRequest | pb.RefuseReviewRequest, state: ReviewState) -> pb.Review:
        review, now = parse(REVIEW, request.name), self.clock()
        async with once(self.sessions, request, now=now) as call:
            if call.is_repeat:
                found = await reviews.get(call.session, review)
            else:
                found = await reviews.decide(call.session, review, state, now=now)
        return review_message(*found)

    # Rules

    async def GetRewardRules(self, request: pb.GetRewardRulesRequest, context: Context) -> pb.RewardRules:
        async with self.sessions() as session:
            return rules_message(await rewards.latest(session))

    async def UpdateRewardRules(self, request: pb.UpdateRewardRulesRequest, context: Context) -> pb.RewardRules:
        wanted = request.reward_rules
        async with self.sessions.begin() as session:
            replaced = await rewards.replace(
                session, rules_of(wanted), campaign=bonus.CAMPAIGN, etag=wanted.etag, now=self.clock()
            )
        return rules_message(replaced)


# What the contract says, and what is kept ----------------------------------------------------------------------------


def offer_of(said: pb.VoucherOffer) -> vouchers.Offered:
    value = said.value.units + said.value.nanos * NANO
    if not CURRENCY.fullmatch(said.value.currency_code) or value <= 0 or not 0 <= said.value.nanos < 1_000_000_000:
        wrong = Violation("voucher_offer.value", "OUT_OF_RANGE", "A currency (ISO 4217), and more than nothing of it.")
        raise InvalidField("A voucher is worth something.", violations=[wrong])
    return vouchers.Offered(
        slug=parse(OFFER, said.name),
        title=said.title,
        points=said.points,
        currency=said.value.currency_code,
        value=value,
        days_valid=said.days_valid,
        stock=said.stock,
    )


def offer_message(offer: VoucherOffer) -> pb.VoucherOffer:
    return pb.VoucherOffer(
        name=f"voucherOffers/{offer.slug}",
        title=offer.title,
        points=offer.points,
        value=money(offer.value, offer.currency),
        days_valid=offer.days_valid,
        stock=offer.stock,
        sold=offer.sold,
    )


def voucher_message(voucher: Voucher, *, now: datetime, with_code: bool = True) -> pb.Voucher:
    code = voucher.code if with_code else ""
    return pb.Voucher(
        name=name_of(voucher),
        state=pb.Voucher.State.Value(vouchers.state_of(voucher, now)),
        code="-".join(code[place : place + GROUP] for place in range(0, len(code), GROUP)),
        title=voucher.title,
        value=money(voucher.value, voucher.currency),
        points=voucher.points,
        create_time=timestamp(voucher.create_time),
        expire_time=timestamp(voucher.expire_time),
        end_time=optional(voucher.end_time),
        movement=f"users/{voucher.user_id}/pointsAccount/movements/{voucher.operation_id}",
    )


def name_of(voucher: Voucher) -> str:
    return f"users/{voucher.user_id}/vouchers/{voucher.id}"


def money(amount: Decimal, currency: str) -> Money:
    units = int(amount)
    return Money(currency_code=currency, units=units, nanos=int((amount - units) / NANO))


def referral_message(user: UUID, referral: Referral) -> pb.Referral:
    return pb.Referral(
        name=f"users/{user}/referral",
        state=pb.Referral.State.Value(referral.state.value),
        points=referral.points,
        create_time=timestamp(referral.create_time),
    )


def review_message(review: Review, user: UUID | None) -> pb.Review:
    return pb.Review(
        name=f"reviews/{review.id}",
        action=pb.Action.Value(review.action.value),
        verdict=pb.Verdict.Value(review.verdict.value),
        state=pb.Review.State.Value(review.state.value),
        dimension=pb.Dimension.Value(review.dimension.value),
        counted=review.counted,
        most=review.most,
        window_hours=review.window_hours,
        create_time=timestamp(review.create_time),
        decide_time=optional(review.decide_time),
        user=f"users/{user}" if user else "",
    )


def rules_of(said: pb.RewardRules) -> Rules:
    limits = tuple(
        Limit(
            Action(pb.Action.Name(one.action)),
            Dimension(pb.Dimension.Name(one.dimension)),
            one.window_hours,
            one.most,
            Verdict(pb.Verdict.Name(one.beyond)),
        )
        for one in said.limits
    )
    return Rules(
        referrer_points=said.referrals.referrer_points,
        referred_points=said.referrals.referred_points,
        claim_days=said.referrals.claim_days,
        return_days=said.referrals.return_days,
        guest_days=said.newsletter.guest_days,
        mark_months=said.newsletter.mark_months,
        end_time=moment(said.newsletter.end_time) if said.newsletter.HasField("end_time") else None,
        limits=limits,
    )


def rules_message(rules: Rules) -> pb.RewardRules:
    return pb.RewardRules(
        referrals=pb.RewardRules.Referrals(
            referrer_points=rules.referrer_points,
            referred_points=rules.referred_points,
            claim_days=rules.claim_days,
            return_days=rules.return_days,
        ),
        newsletter=pb.RewardRules.Newsletter(
            guest_days=rules.guest_days, mark_months=rules.mark_months, end_time=optional(rules.end_time)
        ),
        limits=[
            pb.VelocityLimit(
                action=pb.Action.Value(one.action.value),
                dimension=pb.Dimension.Value(one.dimension.value),
                window_hours=one.window_hours,
                most=one.most,
                beyond=pb.Verdict.Value(one.beyond.value),
            )
            for one in rules.limits
        ],
        version=rules.version,
        etag=rewards.etag(rules),
    )
