"""The FAQ: what is on which shelf, and finding it."""

import re
from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Row, case, cast, delete, func, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.support.models import Article, Category
from services.support.refusals import ArticleNotFound, CategoryNotFound

MOST_WORDS = 12  # of a question; what comes after adds nothing
MOST_MENDED = 4  # words whose spelling is looked into: each is compared with every word of the FAQ
SHORTEST_MENDED = 4  # letters; below that everything is like something
WORD = re.compile(r"[^\W_]+")
LIKENESS = 0.75  # "newsleter" and "newsletter" are 0.95 alike, "order" and "offer" 0.6
ALL_WORDS_FOUND = 1_000_000  # above every rank


async def categories(session: AsyncSession, *, after: tuple[int, str] | None, limit: int) -> Sequence[Category]:
    query = select(Category).order_by(Category.rank, Category.slug).limit(limit)
    if after:
        query = query.where(tuple_(Category.rank, Category.slug) > after)
    return (await session.scalars(query)).all()


async def put_category(session: AsyncSession, *, slug: str, title: str, rank: int) -> Category:
    """Make or replace a category."""
    put = insert(Category).values(slug=slug, title=title, rank=rank)
    replaced = put.on_conflict_do_update(index_elements=["slug"], set_={"title": title, "rank": rank})
    put_now = select(Category).from_statement(replaced.returning(Category))
    category: Category = (await session.scalars(put_now, execution_options={"populate_existing": True})).one()
    return category


async def articles(
    session: AsyncSession, category: str | None, *, after: tuple[int, str, int, str] | None, limit: int
) -> Sequence[Row[Article, Category]]:
    """The articles of a category, or of all, in the store's order."""
    place = (Category.rank, Category.slug, Article.rank, Article.slug)
    query = select(Article, Category).join_from(Article, Category).order_by(*place).limit(limit)
    if category is not None:
        if await session.get(Category, category) is None:
            raise CategoryNotFound("There is no such category.")
        query = query.where(Article.category_slug == category)
    if after:
        query = query.where(tuple_(*place) > after)
    return (await session.execute(query)).all()


async def article(session: AsyncSession, category: str, slug: str) -> Article:
    """Return the article, or refuse because there is none."""
    found = await session.get(Article, (category, slug))
    if found is None:
        raise ArticleNotFound("There is no such article.")
    return found


async def put_article(
    session: AsyncSession,
    *,
    category: str,
    slug: str,
    title: str,
    body: str,
    keywords: list[str],
    rank: int,
    now: datetime,
) -> Article:
    """Make or replace an article. The same again leaves it as it is."""
    if await session.get(Category, category, with_for_update={"key_share": True, "read": True}) is None:
        raise CategoryNotFound("Make the category first.")
    said = {"title": title, "body": body, "keywords": keywords, "rank": rank}
    put = insert(Article).values(category_slug=category, slug=slug, update_time=now, **said)
    put = put.on_conflict_do_update(
        index_elements=["category_slug", "slug"],
        set_=said | {"update_time": now},
        where=or_(*(getattr(Article, column).is_distinct_from(put.excluded[column]) for column in said)),
    )
    await session.execute(put)
    return await article(session, category, slug)


async def delete_article(session: AsyncSession, category: str, slug: str) -> None:
    await session.execute(delete(Article).where(Article.category_slug == category, Article.slug == slug))


# Finding -------------------------------------------------------------------------------------------------------------

Place = tuple[int, str, str]  # the score, negated so that the best comes first, and the article


async def search(
    session: AsyncSession, question: str, *, after: Place | None, limit: int
) -> Sequence[Row[Article, int]]:
    """The articles that answer `question`, best first: those with all of its words, then with some. The last word may
    be unfinished; where nothing is found, words are taken for the most similar ones there are."""
    words = WORD.findall(question.lower())[:MOST_WORDS]
    found = await matching(session, words, "english", after=after, limit=limit)
    return found or await matching(session, await mended(session, words), "simple", after=after, limit=limit)


async def matching(
    session: AsyncSession, words: Sequence[str], language: str, *, after: Place | None, limit: int
) -> Sequence[Row[Article, int]]:
    if not words:
        return []
    wanted = [*words[:-1], f"{words[-1]}:*"]  # words hold letters and digits alone, so this is always a query
    any_word, every_word = (func.to_tsquery(language, glue.join(wanted)) for glue in (" | ", " & "))
    order = (-score(any_word, every_word), Article.category_slug, Article.slug)
    query = select(Article, order[0]).where(Article.search.bool_op("@@")(any_word)).order_by(*order).limit(limit)
    if after:
        query = query.where(tuple_(*order) > after)
    return (await session.execute(query)).all()


def score(any_word: ColumnElement[Any], every_word: ColumnElement[Any]) -> ColumnElement[int]:
    all_found = case((Article.search.bool_op("@@")(every_word), ALL_WORDS_FOUND), else_=0)
    return cast(func.ts_rank(Article.search, any_word) * 100_000, BigInteger) + all_found


async def mended(session: AsyncSession, words: Sequence[str]) -> Sequence[str]:
    """The words of the FAQ that are most like `words`, where any are."""
    there = select(func.ts_stat(literal("SELECT search FROM article")).table_valued("word").c.word)
    known = (await session.scalars(there)).all()
    long = [word for word in words if len(word) >= SHORTEST_MENDED][:MOST_MENDED]
    return [near for word in long for near in get_close_matches(word, known, n=1, cutoff=LIKENESS)]
