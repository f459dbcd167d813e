"""What people look at: the help centre, the pages our mails lead to, and the description of the API.

The pages are clients of the public API like any other; the server only lays out what must be there without scripts.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import grpc
import orjson
import structlog
from jinja2 import Environment, FileSystemLoader, select_autoescape
from rapport.identity.v1 import identity_pb2 as identity
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceStub
from rapport.loyalty.v1 import loyalty_pb2 as loyalty
from rapport.loyalty.v1.loyalty_pb2_grpc import LoyaltyServiceStub
from rapport.support.v1 import support_pb2 as support
from rapport.support.v1.support_pb2_grpc import SupportServiceStub

from chassis.refusal import refused
from gateway.contracts import reasons
from gateway.docs import grouped
from gateway.forms import form_cookie, hidden_fields, set_form
from gateway.http import Handler, Headers, Request, Response
from gateway.kept import Kept, Shelf
from gateway.providers import Providers, origins
from gateway.sessions import COOKIE, LINKED

WEB = Path(__file__).parent / "web"
# Nothing but our own scripts and styles runs, and nothing is sent anywhere else.
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
POLICY_NAME = b"content-security-policy"
HEADERS: Headers = [
    (b"content-type", b"text/html; charset=utf-8"),
    (POLICY_NAME, POLICY),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
LONGEST_QUERY = 200
# What such a page is headed with, and what it says before anybody is signed in.
DESKS = {
    "trade": (
        "Trade with us",
        "For wholesalers, dropshippers and affiliates: tell us about your business, and show us that it exists.",
        "Somebody of ours looks at it and mails you what we decided.",
    ),
    "review": ("Applications",),
    "join": ("Join a business",),
}
Captured = MutableMapping[str, str]
log = structlog.get_logger()


class Pages:
    """Every page, laid out from templates."""

    def __init__(
        self,
        support: SupportServiceStub,
        loyalty: LoyaltyServiceStub,
        identity: IdentityServiceStub,
        providers: Providers,
        description: Mapping[str, Any],
        *,
        store: str,
        mailbox: str,
    ) -> None:
        self.support, self.loyalty, self.identity, self.providers = support, loyalty, identity, providers
        self.templates = Environment(
            loader=FileSystemLoader(WEB / "templates"), autoescape=select_autoescape(), trim_blocks=True
        )
        self.templates.globals.update(store=store, mailbox=mailbox)
        json = [(b"content-type", b"application/json")]
        self.openapi = Kept(orjson.dumps(description, option=orjson.OPT_INDENT_2), json)
        self.docs = Kept(self.rendered("docs.html", groups=grouped(description)), HEADERS)
        self.problems = Kept(self.rendered("problems.html", groups=advice_by_package()), HEADERS)
        self.static = Shelf(WEB / "static")

    def endpoints(self) -> Iterator[tuple[str, str, Handler]]:
        yield "GET", "/", self.home
        yield "GET", "/register", self.register
        yield "GET", "/forgot", self.forgot
        yield "POST", "/forgot", self.begin_recovery
        yield "GET", "/recover", self.recover
        yield "GET", "/confirm-email", self.confirm_email
        yield "GET", "/confirm", self.confirm
        yield "GET", "/sign-in", self.sign_in
        yield "GET", "/my-data", self.my_data
        for path in DESKS:
            yield "GET", f"/{path}", self.desk(path)
        yield "GET", "/unsubscribe/{token}", self.unsubscribe_page
        yield "POST", "/unsubscribe/{token}", self.unsubscribe
        yield "GET", "/docs", self.docs.answer
        yield "GET", "/problems", self.problems.answer
        yield "GET", "/openapi.json", self.openapi.answer
        yield "GET", "/static/{file}", self.static.answer

    async def home(self, request: Request, _: Captured) -> Response:
        """The FAQ is in the page itself: searching and reading work without scripts."""
        query = parse_qs(request.query).get("q", [""])[0].strip()[:LONGEST_QUERY]
        try:
            shelves, unavailable = await (self.found(query) if query else self.shelves()), False
        except grpc.aio.AioRpcError as error:
            log.warning("faq_unavailable", code=error.code().name, reason=refused(error).reason)
            shelves, unavailable = [], True
        # Who has no cookie need not be asked about; who comes back from another site shows the second one only.
        has_cookie = bool(request.cookie(COOKIE) or request.cookie(LINKED))
        found: dict[str, Any] = {
            "query": query,
            "shelves": shelves,
            "unavailable": unavailable,
            "has_cookie": has_cookie,
        }
        offered = await self.providers.offered()
        if not offered:
            return self.html("home.html", **found)
        cookie = form_cookie(request)
        response = self.html("home.html", **found, providers=offered, hidden=hidden_fields(cookie))
        response.headers.remove((POLICY_NAME, POLICY))
        response.headers += [(POLICY_NAME, policy(origins(offered))), set_form(cookie)]
        return response

    async def shelves(self) -> list[dict[str, Any]]:
        categories = await self.support.ListCategories(support.ListCategoriesRequest(page_size=200))
        articles = await self.support.ListArticles(support.ListArticlesRequest(parent="categories/-", page_size=200))
        return [
            {"title": category.title, "articles": [told(one) for one in articles.articles if within(one, category)]}
            for category in categories.categories
        ]

    async def found(self, query: str) -> list[dict[str, Any]]:
        answer = await self.support.SearchArticles(support.SearchArticlesRequest(query=query, page_size=20))
        return [{"title": "", "articles": [told(one) for one in answer.articles]}] if answer.articles else []

    async def register(self, _: Request, __: Captured) -> Response:
        return self.html("action.html", title="Create your account", component="complete-registration")

    async def forgot(self, _: Request, __: Captured) -> Response:
        return self.html("forgot.html", refused="", email="")

    async def begin_recovery(self, request: Request, _: Captured) -> Response:
        """The same answer for every address, except for what is none."""
        email = dict(await request.form()).get("email", "").strip()
        try:
            await self.identity.BeginRecovery(identity.BeginRecoveryRequest(email=email))
        except grpc.aio.AioRpcError as error:
            told = refused(error)
            if told.reason not in ("EMAIL_MALFORMED", "INVALID_FIELD"):
                log.warning("recovery_not_begun", code=error.code().name, reason=told.reason)
                text = "That did not work just now. Please try again in a moment."
                return self.html("forgot.html", 503, refused=text, email=email)
            text = "Check the address: it has one @ and a domain, such as you@example.com."
            return self.html("forgot.html", 400, refused=text, email=email)
        text = "If this address has an account, the mail we just sent leads you on. Its link works for 10 minutes."
        return self.html("action.html", title="Look into your mailbox", text=text)

    async def recover(self, _: Request, __: Captured) -> Response:
        return self.html("action.html", title="Choose another password", component="complete-recovery")

    async def confirm_email(self, _: Request, __: Captured) -> Response:
        return self.html("action.html", title="Confirm your address", component="confirm-email")

    async def confirm(self, _: Request, __: Captured) -> Response:
        return self.html("action.html", title="One more click", component="confirm-subscription")

    async def sign_in(self, _: Request, __: Captured) -> Response:
        return Response(status=303, headers=[(b"location", b"/#account")])

    async def my_data(self, _: Request, __: Captured) -> Response:
        text = "What businesses that trade with us have us hold of you, though you have no account here."
        return self.html("desk.html", title="Your data", texts=[text], component="my-data", script="my-data")

    def desk(self, name: str) -> Handler:
        """A page that is somebody's own, and so laid out by its script."""

        async def show(request: Request, _: Captured) -> Response:
            title, *texts = DESKS[name]
            has_cookie = bool(request.cookie(COOKIE))
            return self.html(
                "desk.html", title=title, texts=texts, component=f"{name}-desk", script=name, has_cookie=has_cookie
            )

        return show

    async def unsubscribe_page(self, _: Request, captured: Captured) -> Response:
        """Mail scanners open links: only the button ends anything."""
        return self.html(
            "action.html",
            title="Unsubscribe from the newsletter?",
            text="You can subscribe again whenever you like. Your points stay yours.",
            post=f"/unsubscribe/{quote(captured['token'])}",
            button="Unsubscribe",
        )

    async def unsubscribe(self, _: Request, captured: Captured) -> Response:
        """One click, from the page or from a mail program by itself (RFC 8058)."""
        try:
            await self.loyalty.EndSubscription(loyalty.EndSubscriptionRequest(token=captured["token"]))
        except grpc.aio.AioRpcError as error:
            if refused(error).reason not in ("LINK_INVALID", "INVALID_FIELD"):
                log.warning("unsubscribe_failed", code=error.code().name, reason=refused(error).reason)
                text = "That did not work just now. Please try again in a moment."
                return self.html("action.html", 503, title="Not yet", text=text)
            text = "This link is not ours, or not whole. Use the one in our latest newsletter."
            return self.html("action.html", 404, title="That link does not work", text=text)
        return self.html("action.html", title="You are unsubscribed", text="You get no newsletter from us any more.")

    def html(self, template: str, status: int = 200, **values: Any) -> Response:
        return Response(self.rendered(template, **values), status, [*HEADERS, (b"cache-control", b"no-store")])

    def rendered(self, template: str, **values: Any) -> bytes:
        return self.templates.get_template(template).render(**values).encode()


def policy(leads_to: str = "") -> bytes:
    """The policy of a page whose forms lead on to these origins: without it, browsers stop them at the redirect."""
    return POLICY.replace(b"form-action 'self'", f"form-action 'self' {leads_to}".rstrip().encode())


def advice_by_package() -> list[tuple[str, list[tuple[str, str]]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for (package, reason), advice in reasons().items():
        found.setdefault(package, []).append((reason, advice))
    return list(found.items())


def within(article: support.Article, category: support.Category) -> bool:
    return article.name.startswith(f"{category.name}/")


def told(article: support.Article) -> dict[str, Any]:
    return {
        "slug": article.name.rpartition("/")[2],
        "title": article.title,
        "paragraphs": [text for text in article.body.split("\n\n") if text.strip()],
    }
