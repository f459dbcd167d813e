"""The search itself: a leak planted in any form is found."""

import random
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.journeys.canary import BLOCK, Search

VALUE = "Ada.Canary+7f3a@example.org"

WRITTEN = {
    "as it is": VALUE.encode(),
    "in capitals": VALUE.upper().encode(),
    "in hex": VALUE.encode().hex().encode(),
    "in capital hex": VALUE.encode().hex().upper().encode(),
    "in a URL": quote(VALUE, safe="").encode(),
    **{f"in base64 after {n} bytes": b64encode(b"x" * n + VALUE.encode() + b"tail") for n in range(4)},
    **{f"in url-safe base64 after {n} bytes": urlsafe_b64encode(b"?" * n + VALUE.encode() + b"?>") for n in range(4)},
}


@pytest.mark.parametrize("leak", WRITTEN.values(), ids=WRITTEN.keys())
def test_a_leak_is_found_however_it_is_written(tmp_path: Path, leak: bytes) -> None:
    (tmp_path / "log").write_bytes(random.Random(7).randbytes(1000) + leak + b"\n more")
    assert {finding.canary for finding in Search({"email": VALUE}).files("logs", tmp_path)} == {"email"}


def test_a_leak_across_two_blocks_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"." * (BLOCK - 5) + VALUE.encode() + b"." * 10)
    assert [finding.form for finding in Search({"email": VALUE}).files("files", tmp_path)] == ["plain"]


def test_what_was_never_planted_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(random.Random(7).randbytes(100_000) + b"eve@example.org")
    assert list(Search({"email": VALUE}).files("files", tmp_path)) == []


def test_the_write_ahead_log_is_the_stated_remainder(tmp_path: Path) -> None:
    (tmp_path / "pg_wal").mkdir()
    (tmp_path / "pg_wal" / "000001").write_text(VALUE)
    assert list(Search({"email": VALUE}).files("data", tmp_path)) == []


def test_a_canary_that_is_no_canary_is_refused() -> None:
    with pytest.raises(ValueError, match="Too short"):
        Search({"name": "Ada"})
