"""Rows of CSV (RFC 4180) that a spreadsheet takes for what they are."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime

BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
Cell = str | int | bool | datetime | None


def row(cells: Iterable[Cell]) -> bytes:
    """A row, ended. Numbers stay numbers; a text that a spreadsheet would run is marked as a text."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([written(cell) for cell in cells])
    return out.getvalue().encode()


def written(cell: Cell) -> str | int:
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "no"
        case int():
            return cell
        case datetime():
            return cell.isoformat()
        case _:
            return f"'{cell}" if cell.startswith(BEGINS_A_FORMULA) else cell
