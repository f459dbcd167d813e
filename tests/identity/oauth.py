"""What tests of the provider do again and again: a client, a browser that is signed in, a code, tokens."""

import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rapport.identity.v1 import oauth_pb2 as pb
from rapport.identity.v1.events_pb2 import AuthorizationRevoked
from rapport.identity.v1.oauth_pb2_grpc import OAuthServiceStub

from tests.identity.people import ADA, GATEWAY, OPERATOR, Identity

CALLBACK = "https://app.example.org/callback"
VERIFIER = "the verifier of a client that is long enough for RFC 7636".replace(" ", "-")
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
SCOPES = ("openid", "profile", "email", "address", "offline_access", "points", "sessions")
Said = dict[str, Any]


@dataclass
class Provider:
    """The provider as the gateway calls it, with one client."""

    identity: Identity
    client: str = "app"
    secret: str = ""
    session: str = ""
    nonce: str = ""  # of the last answer's DPoP-Nonce
    stub: OAuthServiceStub = field(init=False)

    def __post_init__(self) -> None:
        self.stub = OAuthServiceStub(self.identity.channel)

    async def register(self, profile: "pb.Client.Profile.ValueType" = pb.Client.PUBLIC, **said: Any) -> pb.Client:
        """Make the client, with a secret where it can keep one."""
        wanted: dict[str, Any] = {
            "name": f"clients/{self.client}",
            "title": "An app",
            "profile": profile,
            "redirect_uris": [CALLBACK],
            "scopes": SCOPES,
            "first_party": True,
        }
        asked = pb.UpdateClientRequest(client=pb.Client(**wanted | said))
        made = await self.stub.UpdateClient(asked, metadata=OPERATOR)
        if profile != pb.Client.PUBLIC:
            reset = pb.ResetClientSecretRequest(name=made.name)
            self.secret = (await self.stub.ResetClientSecret(reset, metadata=OPERATOR)).client_secret
        return made

    async def sign_in(self, email: str = ADA) -> str:
        self.session = (await self.identity.sign_in(email)).secret
        return self.session

    async def authorize(self, *, decision: int = 0, session: str | None = None, **said: Any) -> pb.AuthorizeResponse:
        """What becomes of an authorization request; a parameter that is "" is left out."""
        usual = {
            "client_id": self.client,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid profile",
            "state": "xyz",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        parameters = [pb.Parameter(name=name, value=value) for name, value in (usual | said).items() if value]
        asked = pb.AuthorizeRequest(
            parameters=parameters,
            session_secret=self.session if session is None else session,
            decision=decision,  # type: ignore[arg-type]
        )
        return await self.stub.Authorize(asked, metadata=GATEWAY)

    async def told(self, **said: Any) -> Said:
        """What the client is told in its redirect."""
        answer = await self.authorize(**said)
        assert answer.WhichOneof("outcome") == "redirect", answer
        return {name: values[0] for name, values in parse_qs(urlsplit(answer.redirect.uri).query).items()}

    async def code(self, **said: Any) -> str:
        return str((await self.told(**said))["code"])

    async def call(self, endpoint: int, authorization: str = "", **said: str) -> tuple[int, Said]:
        """The status and the body that an endpoint answers with, to a request with the `proof` it is given."""
        proof = said.pop("proof", "")
        parameters = [pb.Parameter(name=name, value=value) for name, value in said.items() if value]
        asked = pb.CallEndpointRequest(
            endpoint=endpoint,  # type: ignore[arg-type]
            parameters=parameters,
            authorization=authorization,
            proof=proof,
        )
        answer = await self.stub.CallEndpoint(asked, metadata=GATEWAY)
        self.nonce = answer.dpop_nonce
        return answer.status, json.loads(answer.body) if answer.body else {}

    async def token(self, **said: str) -> tuple[int, Said]:
        usual = {"client_id": self.client, "client_secret": self.secret}
        return await self.call(pb.CallEndpointRequest.TOKEN, **usual | said)

    async def redeem(self, code: str, /, **said: str) -> tuple[int, Said]:
        usual = {"code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return await self.token(grant_type="authorization_code", **usual | said)

    async def refresh(self, token: str, **said: str) -> tuple[int, Said]:
        return await self.token(grant_type="refresh_token", refresh_token=token, **said)

    async def tokens(self, **said: Any) -> Said:
        """The tokens of a sign-in from start to end."""
        status, told = await self.redeem(await self.code(**said))
        assert status == 200, told
        return told

    async def userinfo(self, access_token: str) -> tuple[int, Said]:
        return await self.call(pb.CallEndpointRequest.USERINFO, f"Bearer {access_token}")

    async def end_session(
        self, *, confirmed: bool = False, session: str | None = None, **said: Any
    ) -> pb.EndSessionResponse:
        """What becomes of a client's wish that the person be signed out."""
        asked = pb.EndSessionRequest(
            parameters=[pb.Parameter(name=name, value=value) for name, value in said.items()],
            session_secret=self.session if session is None else session,
            confirmed=confirmed,
        )
        return await self.stub.EndSession(asked, metadata=GATEWAY)


async def as_web(provider: Provider) -> Provider:
    """The same with a client that keeps a secret."""
    web = Provider(provider.identity, client="site", session=provider.session)
    await web.register(pb.Client.WEB)
    return web


async def reasons(identity: Identity) -> list[str]:
    """Why authorizations ended, oldest first."""
    return [AuthorizationRevoked.Reason.Name(one.reason) for one in await identity.stated(AuthorizationRevoked)]
