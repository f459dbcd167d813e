"""What is left of a person where nobody declared it: a search of everything the database can show as text.

It reads every table from end to end, and finds what is written plainly, in base64, in hex, quoted for URLs or JSON, or
as the words of a full-text index. It does not find what is compressed, encrypted or hashed, nor dead rows, WAL and
backups.
"""

import json
from base64 import b64encode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

COLUMNS = """
SELECT quote_ident(table_schema) || '.' || quote_ident(table_name), table_schema, table_name, column_name, data_type
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'
AND data_type NOT IN ('boolean', 'smallint', 'integer', 'bigint', 'numeric', 'real', 'double precision', 'interval',
                      'timestamp with time zone', 'timestamp without time zone', 'uuid')
ORDER BY table_schema, table_name, ordinal_position
"""


async def find(session: AsyncSession, needle: str) -> dict[str, int]:
    """How many rows still say `needle`, by column: any that the database (not our models) says can say it."""
    if not needle:
        raise ValueError("A search for nothing finds everything.")
    columns: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for place, schema, table, column, kind in await session.execute(text(COLUMNS)):
        shown = f"{table}.{column}" if schema == "public" else f"{schema}.{table}.{column}"
        columns[place].append((shown, hit(column.replace('"', '""').replace(":", r"\:"), kind)))
    said = {
        "texts": sorted({one.lower() for one in written(needle)}),
        "bytes": sorted({way.encode() for one in written(needle) for way in (one, one.lower(), one.upper())}),
        "needle": needle,
    }
    found: dict[str, int] = {}
    for place, hits in columns.items():
        counts = ", ".join(f"count(*) FILTER (WHERE {condition})" for _, condition in hits)
        query = text(f"SELECT {counts} FROM {place.replace(':', chr(92) + ':')}")  # noqa: S608 - the catalogue's words
        rows = (await session.execute(query, {key: said[key] for key in query.compile().params})).one()
        found |= {shown: count for (shown, _), count in zip(hits, rows, strict=True) if count}
    return found


def hit(column: str, kind: str) -> str:
    """Where the column says the needle, in one way or another."""
    if kind == "bytea":
        return f'EXISTS (SELECT FROM unnest(CAST(:bytes AS bytea[])) n WHERE position(n IN "{column}") > 0)'
    words = f'EXISTS (SELECT FROM unnest(CAST(:texts AS text[])) n WHERE strpos(lower("{column}"::text), n) > 0)'
    if kind == "tsvector":  # words cut to their stems
        stems = (f"\"{column}\" @@ plainto_tsquery('{language}', :needle)" for language in ("english", "simple"))
        return " OR ".join((words, *stems))
    return words


def written(needle: str) -> Iterator[str]:
    """The ways in which `needle` is written down."""
    yield needle
    yield from (quote(needle), quote(needle, safe=""), quote_plus(needle))
    yield from (json.dumps(needle)[1:-1], json.dumps(needle, ensure_ascii=False)[1:-1])
    raw = needle.encode()
    yield raw.hex()
    for before in range(3):  # base64 looks different by where in a text the needle begins; both ends mix with others
        for encode in (b64encode, urlsafe_b64encode):
            encoded = encode(b"\0" * before + raw).decode().rstrip("=")
            whole = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
            if len(whole) > 3:
                yield whole
