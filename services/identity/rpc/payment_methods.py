"""How people pay."""

from collections.abc import Collection
from datetime import datetime

from google.protobuf.empty_pb2 import Empty
from rapport.identity.v1 import payment_methods_pb2 as pb
from rapport.identity.v1.payment_methods_pb2_grpc import PaymentMethodsServiceServicer

from chassis.database import Sessions
from chassis.idempotency import once
from chassis.names import parse
from chassis.pages import Pages
from chassis.rpc import Context
from chassis.sealing import Sealer
from chassis.time import Clock, timestamp
from services.identity import payment_methods
from services.identity.models import CardBrand, PaymentMethod
from services.identity.payment_methods import Card

USER, METHOD = "users/{user}", "users/{user}/paymentMethods/{payment_method}"


class PaymentMethods(PaymentMethodsServiceServicer):
    """What people pay with, and the tokens that the shop charges by."""

    def __init__(
        self,
        sessions: Sessions,
        clock: Clock,
        pages: Pages,
        sealer: Sealer,
        providers: Collection[str],
        public_url: str,
    ) -> None:
        self.sessions, self.clock, self.pages = sessions, clock, pages
        self.sealer, self.providers, self.public_url = sealer, providers, public_url

    async def CreatePaymentMethod(self, request: pb.CreatePaymentMethodRequest, context: Context) -> pb.PaymentMethod:
        user, told, now = parse(USER, request.parent), request.payment_method, self.clock()
        async with once(self.sessions, request, now=now) as call:
            if call.is_repeat:
                return method_message(await payment_methods.get(call.session, *parse(METHOD, call.name)), now)
            added = await payment_methods.add(
                call.session,
                user,
                provider=told.provider,
                token=request.provider_token,
                card=card_in(told, now),
                providers=self.providers,
                sealer=self.sealer,
                public_url=self.public_url,
                now=now,
            )
            call.name = added.name
        return method_message(added, now)

    async def ListPaymentMethods(
        self, request: pb.ListPaymentMethodsRequest, context: Context
    ) -> pb.ListPaymentMethodsResponse:
        page, user, now = self.pages.of(request), parse(USER, request.parent), self.clock()
        async with self.sessions() as session:
            rows = await payment_methods.of(session, user, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda one: (one.create_time, one.id))
        told = [method_message(one, now) for one in shown]
        return pb.ListPaymentMethodsResponse(payment_methods=told, next_page_token=token)

    async def DeletePaymentMethod(self, request: pb.DeletePaymentMethodRequest, context: Context) -> Empty:
        user, one = parse(METHOD, request.name)
        async with self.sessions.begin() as session:
            await payment_methods.remove(session, user, one, public_url=self.public_url, now=self.clock())
        return Empty()

    async def GetPaymentToken(self, request: pb.GetPaymentTokenRequest, context: Context) -> pb.PaymentToken:
        user, one = parse(METHOD, request.name)
        async with self.sessions.begin() as session:
            provider, token = await payment_methods.token_of(session, user, one, sealer=self.sealer)
        return pb.PaymentToken(provider=provider, provider_token=token)


def card_in(told: pb.PaymentMethod, now: datetime) -> Card | None:
    return payment_methods.card_told(
        is_card=told.kind == pb.PaymentMethod.CARD,
        brand=CardBrand(pb.PaymentMethod.Brand.Name(told.brand)) if told.brand else None,
        last_four=told.last_four,
        expire_month=told.expire_month,
        expire_year=told.expire_year,
        now=now,
    )


def method_message(method: PaymentMethod, now: datetime) -> pb.PaymentMethod:
    said = pb.PaymentMethod(
        name=method.name,
        provider=method.provider,
        kind=pb.PaymentMethod.Kind.Value(method.kind.value),
        state=pb.PaymentMethod.EXPIRED if payment_methods.is_over(method, now) else pb.PaymentMethod.ACTIVE,
        create_time=timestamp(method.create_time),
    )
    if method.brand:
        said.brand = pb.PaymentMethod.Brand.Value(method.brand.value)
        said.last_four = method.last_four or ""
        said.expire_month, said.expire_year = method.expire_month or 0, method.expire_year or 0
    return said
