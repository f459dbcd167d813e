"""What people look at: the help centre, the pages our mails lead to, and the description of the API.

The pages are clients of the public API like any other; the server only lays out what must be there without scripts.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import grpc
import orjson
import structlog
from jinja2 import Environment, FileSystemLoader, select_autoescape
from rapport.loyalty.v1 import loyalty_pb2 as loyalty
from rapport.loyalty.v1.loyalty_pb2_grpc import LoyaltyServiceStub
from rapport.support.v1 import support_pb2 as support
from rapport.support.v1.support_pb2_grpc import SupportServiceStub
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from chassis.refusal import refused
from gateway.problems import reasons

WEB = Path(__file__).parent / "web"
# Nothing but our own scripts and styles runs, and nothing is sent anywhere else.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
ROUTE_METHODS = ("get", "post", "patch", "delete")
log = structlog.get_logger()


class Pages:
    """Every page, laid out from templates."""

    def __init__(
        self,
        support: SupportServiceStub,
        loyalty: LoyaltyServiceStub,
        description: Mapping[str, Any],
        *,
        store: str,
        mailbox: str,
    ) -> None:
        self.support, self.loyalty = support, loyalty
        self.openapi = orjson.dumps(description, option=orjson.OPT_INDENT_2)
        self.templates = Environment(
            loader=FileSystemLoader(WEB / "templates"), autoescape=select_autoescape(), trim_blocks=True
        )
        self.templates.globals.update(store=store, mailbox=mailbox)
        self.docs = self.rendered("docs.html", groups=list(grouped(description)))
        told = [(package, [(name, advice) for _, name, advice in its]) for package, its in groupby(reasons(), first)]
        self.problems = self.rendered("problems.html", groups=told)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.home),
            Route("/register", self.register),
            Route("/confirm", self.confirm),
            Route("/sign-in", self.sign_in),
            Route("/unsubscribe/{token:str}", self.unsubscribe_page, methods=["GET"]),
            Route("/unsubscribe/{token:str}", self.unsubscribe, methods=["POST"]),
            Route("/docs", self.page_of(self.docs)),
            Route("/problems", self.page_of(self.problems)),
            Route("/openapi.json", self.describe),
            Mount("/static", Static(directory=WEB / "static")),
        ]

    async def home(self, request: Request) -> Response:
        """The FAQ is in the page itself: searching and reading work without scripts."""
        query = request.query_params.get("q", "").strip()[:200]
        try:
            shelves, unavailable = await (self.found(query) if query else self.shelves()), False
        except grpc.aio.AioRpcError as error:
            log.warning("faq_unavailable", code=error.code().name, reason=refused(error).reason)
            shelves, unavailable = [], True
        return self.html("home.html", query=query, shelves=shelves, unavailable=unavailable)

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

    async def register(self, _: Request) -> Response:
        return self.html("action.html", title="Create your account", component="complete-registration")

    async def confirm(self, _: Request) -> Response:
        return self.html("action.html", title="One more click", component="confirm-subscription")

    async def sign_in(self, _: Request) -> Response:
        return RedirectResponse("/#account", 303)

    async def unsubscribe_page(self, request: Request) -> Response:
        """Mail scanners open links: only the button ends anything."""
        return self.html(
            "action.html",
            title="Unsubscribe from the newsletter?",
            text="You can subscribe again whenever you like. Your points stay yours.",
            post=f"/unsubscribe/{request.path_params['token']}",
            button="Unsubscribe",
        )

    async def unsubscribe(self, request: Request) -> Response:
        """One click, from the page or from a mail program by itself (RFC 8058)."""
        try:
            await self.loyalty.EndSubscription(loyalty.EndSubscriptionRequest(token=request.path_params["token"]))
        except grpc.aio.AioRpcError as error:
            if refused(error).reason not in ("LINK_INVALID", "INVALID_FIELD"):
                log.warning("unsubscribe_failed", code=error.code().name)
                text = "That did not work just now. Please try again in a moment."
                return self.html("action.html", 503, title="Not yet", text=text)
            text = "This link is not ours, or not whole. Use the one in our latest newsletter."
            return self.html("action.html", 404, title="That link does not work", text=text)
        return self.html("action.html", title="You are unsubscribed", text="You get no newsletter from us any more.")

    async def describe(self, _: Request) -> Response:
        return Response(self.openapi, media_type="application/json", headers={"cache-control": "no-cache"})

    def page_of(self, text: str) -> Any:
        async def show(_: Request) -> Response:
            return HTMLResponse(text, headers=HEADERS)

        return show

    def html(self, template: str, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(self.rendered(template, **values), status, {**HEADERS, "cache-control": "no-store"})

    def rendered(self, template: str, **values: Any) -> str:
        return self.templates.get_template(template).render(**values)


class Static(StaticFiles):
    """The page's own scripts and styles, asked for anew when they change."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update({"cache-control": "no-cache", "x-content-type-options": "nosniff"})
        return response


def first(row: Sequence[str]) -> str:
    return row[0]


def within(article: support.Article, category: support.Category) -> bool:
    return article.name.startswith(f"{category.name}/")


def told(article: support.Article) -> dict[str, Any]:
    return {
        "slug": article.name.rpartition("/")[2],
        "title": article.title,
        "paragraphs": [text for text in article.body.split("\n\n") if text.strip()],
    }


def grouped(description: Mapping[str, Any]) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    """The operations of the description by tag, as the page shows them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path, verbs in description["paths"].items():
        for verb, operation in verbs.items():
            found.setdefault(operation["tags"][0], []).append(
                {
                    "id": operation["operationId"],
                    "verb": verb.upper(),
                    "path": path,
                    "summary": operation["summary"],
                    "description": operation.get("description", ""),
                    "access": spoken(operation["x-access"]),
                    "parameters": operation["parameters"],
                    "body": example(operation.get("requestBody", {}), description),
                    "answer": example(operation["responses"]["200"], description),
                }
            )
    return sorted(found.items())


def spoken(access: Mapping[str, Any]) -> str:
    if access.get("public"):
        return "anybody"
    ways = [
        *(["the owner"] if access.get("owner") else []),
        *(f"role {role}" for role in access.get("roles", ())),
        *(f"service {service}" for service in access.get("services", ())),
    ]
    narrowed = f", signed in within {access['freshSeconds']} s" if access.get("freshSeconds") else ""
    return " or ".join(ways) + narrowed


def example(content: Mapping[str, Any], description: Mapping[str, Any]) -> str:
    schema = content.get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        return ""
    return orjson.dumps(sample(schema, description, 0), option=orjson.OPT_INDENT_2).decode()


def sample(schema: Mapping[str, Any], description: Mapping[str, Any], depth: int) -> Any:
    """A value of the schema's shape, to look at."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return sample(description["components"]["schemas"][name], description, depth + 1) if depth < 5 else {}
    if schema.get("enum"):
        return schema["enum"][min(1, len(schema["enum"]) - 1)]
    match schema.get("type"):
        case "object":
            return {name: sample(one, description, depth) for name, one in schema.get("properties", {}).items()}
        case "array":
            return [sample(schema["items"], description, depth)]
        case "boolean":
            return True
        case "integer" | "number":
            return 1
    if schema.get("format") == "date-time":
        return "2026-11-23T20:15:00Z"
    return "1" if schema.get("pattern") == "^-?[0-9]+$" else "…"
