"""Where a browser is sent, over HTTP: to the very address that was registered, or nowhere."""

import httpx
import pytest

from tests.identity.conformance.party import AFTER, CALLBACK, Party
from tests.store import PASSWORD

pytestmark = pytest.mark.xdist_group("store")
OTHERS = [
    f"{CALLBACK}x",
    CALLBACK[:-1],
    f"{CALLBACK}/",
    CALLBACK.replace("callback", "Callback"),
    CALLBACK.replace("suite", "SUITE"),
    CALLBACK.replace("https", "http"),
    CALLBACK.replace("https", "HTTPS"),
    CALLBACK.replace(".org/", ".org:443/"),
    CALLBACK.replace(".org/", ".org./"),
    f"{CALLBACK}?",
    f"{CALLBACK}?next=1",
    f"{CALLBACK}#",
    f"{CALLBACK}#fragment",
    f"{CALLBACK}%2e",
    f"{CALLBACK}/../callback",
    f" {CALLBACK}",
    f"{CALLBACK}\n",
    f"{CALLBACK}\0",
    CALLBACK.replace("https://", "https://ok@"),
    f"https://suite.example.org@evil.example/{CALLBACK}",
    f"https://evil.example/{CALLBACK}",
    f"//{CALLBACK.partition('//')[2]}",
    "javascript:alert(1)",
    "data:text/html,hello",
    "",
]
# Wrong in another way too: none of it is worth a redirect to an address that is not proven.
ALSO_WRONG: list[dict[str, str]] = [
    {},
    {"response_type": "token"},
    {"response_type": ""},
    {"response_mode": "fragment"},
    {"response_mode": "form_post"},
    {"scope": ""},
    {"scope": "everything"},
    {"prompt": "none"},
    {"prompt": "none login"},
    {"max_age": "soon"},
    {"request": "eyJ"},
    {"request_uri": "https://evil.example/request"},
    {"claims": "{"},
    {"id_token_hint": "eyJ"},
    {"code_challenge_method": "plain", "code_challenge": "x"},
]


def stays(answer: httpx.Response) -> None:
    """The browser is shown a page of ours, and no address that it was asked with."""
    assert (answer.status_code, answer.headers.get("location")) == (400, None)
    assert answer.headers["content-type"].startswith("text/html")
    assert "http-equiv" not in answer.text.lower()
    assert "evil" not in answer.text


@pytest.mark.parametrize("uri", OTHERS)
async def test_an_address_that_differs_by_anything_is_an_error_page_and_no_redirect(rp: Party, uri: str) -> None:
    stays(await rp.browser.go("GET", "/oauth/authorize", params=rp.request() | {"redirect_uri": uri}))
    await rp.tokens()
    stays(await rp.browser.go("GET", "/oauth/authorize", params=rp.request(prompt="none") | {"redirect_uri": uri}))


@pytest.mark.parametrize(
    "wrong", [{"client_id": "stranger"}, {"client_id": ""}, {"redirect_uri": "https://evil.example/"}]
)
async def test_no_error_leads_anywhere_before_the_address_is_proven(rp: Party, wrong: dict[str, str]) -> None:
    await rp.tokens()
    for also in ALSO_WRONG:
        asked = rp.request(**also | wrong)
        stays(await rp.browser.go("GET", "/oauth/authorize", "cross-site", params=asked))
        stays(await rp.browser.go("POST", "/oauth/authorize", "cross-site", data=asked))


@pytest.mark.parametrize("twice", ["client_id", "redirect_uri", "state", "scope", "response_type", "prompt"])
async def test_what_is_said_twice_leads_nowhere(rp: Party, twice: str) -> None:
    asked = rp.request(prompt="none")
    doubled = [*asked.items(), (twice, "https://evil.example/")]
    stays(await rp.browser.go("GET", "/oauth/authorize", "cross-site", params=doubled))


async def test_whatever_was_posted_the_way_on_is_303(rp: Party) -> None:
    page = await rp.ask()
    sign_in = {"email": rp.person.email, "password": PASSWORD}
    page = await rp.browser.submit(page, "/oauth/sign-in", **sign_in)
    answers = [await rp.browser.submit(page, "/oauth/consent", decision="approve")]
    tokens = await rp.redeem(rp.told(answers[0])["code"])
    again = await rp.ask(prompt="login")
    answers += [
        await rp.browser.submit(again, "/oauth/sign-in", **sign_in),
        await rp.browser.go("POST", "/oauth/authorize", "cross-site", data=rp.request(prompt="none")),
        await rp.browser.go("POST", "/oauth/authorize", "cross-site", data=rp.request(scope="everything")),
        await rp.browser.go("POST", "/oauth/end-session", "cross-site", data={"id_token_hint": tokens["id_token"]}),
    ]
    asked = await rp.end_session(client_id=rp.client, post_logout_redirect_uri=AFTER)
    answers.append(await rp.browser.submit(asked, "/oauth/sign-out", decision="sign-out"))
    assert [one.status_code for one in answers] == [303] * len(answers)
