from datetime import timedelta

import pytest
from rapport.support.v1 import support_pb2 as pb
from rapport.support.v1.support_pb2_grpc import SupportServiceStub

from tests.support.conftest import ADA, OPERATOR, As
from tests.world import Hands, refused


async def shelve(support: SupportServiceStub, slug: str, rank: int = 0) -> pb.Category:
    category = pb.Category(name=f"categories/{slug}", title=slug.capitalize(), rank=rank)
    return await support.UpdateCategory(pb.UpdateCategoryRequest(category=category), metadata=OPERATOR)


async def write(
    support: SupportServiceStub, path: str, title: str, body: str = "-", keywords: tuple[str, ...] = (), rank: int = 0
) -> pb.Article:
    category, slug = path.split("/")
    name = f"categories/{category}/articles/{slug}"
    article = pb.Article(name=name, title=title, body=body, keywords=keywords, rank=rank)
    return await support.UpdateArticle(pb.UpdateArticleRequest(article=article), metadata=OPERATOR)


async def found(support: SupportServiceStub, query: str) -> list[str]:
    reply = await support.SearchArticles(pb.SearchArticlesRequest(query=query))
    return [article.name.rpartition("/")[2] for article in reply.articles]


@pytest.fixture
async def faq(support: SupportServiceStub) -> SupportServiceStub:
    await shelve(support, "orders", 1)
    await shelve(support, "points", 0)
    await write(support, "orders/where", "Where is my order?", "Your parcel shows its delivery.", ("tracking",))
    await write(support, "orders/refund", "Getting money back", "A refund of an order takes days.", rank=1)
    await write(support, "points/newsletter", "Subscribe to the newsletter", "You gain 500 points.", ("bonus",))
    return support


async def test_categories_come_in_the_stores_order(faq: SupportServiceStub) -> None:
    reply = await faq.ListCategories(pb.ListCategoriesRequest())
    assert [category.name for category in reply.categories] == ["categories/points", "categories/orders"]


async def test_a_category_is_replaced(faq: SupportServiceStub) -> None:
    await shelve(faq, "orders", -1)
    reply = await faq.ListCategories(pb.ListCategoriesRequest())
    assert [(one.name, one.rank) for one in reply.categories] == [("categories/orders", -1), ("categories/points", 0)]


async def test_categories_come_a_page_at_a_time(faq: SupportServiceStub) -> None:
    first = await faq.ListCategories(pb.ListCategoriesRequest(page_size=1))
    rest = await faq.ListCategories(pb.ListCategoriesRequest(page_size=1, page_token=first.next_page_token))
    assert [one.name for one in (*first.categories, *rest.categories)] == ["categories/points", "categories/orders"]
    assert rest.next_page_token == ""


async def test_articles_of_all_categories_come_in_order_a_page_at_a_time(faq: SupportServiceStub) -> None:
    names: list[str] = []
    token = ""
    while token or not names:
        request = pb.ListArticlesRequest(parent="categories/-", page_size=1, page_token=token)
        page = await faq.ListArticles(request)
        names += [article.name for article in page.articles]
        token = page.next_page_token
    assert [name.rpartition("/")[2] for name in names] == ["newsletter", "where", "refund"]


async def test_articles_of_one_category_are_its_own(faq: SupportServiceStub) -> None:
    reply = await faq.ListArticles(pb.ListArticlesRequest(parent="categories/points"))
    assert [article.title for article in reply.articles] == ["Subscribe to the newsletter"]


async def test_a_category_that_is_not_there_is_refused(faq: SupportServiceStub) -> None:
    with refused("CATEGORY_NOT_FOUND"):
        await faq.ListArticles(pb.ListArticlesRequest(parent="categories/nothing"))
    with refused("CATEGORY_NOT_FOUND"):
        await write(faq, "nothing/article", "Lost")


async def test_an_article_reads_as_it_was_written(faq: SupportServiceStub) -> None:
    article = await faq.GetArticle(pb.GetArticleRequest(name="categories/orders/articles/where"))
    assert (article.title, article.body) == ("Where is my order?", "Your parcel shows its delivery.")
    assert article.keywords == ["tracking"]


