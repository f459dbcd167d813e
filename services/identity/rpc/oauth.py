"""The OAuth 2.1 and OpenID Connect provider, and the clients that may use it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
from google.protobuf.empty_pb2 import Empty
from rapport.identity.v1 import oauth_pb2 as pb
from rapport.identity.v1.oauth_pb2_grpc import OAuthServiceServicer
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.etags import etag_of
from chassis.names import parse
from chassis.pages import Pages
from chassis.rpc import Context
from chassis.time import Clock, moment, timestamp
from services.identity import sessions, users
from services.identity.models import Algorithm, Authorization, Client, Profile, Session
from services.identity.oauth import asks, authorizations, claims, clients, logout
from services.identity.oauth.asks import Ask, Person, Refused
from services.identity.oauth.codes import CODE, Codes
from services.identity.oauth.protocol import ProtocolError, invalid, single
from services.identity.refusals import SessionEnded
from services.identity.tokens import Signer

CLIENT, AUTHORIZATION = "clients/{client:id}", "users/{user}/authorizations/{authorization}"
BEARER = "Bearer "
Parameters = Mapping[str, str]
Answer = Mapping[str, Any] | ProtocolError | None


class OAuth(OAuthServiceServicer):
    """The protocol's endpoints, as the gateway carries them, and the store's clients."""

    def __init__(self, sessions: Sessions, clock: Clock, pages: Pages, signer: Signer, codes: Codes) -> None:
        self.sessions, self.clock, self.pages, self.signer, self.codes = sessions, clock, pages, signer, codes

    # The authorization endpoint

    async def Authorize(self, request: pb.AuthorizeRequest, context: Context) -> pb.AuthorizeResponse:
        try:
            async with self.sessions.begin() as session:
                return await self.authorized(session, request)
        except ProtocolError as error:
            problem = pb.AuthorizeResponse.Problem(error=error.error, error_description=error.description)
            return pb.AuthorizeResponse(problem=problem)
        except Refused as refused:
            said = {"error": refused.error.error, "error_description": refused.error.description}
            return self.sent_on(refused.ask, said)

    async def authorized(self, session: AsyncSession, request: pb.AuthorizeRequest) -> pb.AuthorizeResponse:
        parameters, now = single((one.name, one.value) for one in request.parameters), self.clock()
        client = await session.get(Client, parameters.get("client_id", ""))
        if client is None:
            raise invalid("That client_id is not known.")
        ask = asks.read(client, parameters, self.signer.hinted)
        used = await self.used(session, request.session_secret)
        granted = await authorizations.granted(session, used.user_id, client.id, now=now) if used else frozenset()
        needs = asks.decide(
            ask,
            Person(str(used.user_id), used.auth_time, used.acr, granted) if used else None,
            first_party=client.first_party,
            decision=pb.AuthorizeRequest.Decision.Name(request.decision),
            asked=moment(request.ask_time) if request.HasField("ask_time") else None,
            now=now,
        )
        if used is None or needs.what == "sign_in":
            hint = pb.AuthorizeResponse.SignIn(client_title=client.title, login_hint=ask.login_hint)
            return pb.AuthorizeResponse(sign_in=hint)
        if needs.what == "consent":
            user = await users.get(session, used.user_id)
            asked = pb.AuthorizeResponse.Consent(client_title=client.title, scopes=ask.reach, email=user.email)
            return pb.AuthorizeResponse(consent=asked)
        begun = await authorizations.begin(session, ask, used, now=now)
        return self.sent_on(ask, {"code": self.codes.make(begun.id, CODE)})

    async def used(self, session: AsyncSession, secret: str) -> Session | None:
        if not secret:
            return None
        try:
            used, _ = await sessions.use(session, secret, now=self.clock())
        except SessionEnded:
            return None
        return used

    def sent_on(self, ask: Ask, said: Mapping[str, str]) -> pb.AuthorizeResponse:
        uri, form = asks.answer(ask, said, issuer=self.signer.issuer)
        sent = pb.AuthorizeResponse.Redirect(
            uri=uri, form=[pb.Parameter(name=name, value=value) for name, value in form]
        )
        return pb.AuthorizeResponse(redirect=sent)

    # Signing out

    async def EndSession(self, request: pb.EndSessionRequest, context: Context) -> pb.EndSessionResponse:
        try:
            async with self.sessions.begin() as session:
                return await self.ended(session, request)
        except ProtocolError as error:
            problem = pb.EndSessionResponse.Problem(error=error.error, error_description=error.description)
            return pb.EndSessionResponse(problem=problem)

    async def ended(self, session: AsyncSession, request: pb.EndSessionRequest) -> pb.EndSessionResponse:
        wish = logout.read(single((one.name, one.value) for one in request.parameters), self.signer)
        client = await session.get(Client, wish.client_id) if wish.client_id else None
        uri = logout.address(wish, client)
        used = await self.used(session, request.session_secret)
        if used is not None:
            if not request.confirmed and not wish.is_of(used):
                user = await users.get(session, used.user_id)
                asked = pb.EndSessionResponse.Confirm(client_title=client.title if client else "", email=user.email)
                return pb.EndSessionResponse(confirm=asked)
            await sessions.end(session, used.user_id, used.id, now=self.clock())
        return pb.EndSessionResponse(done=pb.EndSessionResponse.Done(uri=uri))

    # The endpoints that clients call themselves

    async def CallEndpoint(self, request: pb.CallEndpointRequest, context: Context) -> pb.CallEndpointResponse:
        """What the endpoint answers, or the error it comes to. A returned error commits what was done before it."""
        work = {
            pb.CallEndpointRequest.TOKEN: self.token,
            pb.CallEndpointRequest.INTROSPECTION: self.introspection,
            pb.CallEndpointRequest.REVOCATION: self.revocation,
            pb.CallEndpointRequest.USERINFO: self.userinfo,
        }[request.endpoint]
        try:
            parameters = single((one.name, one.value) for one in request.parameters)
            async with self.sessions.begin() as session:
                answer = await work(session, parameters, request.authorization)
        except ProtocolError as error:
            answer = error
        if isinstance(answer, ProtocolError):
            told = {"error": answer.error, "error_description": answer.description} if answer.error else {}
            return pb.CallEndpointResponse(
                status=answer.status, body=orjson.dumps(told), www_authenticate=answer.challenge
            )
        return pb.CallEndpointResponse(status=200, body=b"" if answer is None else orjson.dumps(answer))

    async def token(self, session: AsyncSession, parameters: Parameters, authorization: str) -> Answer:
        if "grant_type" not in parameters:
            return invalid("Send grant_type.")
        client, now = await clients.proven(session, parameters, authorization), self.clock()
        match parameters["grant_type"]:
            case "authorization_code":
                shown = self.codes.read(parameters.get("code", ""))
                found = await authorizations.redeem(session, client, shown, parameters, now=now)
            case "refresh_token":
                shown = self.codes.read(parameters.get("refresh_token", ""))
                found = await authorizations.refresh(session, client, shown, now=now)
            case _:
                return ProtocolError("unsupported_grant_type", "Taken are authorization_code and refresh_token.")
        if isinstance(found, ProtocolError):
            return found
        said = self.tokens(found)
        if parameters["grant_type"] == "authorization_code" and "openid" in found.scopes:
            user = await users.get(session, found.user_id) if found.id_token_claims else None
            told = claims.id_token(found, said["access_token"], user, issuer=self.signer.issuer, now=now)
            said["id_token"] = self.signer.id_token(told, client.id_token_algorithm)
        return said

    def tokens(self, found: Authorization) -> dict[str, Any]:
        access_token, life = self.signer.issue_to(found, now=self.clock())
        return {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": int(life.total_seconds()),
            "scope": " ".join(found.scopes),
            "refresh_token": self.codes.make(found.id, found.generation),
        }

    async def introspection(self, session: AsyncSession, parameters: Parameters, authorization: str) -> Answer:
        client = await clients.proven(session, parameters, authorization)
        if client.profile is Profile.PUBLIC:
            return clients.unproven(authorization)
        if "token" not in parameters:
            return invalid("Send token.")
        found = await self.meant(session, parameters["token"])
        if found is None or found.client_id != client.id:
            return {"active": False}
        said = self.signer.claims(parameters["token"], now=self.clock())  # None: it is a refresh token
        return {
            "active": True,
            "scope": " ".join(found.scopes),
            "client_id": found.client_id,
            "sub": str(found.user_id),
            "iss": self.signer.issuer,
            "exp": said["exp"] if said else int(found.expire_time.timestamp()),
        }

    async def revocation(self, session: AsyncSession, parameters: Parameters, authorization: str) -> Answer:
        client = await clients.proven(session, parameters, authorization)
        if "token" not in parameters:
            return invalid("Send token.")
        found = await self.meant(session, parameters["token"])
        if found is not None and found.client_id == client.id:
            await authorizations.end(session, found.user_id, found.id, now=self.clock())
        return None

    async def userinfo(self, session: AsyncSession, parameters: Parameters, authorization: str) -> Answer:
        token = authorization.removeprefix(BEARER) or parameters.get("access_token", "")
        if not token:
            return ProtocolError("", "", status=401, challenge="Bearer")
        found = await self.of_access_token(session, token)
        if found is None:
            why = "That token is not good, or not any more."
            return ProtocolError("invalid_token", why, status=401, challenge='Bearer error="invalid_token"')
        if "openid" not in found.scopes:
            challenge = 'Bearer error="insufficient_scope", scope="openid"'
            return ProtocolError("insufficient_scope", "The token lacks openid.", status=403, challenge=challenge)
        return claims.userinfo(await users.get(session, found.user_id), found)

    async def meant(self, session: AsyncSession, token: str) -> Authorization | None:
        """The live authorization that an access token or a refresh token is of."""
        shown = self.codes.read(token)
        if shown is None:
            return await self.of_access_token(session, token)
        found = await authorizations.live(session, shown.authorization, now=self.clock())
        return found if found is not None and CODE < shown.generation == found.generation else None

    async def of_access_token(self, session: AsyncSession, token: str) -> Authorization | None:
        said = self.signer.claims(token, now=self.clock())
        if said is None or "authorization" not in said:
            return None
        return await authorizations.live(session, UUID(said["authorization"]), now=self.clock())

    # Clients

    async def GetClient(self, request: pb.GetClientRequest, context: Context) -> pb.Client:
        async with self.sessions() as session:
            return client_message(await clients.get(session, parse(CLIENT, request.name)))

    async def ListClients(self, request: pb.ListClientsRequest, context: Context) -> pb.ListClientsResponse:
        page = self.pages.of(request)
        async with self.sessions() as session:
            rows = await clients.all_after(session, page.cursor[0] if page.cursor else "", limit=page.reach)
        shown, token = page.cut(rows, lambda client: (client.id,))
        return pb.ListClientsResponse(clients=map(client_message, shown), next_page_token=token)

    async def UpdateClient(self, request: pb.UpdateClientRequest, context: Context) -> pb.Client:
        wanted = client_of(request.client)
        async with self.sessions.begin() as session:
            return client_message(await clients.put(session, wanted, etag=request.client.etag))

    async def DeleteClient(self, request: pb.DeleteClientRequest, context: Context) -> Empty:
        async with self.sessions.begin() as session:
            await clients.remove(session, parse(CLIENT, request.name), now=self.clock())
        return Empty()

    async def ResetClientSecret(
        self, request: pb.ResetClientSecretRequest, context: Context
    ) -> pb.ResetClientSecretResponse:
        async with self.sessions.begin() as session:
            secret = await clients.reset_secret(session, parse(CLIENT, request.name))
        return pb.ResetClientSecretResponse(client_secret=secret)

    # What people let clients do

    async def ListAuthorizations(
        self, request: pb.ListAuthorizationsRequest, context: Context
    ) -> pb.ListAuthorizationsResponse:
        page, user = self.pages.of(request), parse("users/{user}", request.parent)
        async with self.sessions() as session:
            rows = await authorizations.of(session, user, after=page.cursor, limit=page.reach, now=self.clock())
        shown, token = page.cut(rows, lambda row: (row[0].create_time, row[0].id))
        told = [authorization_message(one, title) for one, title in shown]
        return pb.ListAuthorizationsResponse(authorizations=told, next_page_token=token)

    async def DeleteAuthorization(self, request: pb.DeleteAuthorizationRequest, context: Context) -> Empty:
        user, one = parse(AUTHORIZATION, request.name)
        async with self.sessions.begin() as session:
            await authorizations.end(session, user, one, now=self.clock())
        return Empty()


# In and out -----------------------------------------------------------------------------------------------------------


def client_of(said: pb.Client) -> Client:
    signed = pb.Client.Algorithm.Name(said.id_token_algorithm or pb.Client.RS256)
    return Client(
        id=parse(CLIENT, said.name),
        title=said.title,
        profile=Profile(pb.Client.Profile.Name(said.profile)),
        redirect_uris=list(said.redirect_uris),
        post_logout_redirect_uris=list(said.post_logout_redirect_uris),
        backchannel_logout_uri=said.backchannel_logout_uri,
        backchannel_logout_session_required=said.backchannel_logout_session_required,
        scopes=list(dict.fromkeys(said.scopes)),
        first_party=said.first_party,
        id_token_algorithm=Algorithm(signed),
        version=1,
    )


def client_message(client: Client) -> pb.Client:
    return pb.Client(
        name=client.name,
        title=client.title,
        profile=pb.Client.Profile.Value(client.profile),
        redirect_uris=client.redirect_uris,
        post_logout_redirect_uris=client.post_logout_redirect_uris,
        backchannel_logout_uri=client.backchannel_logout_uri,
        backchannel_logout_session_required=client.backchannel_logout_session_required,
        scopes=client.scopes,
        first_party=client.first_party,
        id_token_algorithm=pb.Client.Algorithm.Value(client.id_token_algorithm),
        has_secret=client.secret_hash is not None,
        etag=etag_of(client.version, client.id),
    )


def authorization_message(found: Authorization, title: str) -> pb.Authorization:
    return pb.Authorization(
        name=found.name,
        client=f"clients/{found.client_id}",
        client_title=title,
        scopes=found.scopes,
        create_time=timestamp(found.create_time),
        expire_time=timestamp(found.expire_time),
    )
