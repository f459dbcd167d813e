"""What the provider says of itself is what it does, and what is not to be done any more it does not offer."""

import pytest

from tests.identity.conformance.party import Party

pytestmark = pytest.mark.xdist_group("store")


@pytest.mark.parametrize(
    "response_type", ["token", "id_token", "id_token token", "code id_token", "code token", "none"]
)
async def test_no_token_is_given_by_the_front_door(rp: Party, response_type: str) -> None:
    assert await rp.refused(response_type=response_type) == "unsupported_response_type"
    said = await rp.discovered()
    assert said["response_types_supported"] == ["code"]
    assert "fragment" not in said["response_modes_supported"]


@pytest.mark.parametrize("grant", ["password", "implicit"])
async def test_nobody_gives_a_client_their_password(rp: Party, grant: str) -> None:
    asked = {"grant_type": grant, "username": rp.person.email, "password": "whatever it is"}
    answer = await rp.call_token(**asked)
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")
    assert grant not in (await rp.discovered())["grant_types_supported"]


async def test_only_the_good_challenge_is_offered(rp: Party) -> None:
    assert (await rp.discovered())["code_challenge_methods_supported"] == ["S256"]
    asked = {"code_challenge": "x" * 43, "code_challenge_method": "plain"}
    assert await rp.refused(**asked) == "invalid_request"


async def test_every_answer_says_who_gives_it(rp: Party) -> None:
    said = await rp.discovered()
    assert said["authorization_response_iss_parameter_supported"] is True
    good = await rp.go_through(await rp.ask())
    bad = rp.told(await rp.ask(scope="everything"))
    assert good["iss"] == bad["iss"] == said["issuer"]


async def test_both_well_known_places_say_the_same(rp: Party) -> None:
    other = (await rp.http.get("/.well-known/oauth-authorization-server")).json()
    assert other == await rp.discovered()


async def test_no_host_that_a_caller_names_is_believed(rp: Party) -> None:
    answer = await rp.http.get("/.well-known/openid-configuration", headers={"host": "evil.example"})
    forwarded = {"x-forwarded-host": "evil.example", "forwarded": "host=evil.example"}
    other = await rp.http.get("/.well-known/openid-configuration", headers=forwarded)
    assert "evil" not in answer.text + other.text
