"""What a customer, the shop and an admin ask of rewards."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from google.type.money_pb2 import Money
from rapport.loyalty.v1 import rewards_pb2 as pb
from rapport.loyalty.v1.loyalty_pb2 import GetPointsAccountRequest
from rapport.loyalty.v1.rewards_pb2_grpc import RewardsServiceStub

from chassis.time import timestamp
from tests.loyalty.conftest import OPERATOR, World
from tests.world import as_service

SHOP = as_service("shop")
ADMIN = uuid4()


def rewards_of(world: World) -> RewardsServiceStub:
    return RewardsServiceStub(world.channel)


def limit(
    action: "pb.Action.ValueType", dimension: "pb.Dimension.ValueType", most: int, beyond: "pb.Verdict.ValueType",
    hours: int = 24,
) -> pb.VelocityLimit:  # fmt: skip
    return pb.VelocityLimit(action=action, dimension=dimension, window_hours=hours, most=most, beyond=beyond)


async def set_reward_rules(
    world: World, *limits: pb.VelocityLimit, end: datetime | None = None, guest_days: int = 30, mark_months: int = 24,
    **referrals: int,
) -> pb.RewardRules:  # fmt: skip
    rules = pb.RewardRules(
        referrals=pb.RewardRules.Referrals(**referrals),
        newsletter=pb.RewardRules.Newsletter(
            guest_days=guest_days, mark_months=mark_months, end_time=timestamp(end) if end else None
        ),
        limits=limits,
    )
    request = pb.UpdateRewardRulesRequest(reward_rules=rules)
    return await rewards_of(world).UpdateRewardRules(request, metadata=OPERATOR)


@dataclass
class Shopper:
    """A customer."""

    world: World
    user: UUID

    @classmethod
    def of(cls, world: World, email: str = "") -> "Shopper":
        return cls(world, world.person(email))

    @property
    def name(self) -> str:
        return f"users/{self.user}"

    async def buy(self, offer: str = "ten-off", key: str = "") -> pb.Voucher:
        request = pb.CreateVoucherRequest(
            parent=self.name, voucher_offer=f"voucherOffers/{offer}", request_id=key or str(uuid4())
        )
        return await rewards_of(self.world).CreateVoucher(request, metadata=self.world.as_(self.user))

    async def vouchers(self, metadata: Any = None, **paging: Any) -> pb.ListVouchersResponse:
        request = pb.ListVouchersRequest(parent=self.name, **paging)
        return await rewards_of(self.world).ListVouchers(request, metadata=metadata or self.world.as_(self.user))

    async def code(self) -> str:
        request = pb.GetReferralCodeRequest(name=f"{self.name}/referralCode")
        return (await rewards_of(self.world).GetReferralCode(request, metadata=self.world.as_(self.user))).code

    async def claim(self, code: str, key: str = "") -> pb.Referral:
        request = pb.ClaimReferralRequest(parent=self.name, code=code, request_id=key or str(uuid4()))
        return await rewards_of(self.world).ClaimReferral(request, metadata=self.world.as_(self.user))

    async def wallet(self) -> tuple[int, int, int]:
        """What is available, what waits, and what is owed."""
        request = GetPointsAccountRequest(name=f"{self.name}/pointsAccount")
        told = await self.world.stub.GetPointsAccount(request, metadata=self.world.as_(self.user))
        return told.available, told.pending, told.arrears


async def put_offer(
    world: World, slug: str = "ten-off", points: int = 100, days: int = 30, stock: int = 0
) -> pb.VoucherOffer:
    offer = pb.VoucherOffer(
        name=f"voucherOffers/{slug}",
        title="10.00 off",
        points=points,
        value=Money(currency_code="EUR", units=10),
        days_valid=days,
        stock=stock,
    )
    request = pb.UpdateVoucherOfferRequest(voucher_offer=offer)
    return await rewards_of(world).UpdateVoucherOffer(request, metadata=OPERATOR)


async def look_up(world: World, code: str) -> pb.Voucher:
    return await rewards_of(world).LookUpVoucher(pb.LookUpVoucherRequest(code=code), metadata=SHOP)


async def use(world: World, code: str, key: str = "") -> pb.Voucher:
    request = pb.UseVoucherRequest(code=code, request_id=key or str(uuid4()))
    return await rewards_of(world).UseVoucher(request, metadata=SHOP)


async def void(world: World, voucher: str, key: str = "") -> pb.Voucher:
    request = pb.VoidVoucherRequest(name=voucher, request_id=key or str(uuid4()))
    return await rewards_of(world).VoidVoucher(request, metadata=SHOP)


async def reviews(world: World, **filters: Any) -> list[pb.Review]:
    request = pb.ListReviewsRequest(**filters)
    return list((await rewards_of(world).ListReviews(request, metadata=admin(world))).reviews)


async def approve(world: World, review: str, key: str = "") -> pb.Review:
    request = pb.ApproveReviewRequest(name=review, request_id=key or str(uuid4()))
    return await rewards_of(world).ApproveReview(request, metadata=admin(world))


async def refuse(world: World, review: str, key: str = "") -> pb.Review:
    request = pb.RefuseReviewRequest(name=review, request_id=key or str(uuid4()))
    return await rewards_of(world).RefuseReview(request, metadata=admin(world))


def admin(world: World) -> Any:
    return world.as_(ADMIN, "admin")
