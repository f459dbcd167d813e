"""The OAuth 2.1 and OpenID Connect provider."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from rapport.identity.v1 import oauth_pb2 as pb
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.pages import Pages
from chassis.rpc import Context
from chassis.time import Clock, moment
from services.identity import sessions, users
from services.identity.models import Authorization, Client, Profile, Session
from services.identity.oauth import (
    asks,
    authorizations,
    claims,
    clients,
    device_codes,
    exchanges,
    logout,
    programs,
    proofs,
    pushed,
)
from services.identity.oauth.asks import Ask, Person, Refused
from services.identity.oauth.assertions import Unproven
from services.identity.oauth.codes import CODE, Codes
from services.identity.oauth.keys import TAKEN
from services.identity.oauth.nonces import Nonces
from services.identity.oauth.proofs import NonceNeeded
from services.identity.oauth.protocol import ProtocolError, invalid, single
from services.identity.refusals import SessionEnded
from services.identity.rpc.clients import Clients
from services.identity.tokens import Signer, bound

BEARER, DPOP = "Bearer ", "DPoP "
UNPROVEN = f'DPoP error="invalid_token", algs="{" ".join(TAKEN)}"'
NONCELESS = f'DPoP error="use_dpop_nonce", algs="{" ".join(TAKEN)}"'
PATHS = {
    pb.CallEndpointRequest.TOKEN: "/oauth/token",
    pb.CallEndpointRequest.USERINFO: "/oauth/userinfo",
    pb.CallEndpointRequest.PUSHED_AUTHORIZATION: "/oauth/par",
}
Parameters = Mapping[str, str]
Answer = Mapping[str, Any] | ProtocolError | None


class OAuth(Clients):
    """The protocol's endpoints, as the gateway carries them; what is beside them is the clients'."""

    def __init__(
        self, sessions: Sessions, clock: Clock, pages: Pages, signer: Signer, codes: Codes, nonces: Nonces
    ) -> None:
        super().__init__(sessions, clock, pages, signer)
        self.codes, self.nonces = codes, nonces

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
            async with self.sessions.begin() as session:
                await pushed.close(session, uri_of(request))
            return self.sent_on(refused.ask, said)

    async def authorized(self, session: AsyncSession, request: pb.AuthorizeRequest) -> pb.AuthorizeResponse:
        parameters, now = single((one.name, one.value) for one in request.parameters), self.clock()
        client = await session.get(Client, parameters.get("client_id", ""))
        if client is None:
            raise invalid("That client_id is not known.")
        ask = asks.read(client, await pushed.unfold(session, client, parameters, now=now), self.signer.hinted)
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
            return pb.AuthorizeResponse(sign_in=hint, redirect_uri=ask.redirect_uri)
        if needs.what == "consent":
            user = await users.get(session, used.user_id)
            asked = pb.AuthorizeResponse.Consent(client_title=client.title, scopes=ask.reach, email=user.email)
            return pb.AuthorizeResponse(consent=asked, redirect_uri=ask.redirect_uri)
        await pushed.close(session, uri_of(request))
        begun = await authorizations.begin(session, ask, used, now=now)
        return self.sent_on(ask, {"code": self.codes.make(begun.id, CODE)})

    async def used(self, session: AsyncSession, secret: str) -> Session | None:
        if not secret:
            return None
        try:
            used = await sessions.use(session, secret, now=self.clock())
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
        """What the endpoint answers; to a proof, with the nonce that the next one says."""
        answer = await self.called(request)
        if request.proof:
            answer.dpop_nonce = self.nonces.make(now=self.clock())
        return answer

    async def called(self, request: pb.CallEndpointRequest) -> pb.CallEndpointResponse:
        """What the endpoint answers, or the error it comes to. A returned error commits what was done before it."""
        endpoints: Mapping[int, Callable[[AsyncSession, Parameters, str], Awaitable[Answer]]] = {
            pb.CallEndpointRequest.TOKEN: partial(self.token, request),
            pb.CallEndpointRequest.INTROSPECTION: self.introspection,
            pb.CallEndpointRequest.REVOCATION: self.revocation,
            pb.CallEndpointRequest.USERINFO: partial(self.userinfo, request),
            pb.CallEndpointRequest.PUSHED_AUTHORIZATION: partial(self.pushed, request),
            pb.CallEndpointRequest.DEVICE_AUTHORIZATION: self.device_authorization,
        }
        work = endpoints[request.endpoint]
        try:
            parameters = single((one.name, one.value) for one in request.parameters)
        except ProtocolError as error:
            return told_as(error)
        async with self.sessions.begin() as session:
            try:
                answer = await work(session, parameters, request.authorization)
            except ProtocolError as error:  # what was shown by then was shown: it is not taken again
                answer = error
            except NonceNeeded as why:
                answer = ProtocolError("use_dpop_nonce", str(why))
            except Unproven as why:
                answer = ProtocolError("invalid_dpop_proof", str(why))
        if isinstance(answer, ProtocolError):
            return told_as(answer)
        status = 201 if request.endpoint == pb.CallEndpointRequest.PUSHED_AUTHORIZATION else 200
        return pb.CallEndpointResponse(status=status, body=b"" if answer is None else orjson.dumps(answer))

    async def token(
        self, request: pb.CallEndpointRequest, session: AsyncSession, parameters: Parameters, authorization: str
    ) -> Answer:
        if "grant_type" not in parameters:
            return invalid("Send grant_type.")
        client, now = await self.proven(session, parameters, authorization), self.clock()
        match parameters["grant_type"]:
            case "authorization_code":
                shown = self.codes.read(parameters.get("code", ""))
                thumbprint = await self.thumbprint(session, request, client) if shown else ""
                found = await authorizations.redeem(session, client, shown, parameters, thumbprint, now=now)
            case "refresh_token":
                shown = self.codes.read(parameters.get("refresh_token", ""))
                thumbprint = await self.thumbprint(session, request, client) if shown else ""
                found = await authorizations.refresh(session, client, shown, thumbprint, now=now)
            case "client_credentials":
                scopes = programs.asked(client, parameters)
                thumbprint = await self.thumbprint(session, request, client)
                return programs.granted(client, scopes, self.signer, thumbprint, now=now)
            case exchanges.GRANT:
                token = exchanges.asked(client, parameters)
                known = await exchanges.subject(session, self.signer, token, now=now)
                scopes = exchanges.scopes(client, known, parameters)
                thumbprint = await self.thumbprint(session, request, client)
                return exchanges.granted(client, known, scopes, self.signer, thumbprint, now=now)
            case device_codes.GRANT:
                if request.proof:  # it is looked at before the code is used up: one without its nonce comes again
                    self.proof(request, client)
                found = await device_codes.poll(session, client, parameters.get("device_code", ""), now=now)
                if isinstance(found, Authorization):
                    thumbprint = await self.thumbprint(session, request, client)
                    authorizations.start(found, client, thumbprint, now=now)
            case _:
                taken = "authorization_code, refresh_token, client_credentials, device_code and token-exchange"
                return ProtocolError("unsupported_grant_type", f"Taken are {taken}.")
        if isinstance(found, ProtocolError):
            return found
        said = self.tokens(found, thumbprint)
        if parameters["grant_type"] != "refresh_token" and "openid" in found.scopes:
            user = await users.get(session, found.user_id) if found.id_token_claims else None
            told = claims.id_token(found, said["access_token"], user, issuer=self.signer.issuer, now=now)
            said["id_token"] = self.signer.id_token(told, client.id_token_algorithm)
        return said

    async def proven(self, session: AsyncSession, parameters: Parameters, authorization: str) -> Client:
        issuer = self.signer.issuer
        return await clients.proven(session, parameters, authorization, issuer=issuer, now=self.clock())

    async def thumbprint(self, session: AsyncSession, request: pb.CallEndpointRequest, client: Client) -> str:
        """Of the key that the client signed this request with; "" where it did not, and need not. Asked only of who has
        shown something of ours: what is remembered of a proof takes room."""
        if request.proof:
            return await proofs.take(session, self.proof(request, client), now=self.clock())
        if client.binds:
            raise Unproven("The tokens of this client are bound to a key: send a proof in the DPoP header (RFC 9449).")
        return ""

    def proof(self, request: pb.CallEndpointRequest, client: Client) -> proofs.Proof:
        method, url = request.method or "POST", f"{self.signer.issuer}{PATHS[request.endpoint]}"
        found = proofs.read(request.proof, method=method, url=url, now=self.clock())
        proofs.check_nonce(found, client, self.nonces, now=self.clock())
        return found

    async def pushed(
        self, request: pb.CallEndpointRequest, session: AsyncSession, parameters: Parameters, authorization: str
    ) -> Answer:
        client = await self.proven(session, parameters, authorization)
        if "request_uri" in parameters:
            return invalid("A request that is pushed names no other.")
        if request.proof:
            thumbprint = self.proof(request, client).thumbprint
            if parameters.get("dpop_jkt", thumbprint) != thumbprint:
                raise Unproven("The proof is of another key than dpop_jkt.")
            await self.thumbprint(session, request, client)
            parameters = {**parameters, "dpop_jkt": thumbprint}
        try:
            asks.read(client, parameters, self.signer.hinted)
        except Refused as refused:
            return refused.error
        uri = await pushed.push(session, client, parameters, now=self.clock())
        return {"request_uri": uri, "expires_in": int(pushed.LIFE.total_seconds())}

    async def device_authorization(self, session: AsyncSession, parameters: Parameters, authorization: str) -> Answer:
        client = await self.proven(session, parameters, authorization)
        return await device_codes.ask(session, client, parameters, issuer=self.signer.issuer, now=self.clock())

    def tokens(self, found: Authorization, thumbprint: str) -> dict[str, Any]:
        access_token, life = self.signer.issue_to(found, thumbprint, now=self.clock())
        return {
            "access_token": access_token,
            "token_type": "DPoP" if thumbprint else "Bearer",
            "expires_in": int(life.total_seconds()),
            "scope": " ".join(found.scopes),
            "refresh_token": self.codes.make(found.id, found.generation),
        }

    async def introspection(self, session: AsyncSession, parameters: Parameters, authorization: str) -> Answer:
        client = await self.proven(session, parameters, authorization)
        if client.profile is Profile.PUBLIC:
            return clients.unproven(authorization)
        if "token" not in parameters:
            return invalid("Send token.")
        said = self.signer.claims(parameters["token"], now=self.clock())  # None: it is a refresh token
        if said is not None and programs.is_own(said):
            return await programs.introspected(session, client, said, self.signer.issuer)
        if said is not None and "act" in said:
            return await exchanges.introspected(session, client, said, self.signer.issuer, now=self.clock())
        found = await self.meant(session, parameters["token"])
        if found is None or found.client_id != client.id:
            return {"active": False}
        return {
            "active": True,
            "scope": " ".join(found.scopes),
            "client_id": found.client_id,
            "sub": str(found.user_id),
            "iss": self.signer.issuer,
            "exp": said["exp"] if said else int(found.expire_time.timestamp()),
            **(key_of(said) if said else bound(found.thumbprint)),
        }

    async def revocation(self, session: AsyncSession, parameters: Parameters, authorization: str) -> Answer:
        client = await self.proven(session, parameters, authorization)
        if "token" not in parameters:
            return invalid("Send token.")
        said = self.signer.claims(parameters["token"], now=self.clock())
        if said is not None and programs.is_own(said):
            await programs.give_up(session, client, said, now=self.clock())
            return None
        found = await self.meant(session, parameters["token"])
        if found is not None and found.client_id == client.id:
            await authorizations.end(session, found.user_id, found.id, now=self.clock())
        return None

    async def userinfo(
        self, request: pb.CallEndpointRequest, session: AsyncSession, parameters: Parameters, authorization: str
    ) -> Answer:
        token = authorization.removeprefix(BEARER).removeprefix(DPOP) or parameters.get("access_token", "")
        if not token:
            return ProtocolError("", "", status=401, challenge="Bearer")
        said = self.signer.claims(token, now=self.clock())
        if authorization.startswith(DPOP):
            url = f"{self.signer.issuer}{PATHS[request.endpoint]}"
            method, now = request.method or "POST", self.clock()
            try:
                await proofs.prove(
                    session, request.proof, said, token, method=method, url=url, nonces=self.nonces, now=now
                )
            except NonceNeeded as needed:
                return ProtocolError("use_dpop_nonce", str(needed), status=401, challenge=NONCELESS)
            except Unproven as unproven:
                return ProtocolError("invalid_dpop_proof", str(unproven), status=401, challenge=UNPROVEN)
        elif proofs.thumbprint_of(said):
            return ProtocolError("invalid_token", "That token is bound to a key.", status=401, challenge=UNPROVEN)
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
        if said is None or "authorization" not in said or "act" in said:  # who acts has less than was authorized
            return None
        return await authorizations.live(session, UUID(said["authorization"]), now=self.clock())


def uri_of(request: pb.AuthorizeRequest) -> str:
    return next((one.value for one in request.parameters if one.name == "request_uri"), "")


def key_of(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """The key that a token is bound to, as introspection tells it (RFC 9449, 6.2)."""
    return {"token_type": "DPoP", "cnf": said["cnf"]} if "cnf" in said else {"token_type": "Bearer"}


def told_as(error: ProtocolError) -> pb.CallEndpointResponse:
    told = {"error": error.error, "error_description": error.description} if error.error else {}
    return pb.CallEndpointResponse(status=error.status, body=orjson.dumps(told), www_authenticate=error.challenge)
