"""Speaks rapport.support.v1 and, for the shop's own systems, rapport.commerce.v1; decides nothing."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict, ParseDict
from google.type.money_pb2 import Money
from rapport.commerce.v1 import commerce_pb2 as commerce
from rapport.commerce.v1.commerce_pb2_grpc import CommerceServiceServicer
from rapport.commerce.v1.events_pb2 import OrderLine
from rapport.support.v1 import support_pb2 as pb
from rapport.support.v1.support_pb2_grpc import SupportServiceServicer
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.access import caller
from chassis.database import Sessions
from chassis.etags import etag_of
from chassis.idempotency import once
from chassis.names import parse, parse_parent
from chassis.pages import Pages
from chassis.personal_data import restrict
from chassis.refusal import SignInNeeded
from chassis.rpc import Context
from chassis.time import Clock, timestamp
from services.support import faq, messages, orders, service_hours, tickets
from services.support.hours import availability, read
from services.support.models import Article, Category, Message, Order, ServiceHoursVersion, Ticket, TicketKind
from services.support.people import People
from services.support.refusals import EventMissing, OrderNotFound

CATEGORY, ARTICLE = "categories/{category:id}", "categories/{category:id}/articles/{article:id}"
ORDER, TICKET = "users/{user}/orders/{order:id}", "users/{user}/tickets/{ticket}"


class Support(SupportServiceServicer):
    """Answers, opening times, orders, and tickets about them."""

    def __init__(self, sessions: Sessions, clock: Clock, pages: Pages, people: People) -> None:
        self.sessions, self.clock, self.pages, self.people = sessions, clock, pages, people

    async def known_numbers(self, request: Any) -> Sequence[str]:
        """Of the customer whom a request is about, whoever writes: numbers that are no cards."""
        parent = getattr(request, "parent", "")
        customer = parse("users/{user}", "/".join(parent.split("/")[:2])) if parent else caller().user
        if customer is None:
            return ()
        async with self.sessions() as session:
            return await orders.numbers_of(session, customer)

    # The FAQ

    async def ListCategories(self, request: pb.ListCategoriesRequest, context: Context) -> pb.ListCategoriesResponse:
        page = self.pages.of(request)
        async with self.sessions() as session:
            rows = await faq.categories(session, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda category: (category.rank, category.slug))
        return pb.ListCategoriesResponse(categories=map(category_message, shown), next_page_token=token)

    async def UpdateCategory(self, request: pb.UpdateCategoryRequest, context: Context) -> pb.Category:
        said = request.category
        async with self.sessions.begin() as session:
            slug = parse(CATEGORY, said.name)
            return category_message(await faq.put_category(session, slug=slug, title=said.title, rank=said.rank))

    async def ListArticles(self, request: pb.ListArticlesRequest, context: Context) -> pb.ListArticlesResponse:
        page, category = self.pages.of(request), parse_parent(CATEGORY, request.parent)
        async with self.sessions() as session:
            rows = await faq.articles(session, category, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda row: (row[1].rank, row[1].slug, row[0].rank, row[0].slug))
        return pb.ListArticlesResponse(
            articles=[article_message(article) for article, _ in shown], next_page_token=token
        )

    async def GetArticle(self, request: pb.GetArticleRequest, context: Context) -> pb.Article:
        async with self.sessions() as session:
            return article_message(await faq.article(session, *parse(ARTICLE, request.name)))

    async def SearchArticles(self, request: pb.SearchArticlesRequest, context: Context) -> pb.SearchArticlesResponse:
        page = self.pages.of(request, default=10, most=50)
        async with self.sessions() as session:
            rows = await faq.search(session, request.query, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda row: (row[1], row[0].category_slug, row[0].slug))
        return pb.SearchArticlesResponse(
            articles=[article_message(article) for article, _ in shown], next_page_token=token
        )

    async def UpdateArticle(self, request: pb.UpdateArticleRequest, context: Context) -> pb.Article:
        said = request.article
        category, slug = parse(ARTICLE, said.name)
        async with self.sessions.begin() as session:
            article = await faq.put_article(
                session,
                category=category,
                slug=slug,
                title=said.title,
                body=said.body,
                keywords=list(said.keywords),
                rank=said.rank,
                now=self.clock(),
            )
            return article_message(article)

    async def DeleteArticle(self, request: pb.DeleteArticleRequest, context: Context) -> Empty:
        async with self.sessions.begin() as session:
            await faq.delete_article(session, *parse(ARTICLE, request.name))
        return Empty()

    # Opening times

    async def GetAvailability(self, request: pb.GetAvailabilityRequest, context: Context) -> pb.Availability:
        now = self.clock()
        async with self.sessions() as session:
            hours = read((await service_hours.latest(session)).said)
        online, opens, closes = availability(hours, now)
        return pb.Availability(
            online=online,
            next_open_time=timestamp(opens) if opens else None,
            next_close_time=timestamp(closes) if closes else None,
            as_of_time=timestamp(now),
            time_zone=hours.time_zone,
        )

    async def GetServiceHours(self, request: pb.GetServiceHoursRequest, context: Context) -> pb.ServiceHours:
        async with self.sessions() as session:
            return hours_message(await service_hours.latest(session))

    async def UpdateServiceHours(self, request: pb.UpdateServiceHoursRequest, context: Context) -> pb.ServiceHours:
        said = MessageToDict(request.service_hours, preserving_proto_field_name=True)
        etag = said.pop("etag", "")
        async with self.sessions.begin() as session:
            return hours_message(await service_hours.replace(session, said=said, etag=etag, now=self.clock()))

    # Orders

    async def ListOrders(self, request: pb.ListOrdersRequest, context: Context) -> pb.ListOrdersResponse:
        page, user = self.pages.of(request), parse("users/{user}", request.parent)
        async with self.sessions() as session:
            await keep_off_restricted(session, user)
            rows = await orders.of(session, user, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda order: (order.place_time, order.number))
        return pb.ListOrdersResponse(orders=map(order_message, shown), next_page_token=token)

    async def GetOrder(self, request: pb.GetOrderRequest, context: Context) -> pb.Order:
        user, number = parse(ORDER, request.name)
        async with self.sessions() as session:
            await keep_off_restricted(session, user)
            return order_message(await orders.get(session, user, number))

    # Tickets

    async def CreateTicket(self, request: pb.CreateTicketRequest, context: Context) -> pb.Ticket:
        customer, said = parse("users/{user}", request.parent), request.ticket
        owner, order = parse(ORDER, said.order)
        if owner != customer:
            raise OrderNotFound("There is no such order of this customer.")
        name = await self.people.name_if_known(customer)
        async with once(self.sessions, request, now=self.clock()) as call:
            if call.is_repeat:
                _, ticket_id = parse(TICKET, call.name)
            else:
                ticket = await tickets.submit(
                    call.session,
                    customer=customer,
                    order=order,
                    kind=TicketKind(said.kind),
                    title=said.title,
                    body=said.body,
                    author_name=name,
                    now=self.clock(),
                )
                call.name, ticket_id = ticket.name, ticket.id
            return ticket_message(*await tickets.get(call.session, customer, ticket_id))

    async def GetTicket(self, request: pb.GetTicketRequest, context: Context) -> pb.Ticket:
        customer, ticket_id = parse(TICKET, request.name)
        async with self.sessions() as session:
            await keep_off_restricted(session, customer)
            return ticket_message(*await tickets.get(session, customer, ticket_id))

    async def ListTickets(self, request: pb.ListTicketsRequest, context: Context) -> pb.ListTicketsResponse:
        page, customer = self.pages.of(request), parse_parent("users/{user}", request.parent)
        async with self.sessions() as session:
            if customer is not None:
                await keep_off_restricted(session, customer)
            rows = await tickets.latest(session, customer, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda row: (row[0].update_time, row[0].id))
        return pb.ListTicketsResponse(tickets=[ticket_message(*row) for row in shown], next_page_token=token)

    async def SolveTicket(self, request: pb.SolveTicketRequest, context: Context) -> pb.Ticket:
        customer, ticket_id = parse(TICKET, request.name)
        async with self.sessions.begin() as session:
            await keep_off_restricted(session, customer)
            await tickets.solve(session, customer, ticket_id, etag=request.etag, now=self.clock())
            return ticket_message(*await tickets.get(session, customer, ticket_id))

    async def CreateMessage(self, request: pb.CreateMessageRequest, context: Context) -> pb.Message:
        customer, ticket_id = parse(TICKET, request.parent)
        author = who_speaks()
        name = await self.people.name_if_known(author)
        async with once(self.sessions, request, now=self.clock()) as call:
            await keep_off_restricted(call.session, customer)
            if call.is_repeat:
                *_, said = parse(f"{TICKET}/messages/{{message}}", call.name)
                return message_message(await messages.get(call.session, said))
            message = await tickets.reply(
                call.session,
                customer,
                ticket_id,
                author=author,
                body=request.message.body,
                author_name=name,
                now=self.clock(),
            )
            call.name = message.name
        return message_message(message)

    async def ListMessages(self, request: pb.ListMessagesRequest, context: Context) -> pb.ListMessagesResponse:
        page, (customer, ticket_id) = self.pages.of(request), parse(TICKET, request.parent)
        async with self.sessions() as session:
            await keep_off_restricted(session, customer)
            ticket, _ = await tickets.get(session, customer, ticket_id)
            rows = await messages.of(session, ticket.id, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda message: (message.number,))
        return pb.ListMessagesResponse(messages=map(message_message, shown), next_page_token=token)


class Commerce(CommerceServiceServicer):
    """The door for the shop's own systems."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self.sessions, self.clock = sessions, clock

    async def StateOrderEvent(
        self, request: commerce.StateOrderEventRequest, context: Context
    ) -> commerce.StateOrderEventResponse:
        kind = request.WhichOneof("event")
        if kind is None:
            raise EventMissing("Send one event: placed, paid, shipped, refunded or cancelled.")
        async with once(self.sessions, request, now=self.clock()) as call:
            if not call.is_repeat:
                await orders.state(call.session, getattr(request, kind), now=self.clock())
        return commerce.StateOrderEventResponse()


