"""Files of users to bring in: CSV with a header, or JSON Lines, read row by row."""

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError
from rapport.identity.v1 import imports_pb2 as pb

from deploy.local.terminal import LocalError

USER = ("email", "display_name")
ROW = ("email_verified", "password_hash", "create_time")
ADDRESS = ("recipient", "lines", "postal_code", "city", "region_code")
BUSINESS = ("kind", "company", "website")
COLUMNS = {
    *USER,
    *ROW,
    *(f"{which}_{column}" for which in ("billing", "shipping") for column in ADDRESS),
    *(f"business_{column}" for column in BUSINESS),
}
MOST_BYTES = 64 << 10  # of a row: more than all its fields take
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0", "")


@dataclass(frozen=True)
class Unreadable:
    """A row that says nothing: by the number of its line."""

    row_number: int
    field: str = ""


def digest_of(file: Path) -> str:
    """SHA-256 of the whole file, in hexadecimal."""
    try:
        with file.open("rb") as raw:
            return hashlib.file_digest(raw, "sha256").hexdigest()
    except OSError as problem:
        raise LocalError(f"{file} cannot be read ({problem.strerror}).") from None


def rows_of(file: Path) -> Iterator[pb.UserRow | Unreadable]:
    """The rows, each under the number of the line that it ends in."""
    try:
        for row in json_rows(file) if file.suffix in (".jsonl", ".ndjson") else csv_rows(file):
            too_long = isinstance(row, pb.UserRow) and row.ByteSize() > MOST_BYTES
            yield Unreadable(row.row_number) if too_long else row
    except UnicodeDecodeError:
        raise LocalError(f"{file} is not UTF-8.") from None
    except csv.Error as problem:
        raise LocalError(f"{file} is no CSV ({problem}).") from None


def json_rows(file: Path) -> Iterator[pb.UserRow | Unreadable]:
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield parsed(number, line)


def parsed(number: int, line: str) -> pb.UserRow | Unreadable:
    try:
        said = json.loads(line)
        row = ParseDict(said if isinstance(said, dict) else {"": said}, pb.UserRow())
    except (ValueError, RecursionError, ParseError):  # whose texts repeat what stands there
        return Unreadable(number)
    row.row_number = number
    return row


def csv_rows(file: Path) -> Iterator[pb.UserRow | Unreadable]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        header = reader.fieldnames or []
        if "email" not in header or (strange := set(header) - COLUMNS):
            what = f"has the column {sorted(strange)[0]}" if "email" in header else "has no column email"
            raise LocalError(f"{file} {what}. There are: {', '.join(sorted(COLUMNS))}.")
        for cells in reader:
            if None in cells or None in cells.values():  # more cells than columns, or fewer
                yield Unreadable(reader.line_num)
            else:
                yield row_of(reader.line_num, cells)


def row_of(number: int, cells: Mapping[str, str]) -> pb.UserRow | Unreadable:
    row = pb.UserRow(row_number=number, password_hash=cells.get("password_hash", ""))
    for column in USER:
        setattr(row.user, column, cells.get(column, ""))
    verified = cells.get("email_verified", "").strip().lower()
    if verified not in (*TRUE, *FALSE):
        return Unreadable(number, "email_verified")
    row.email_verified = verified in TRUE
    try:
        if since := cells.get("create_time", "").strip():
            row.create_time.FromJsonString(since)
    except ValueError:
        return Unreadable(number, "create_time")
    parts = {f"{which}_address": part(cells, which, ADDRESS) for which in ("billing", "shipping")}
    parts["business"] = part(cells, "business", BUSINESS)
    try:
        ParseDict({name: said for name, said in parts.items() if said}, row.user)
    except ParseError:
        return Unreadable(number, "business_kind")
    return row


def part(cells: Mapping[str, str], which: str, columns: tuple[str, ...]) -> dict[str, Any]:
    """What the cells say of one part of a user; an address has its lines in one cell, each on a line of its own."""
    said: dict[str, Any] = {column: text for column in columns if (text := cells.get(f"{which}_{column}", "").strip())}
    if "lines" in said:
        said["lines"] = said["lines"].splitlines()
    return said