async def test_an_article_that_is_not_there_is_refused(faq: SupportServiceStub) -> None:
    with refused("ARTICLE_NOT_FOUND"):
        await faq.GetArticle(pb.GetArticleRequest(name="categories/points/articles/where"))


async def test_the_same_article_again_is_no_change(faq: SupportServiceStub, clock: Hands) -> None:
    first = await write(faq, "orders/new", "New", "One")
    clock.advance(timedelta(hours=1))
    assert await write(faq, "orders/new", "New", "One") == first
    changed = await write(faq, "orders/new", "New", "Two")
    assert changed.update_time.ToDatetime() - first.update_time.ToDatetime() == timedelta(hours=1)


async def test_a_deleted_article_is_gone_and_deleting_it_again_changes_nothing(faq: SupportServiceStub) -> None:
    request = pb.DeleteArticleRequest(name="categories/orders/articles/where")
    await faq.DeleteArticle(request, metadata=OPERATOR)
    await faq.DeleteArticle(request, metadata=OPERATOR)
    with refused("ARTICLE_NOT_FOUND"):
        await faq.GetArticle(pb.GetArticleRequest(name=request.name))
    assert await found(faq, "parcel") == []


async def test_customers_do_not_write_the_faq(faq: SupportServiceStub, as_: As) -> None:
    category = pb.Category(name="categories/mine", title="Mine")
    with refused("FORBIDDEN"):
        await faq.UpdateCategory(pb.UpdateCategoryRequest(category=category), metadata=as_(ADA))
    with refused("FORBIDDEN"):
        name = "categories/orders/articles/where"
        await faq.DeleteArticle(pb.DeleteArticleRequest(name=name), metadata=as_(ADA, "agent"))
    await faq.UpdateCategory(pb.UpdateCategoryRequest(category=category), metadata=as_(ADA, "admin"))


# Search --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "query", "expected"),
    [
        ("a word of the title", "subscribe", ["newsletter"]),
        ("a keyword", "tracking", ["where"]),
        ("a word of the body", "parcel", ["where"]),
        ("another form of the word", "deliveries", ["where"]),
        ("the last word may be unfinished", "deliv", ["where"]),
        ("its first letters are enough", "ref", ["refund"]),
        ("an unfinished word after others", "newsletter bon", ["newsletter"]),
        ("the title counts more than the body", "order", ["where", "refund"]),
        ("all words before some", "order refund", ["refund", "where"]),
        ("small words of a question do not matter", "How do I get my money back?", ["refund"]),
        ("a slip of the keyboard", "newsleter", ["newsletter"]),
        ("another", "subscirbe", ["newsletter"]),
        ("nothing like it", "xylophone", []),
        ("small words alone", "how do i", []),
        ("no words", "?! & | ( ) :* ' \\ --", []),
        ("an operator is a word", "parcel & !order:*", ["where", "refund"]),
        ("another script", "订单", []),
    ],
)
async def test_search_finds_what_was_meant(faq: SupportServiceStub, why: str, query: str, expected: list[str]) -> None:
    assert await found(faq, query) == expected


@pytest.mark.parametrize("query", ["order", "ordar"])
async def test_search_comes_a_page_at_a_time(faq: SupportServiceStub, query: str) -> None:
    first = await faq.SearchArticles(pb.SearchArticlesRequest(query=query, page_size=1))
    second = await faq.SearchArticles(
        pb.SearchArticlesRequest(query=query, page_size=1, page_token=first.next_page_token)
    )
    titles = [article.title for article in (*first.articles, *second.articles)]
    assert titles == ["Where is my order?", "Getting money back"]
    assert second.next_page_token == ""
    with refused("PAGE_TOKEN_INVALID"):
        await faq.SearchArticles(pb.SearchArticlesRequest(query="parcel", page_token=first.next_page_token))


async def test_search_asks_for_words(faq: SupportServiceStub) -> None:
    with refused("INVALID_FIELD") as said:
        await faq.SearchArticles(pb.SearchArticlesRequest())
    assert [one.field for one in said[0].violations] == ["query"]
