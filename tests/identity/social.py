"""What tests of accounts elsewhere do again and again: a stand-in for the providers, and a browser that goes there."""

import asyncio
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import uvicorn
from rapport.identity.v1 import identity_pb2
from rapport.identity.v1 import social_pb2 as pb
from rapport.identity.v1.social_pb2_grpc import SocialServiceStub

from chassis.client import Metadata
from chassis.settings import Secret
from chassis.time import Clock
from deploy.local.credentials import ec_key, local_providers
from deploy.local.social_provider import ACCOUNTS, Account, Elsewhere, Settings, elsewhere
from tests.engines import free_port
from tests.identity.people import GATEWAY, Identity

STORE = "https://store.example.org"
SECRET = "the secret of the local app"
NORA, TOM, ADA_THERE = ACCOUNTS["google"]
VERA, OMAR = ACCOUNTS["facebook"]
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"
Begun = pb.BeginSocialSignInResponse
Came = pb.CompleteSocialSignInResponse
Stop = Callable[[], Awaitable[None]]


class Server(uvicorn.Server):
    """In a test's own loop, which keeps its signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def running(clock: Clock) -> AsyncIterator[tuple[Elsewhere, Stop]]:
    """The stand-in, behind a socket, until the block is left or it is stopped."""
    port = free_port()
    told = Settings(
        listen=f"127.0.0.1:{port}",
        public_url=f"http://127.0.0.1:{port}",
        store_url=STORE,
        client_secret=Secret(SECRET),
        signing_key=Secret(ec_key()),
    )
    made = elsewhere(told, clock)
    config = uvicorn.Config(
        made.application(), "127.0.0.1", port, log_level="critical", access_log=False, lifespan="off", ws="none"
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - it says so nowhere else
        await asyncio.sleep(0)

    async def stop() -> None:
        server.should_exit = server.force_exit = True  # an answer that was to be slow is waited for by nobody
        await serving

    yield made, stop
    await stop()


def providers_file(made: Elsewhere, folder: Path) -> Secret:
    """What identity is told of it."""
    secret = folder / "client-secret"
    secret.write_text(SECRET)
    return Secret(json.dumps({"providers": local_providers(made.settings.public_url, str(secret))}))


@dataclass
class Social:
    """The service as the gateway calls it, and a browser."""

    identity: Identity
    there: Elsewhere
    stop: Stop  # of what stands in
    stub: SocialServiceStub = field(init=False)

    def __post_init__(self) -> None:
        self.stub = SocialServiceStub(self.identity.channel)

    async def begin(self, provider: str = "google", session: str = "") -> Begun:
        asked = pb.BeginSocialSignInRequest(provider=provider, session_secret=session)
        return await self.stub.BeginSocialSignIn(asked, metadata=GATEWAY)

    async def consent(self, begun: Begun, account: Account | None, mischief: str = "") -> dict[str, str]:
        """What the browser comes back with, having been through the provider's own pages."""
        page = urlsplit(begun.uri)
        said = dict(parse_qsl(page.query)) | {"account": account.sub if account else "", "mischief": mischief}
        if account is not None:
            self.there.made_up[account.sub] = account
        async with httpx.AsyncClient() as browser:
            assert (await browser.get(begun.uri)).status_code == 200
            path = page.path.replace("/authorize", "/consent")
            answer = await browser.post(f"{page.scheme}://{page.netloc}{path}", data=said)
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"].startswith(f"{STORE}/social/")
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))

    async def complete(
        self, begun: Begun, back: dict[str, str], *, provider: str = "google", session: str = "", browser: str = ""
    ) -> Came:
        asked = pb.CompleteSocialSignInRequest(
            provider=provider,
            state=back["state"],
            browser_secret=browser or begun.browser_secret,
            code=back.get("code", ""),
            error=back.get("error", ""),
            iss=back.get("iss", ""),
            session_secret=session,
            user_agent=AGENT,
        )
        return await self.stub.CompleteSocialSignIn(asked, metadata=GATEWAY)

    async def come(self, account: Account, *, provider: str = "google", mischief: str = "", session: str = "") -> Came:
        """There and back."""
        begun = await self.begin(provider, session)
        back = await self.consent(begun, account, mischief)
        return await self.complete(begun, back, provider=provider, session=session)

    async def signed_up(self, account: Account = NORA) -> tuple[str, str]:
        """A new user by Google: their name, and the secret of their session."""
        came = await self.come(account)
        assert came.signed_in.is_new
        return owner_of(came.signed_in), came.signed_in.secret

    async def give_address(self, claim: str, email: str) -> None:
        asked = pb.GiveSocialAddressRequest(claim_secret=claim, email=email)
        await self.stub.GiveSocialAddress(asked, metadata=GATEWAY)

    async def confirm(self, claim: str, token: str) -> pb.SocialSession:
        asked = pb.ConfirmSocialAddressRequest(claim_secret=claim, token=token, user_agent=AGENT)
        return await self.stub.ConfirmSocialAddress(asked, metadata=GATEWAY)

    async def prove(self, claim: str, password: str) -> pb.SocialSession:
        asked = pb.ProveSocialPasswordRequest(claim_secret=claim, password=password, user_agent=AGENT)
        return await self.stub.ProveSocialPassword(asked, metadata=GATEWAY)

    async def by_facebook(self, account: Account = VERA, email: str = "") -> str:
        """A new user by Facebook, whose address was proven by a link."""
        claim = (await self.come(account, provider="facebook")).address_needed
        address = email or account.email
        await self.give_address(claim.secret, address)
        return owner_of(await self.confirm(claim.secret, await self.identity.token(address)))

    async def links(self, user: str, as_: Metadata | None = None) -> pb.ListExternalIdentitiesResponse:
        asked = pb.ListExternalIdentitiesRequest(parent=user)
        return await self.stub.ListExternalIdentities(asked, metadata=as_ or self.identity.as_(user))

    async def unlink(self, name: str, as_: Metadata | None = None) -> None:
        who = "/".join(name.split("/")[:2])
        asked = pb.DeleteExternalIdentityRequest(name=name)
        await self.stub.DeleteExternalIdentity(asked, metadata=as_ or self.identity.as_(who))

    async def photo(self, user: str) -> Any:
        asked = identity_pb2.GetUserPhotoRequest(name=f"{user}/photo")
        return await self.identity.stub.GetUserPhoto(asked, metadata=self.identity.as_(user))

    # What Facebook tells by itself

    def signed_request(self, sub: str, *, secret: str = SECRET, **said: Any) -> str:
        usual = {"user_id": sub, "algorithm": "HMAC-SHA256", "issued_at": int(self.identity.clock().timestamp())}
        payload = text_of(json.dumps(usual | said).encode())
        return f"{text_of(hmac.digest(secret.encode(), payload.encode(), 'sha256'))}.{payload}"

    async def told(self, signed_request: str, kind: Any = pb.TakeSignedRequestRequest.DELETION) -> str:
        asked = pb.TakeSignedRequestRequest(provider="facebook", kind=kind, signed_request=signed_request)
        return (await self.stub.TakeSignedRequest(asked, metadata=GATEWAY)).confirmation_code

    async def status(self, code: str) -> pb.SocialDeletion:
        asked = pb.GetSocialDeletionRequest(confirmation_code=code)
        return await self.stub.GetSocialDeletion(asked, metadata=GATEWAY)


def owner_of(session: pb.SocialSession) -> str:
    return "/".join(session.session.name.split("/")[:2])


def text_of(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")
