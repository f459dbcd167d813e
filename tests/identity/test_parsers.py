"""Whatever is sent to the provider's endpoints over HTTP, it is answered in the protocol's own way and is no fault of
ours. The parsers are those of authorize, token, end-session and what clients call besides."""

import json
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.identity.conformance.party import CALLBACK
from tests.store import Store

pytestmark = pytest.mark.xdist_group("store")
FUZZ = settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
CLIENT = "store-app"  # of deploy/store
NAMES = (
    *("client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "prompt", "max_age"),
    *("claims", "id_token_hint", "login_hint", "acr_values", "display", "ui_locales", "request", "request_uri"),
    *("code_challenge", "code_challenge_method", "code_verifier", "grant_type", "code", "refresh_token", "token"),
    *("client_secret", "post_logout_redirect_uri", "access_token", "token_type_hint", "resource", "", "\0", "a[]"),
)
GOOD: dict[str, str] = {
    "client_id": CLIENT,
    "redirect_uri": "http://127.0.0.1:7/signed-in",
    "response_type": "code",
    "scope": "openid",
    "code_challenge": "x" * 43,
    "code_challenge_method": "S256",
    "grant_type": "refresh_token",
}
WORDS = st.sampled_from(
    [
        *("", "\0", " ", "none", "login", "none login", "code", "code id_token", "query", "fragment", "form_post"),
        *("-1", "0", "9" * 9, "9" * 30, "NaN", "1e9", "٣", "plain", "S256", CLIENT, CALLBACK, "http://[", "//", "a@b"),
        *(
            "{",
            "{}",
            "[]",
            "null",
            '{"id_token":null}',
            '{"userinfo":{"sub":{"value":[]}}}',
            "[" * 3_000,
            "\ud7ff\ufffd",
        ),
        *(
            "e30.e30.",
            "e30.e30.e30",
            "eyJhbGciOiJub25lIn0.e30.",
            "....",
            "AAAA" * 30,
            "A" * 9_000,
            "authorization_code",
        ),
        *("refresh_token", "password", "openid", "openid openid", "offline_access", "%00", "%", "\u202e", "\r\nx: y"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
CLAIMS = st.fixed_dictionaries(
    {},
    optional={
        part: st.dictionaries(st.sampled_from(["sub", "acr", "email", "name", "address", "x"]), JSON, max_size=3) | JSON
        for part in ("userinfo", "id_token", "other")
    },
).map(json.dumps)
VALUES = WORDS | CLAIMS | st.text(st.characters(codec="utf-8"), max_size=60)
PAIRS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=8)
STARTS = st.sets(st.sampled_from(sorted(GOOD)))
HEADERS = st.sampled_from(
    [
        None,
        "Basic",
        "Basic !",
        "Basic Og==",
        "Basic c3RvcmUtYXBwOg==",
        "Bearer",
        "Bearer x",
        "DPoP x",
        "Digest a=b",
        "\xff",
    ]
)
RAW = st.binary(max_size=200) | st.text("%&=;+ax0\xe9", max_size=60).map(lambda text: text.encode("latin-1"))


def sent(start: set[str], pairs: list[tuple[str, str]]) -> str:
    """A query: what would be good of it, and what was thought of besides, instead or again."""
    return urlencode([*((name, GOOD[name]) for name in sorted(start)), *pairs], quote_via=quote)


def is_in_order(answer: httpx.Response, path: str) -> None:
    """It is answered, no redirect leads to where nobody registered, and nothing of ours is shown."""
    assert answer.status_code in (200, 303, 400, 401, 403, 405, 413, 415, 431), f"{path}: {answer.status_code}"
    assert "Traceback" not in answer.text
    if answer.status_code == 303:
        target = answer.headers["location"]
        ours = ("http://127.0.0.1:7/signed-in?", "/oauth/end-session?")
        assert target.startswith(ours), target
        assert "\n" not in target


@FUZZ
@given(start=STARTS, pairs=PAIRS, by_post=st.booleans())
def test_nothing_that_is_asked_of_authorize_is_a_fault_of_ours(
    store: Store, start: set[str], pairs: list[tuple[str, str]], by_post: bool
) -> None:
    is_in_order(call(store, "/oauth/authorize", sent(start, pairs), by_post=by_post), "authorize")


@FUZZ
@given(start=STARTS, pairs=PAIRS, by_post=st.booleans())
def test_nothing_that_is_asked_of_end_session_is_a_fault_of_ours(
    store: Store, start: set[str], pairs: list[tuple[str, str]], by_post: bool
) -> None:
    is_in_order(call(store, "/oauth/end-session", sent(start, pairs), by_post=by_post), "end-session")


@FUZZ
@given(path=st.sampled_from(["token", "introspect", "revoke", "userinfo"]), start=STARTS, pairs=PAIRS, header=HEADERS)
def test_nothing_that_a_client_sends_is_a_fault_of_ours(
    store: Store, path: str, start: set[str], pairs: list[tuple[str, str]], header: str | None
) -> None:
    answer = call(store, f"/oauth/{path}", sent(start, pairs), by_post=True, authorization=header)
    is_in_order(answer, path)
    if answer.status_code == 200:
        assert path == "revoke"  # of a token that is none there is nothing to do, and nothing to say (RFC 7009, 2.2)
        return
    said = answer.json()
    assert "error" in said or "reason" in said or answer.status_code == 401


@FUZZ
@given(path=st.sampled_from(["authorize", "token", "introspect", "revoke", "userinfo", "end-session"]), raw=RAW)
def test_no_body_is_too_strange_to_be_read(store: Store, path: str, raw: bytes) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    with httpx.Client(base_url=store.url, timeout=20) as http:
        is_in_order(http.post(f"/oauth/{path}", content=raw, headers=form), path)


def call(store: Store, path: str, query: str, *, by_post: bool, authorization: str | None = None) -> httpx.Response:
    headers: dict[str, Any] = {} if authorization is None else {"authorization": authorization.encode("latin-1")}
    with httpx.Client(base_url=store.url, timeout=20) as http:
        if by_post:
            form = {"content-type": "application/x-www-form-urlencoded"}
            return http.post(path, content=query.encode(), headers=headers | form)
        return http.get(f"{path}?{query}", headers=headers)
