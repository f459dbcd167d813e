"""The clients of the provider, as the store keeps them."""

import asyncio

import pytest
from rapport.identity.v1 import oauth_pb2 as pb

from tests.identity.oauth import CALLBACK, Provider, as_web, reasons
from tests.identity.people import OPERATOR
from tests.world import refused


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example.org/callback",
        "https://app.example.org/#callback",
        "https://*.example.org/callback",
        "https://me@app.example.org/callback",
        "app:/callback",
        "/callback",
        "",
        "https://[",
    ],
)
async def test_a_client_whose_address_could_be_listened_at_is_not_made(provider: Provider, uri: str) -> None:
    with refused("CLIENT_UNSAFE") as said:
        await provider.register(redirect_uris=[CALLBACK, uri])
    assert said[0].violations[0].field == "client.redirect_uris[1]"
    with refused("CLIENT_UNSAFE"):
        await provider.register(redirect_uris=[])


async def test_a_client_is_made_changed_listed_and_ended(provider: Provider) -> None:
    web, told = await as_web(provider), await provider.tokens()
    listed = await provider.stub.ListClients(pb.ListClientsRequest(), metadata=OPERATOR)
    assert [(one.name, one.has_secret) for one in listed.clients] == [("clients/app", False), ("clients/site", True)]
    changed = await web.register(pb.Client.WEB, title="The site")
    found = await provider.stub.GetClient(pb.GetClientRequest(name="clients/site"), metadata=OPERATOR)
    assert (found.title, changed.title) == ("The site", "The site")
    with refused("ETAG_MISMATCH"):
        await web.register(pb.Client.WEB, etag=changed.etag)
    await provider.stub.DeleteClient(pb.DeleteClientRequest(name="clients/app"), metadata=OPERATOR)
    assert (await provider.refresh(told["refresh_token"]))[1]["error"] == "invalid_client"
    assert await reasons(provider.identity) == ["CLIENT_DELETED"]
    for call in (
        provider.stub.GetClient(pb.GetClientRequest(name="clients/app"), metadata=OPERATOR),
        provider.stub.DeleteClient(pb.DeleteClientRequest(name="clients/app"), metadata=OPERATOR),
        provider.stub.ResetClientSecret(pb.ResetClientSecretRequest(name="clients/app"), metadata=OPERATOR),
    ):
        with refused("CLIENT_NOT_FOUND"):
            await call


async def test_two_who_make_one_client_at_once_both_succeed(provider: Provider) -> None:
    new = Provider(provider.identity, client="new")
    made = await asyncio.gather(*(new.register(title=f"Title {number}") for number in range(8)))
    assert {one.name for one in made} == {"clients/new"}


async def test_a_new_secret_ends_the_one_before(provider: Provider) -> None:
    web = await as_web(provider)
    old, told = web.secret, await web.tokens()
    asked = pb.ResetClientSecretRequest(name="clients/site")
    web.secret = (await provider.stub.ResetClientSecret(asked, metadata=OPERATOR)).client_secret
    assert (await web.refresh(told["refresh_token"]))[0] == 200
    assert (await web.refresh(told["refresh_token"], client_secret=old))[0] == 401
    with refused("CLIENT_UNSAFE"):
        await provider.stub.ResetClientSecret(pb.ResetClientSecretRequest(name="clients/app"), metadata=OPERATOR)