def who_speaks() -> UUID:
    user = caller().user
    if user is None:
        raise SignInNeeded("Sign in first: words are somebody's.")
    return user


async def keep_off_restricted(session: AsyncSession, customer: UUID) -> None:
    """Customers may always work with what is theirs; others not while its processing is restricted."""
    if caller().user != customer:
        await restrict.refuse(session, customer)


# Rows as the contract says them --------------------------------------------------------------------------------------


def category_message(category: Category) -> pb.Category:
    return pb.Category(name=category.name, title=category.title, rank=category.rank)


def article_message(article: Article) -> pb.Article:
    return pb.Article(
        name=article.name,
        title=article.title,
        body=article.body,
        keywords=article.keywords,
        rank=article.rank,
        update_time=timestamp(article.update_time),
    )


def hours_message(version: ServiceHoursVersion) -> pb.ServiceHours:
    message = ParseDict(version.said, pb.ServiceHours(), ignore_unknown_fields=True)
    message.version, message.etag = version.version, etag_of(version.version, service_hours.NAME)
    return message


def order_message(order: Order) -> pb.Order:
    return pb.Order(
        name=order.name,
        state=pb.Order.State.ValueType(order.state.value),
        lines=[OrderLine(**line) for line in order.lines],
        total=money(order.currency, order.total),
        refunded=money(order.currency, order.refunded),
        place_time=timestamp(order.place_time),
        update_time=timestamp(order.update_time),
        tracking_numbers=order.tracking_numbers,
    )


def money(currency: str, amount: Decimal) -> Money:
    units = int(amount)
    return Money(currency_code=currency, units=units, nanos=int((amount - units) * 1_000_000_000))


def ticket_message(ticket: Ticket, first: Message) -> pb.Ticket:
    return pb.Ticket(
        name=ticket.name,
        order=f"users/{ticket.customer_id}/orders/{ticket.order_number}",
        kind=pb.Ticket.Kind.ValueType(ticket.kind.value),
        title=ticket.title or "",
        body=first.body or "",
        state=pb.Ticket.State.ValueType(ticket.state.value),
        create_time=timestamp(ticket.create_time),
        update_time=timestamp(ticket.update_time),
        etag=etag_of(ticket.version, ticket.id),
    )


def message_message(message: Message) -> pb.Message:
    return pb.Message(
        name=message.name,
        body=message.body or "",
        side=pb.Message.Side.ValueType(message.side.value),
        author_name=message.author_name or "",
        create_time=timestamp(message.create_time),
    )
