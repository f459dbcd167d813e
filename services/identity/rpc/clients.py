"""The clients of the provider, and what people let them do."""

from google.protobuf.empty_pb2 import Empty
from rapport.identity.v1 import oauth_pb2 as pb
from rapport.identity.v1.identity_pb2 import Jwk
from rapport.identity.v1.oauth_pb2_grpc import OAuthServiceServicer

from chassis.database import Sessions
from chassis.etags import etag_of
from chassis.names import parse
from chassis.pages import Pages
from chassis.refusal import InvalidField, Violation
from chassis.rpc import Context
from chassis.time import Clock, timestamp
from services.identity.models import Algorithm, Authorization, Client, Profile
from services.identity.oauth import authorizations, clients
from services.identity.tokens import Signer

CLIENT, AUTHORIZATION = "clients/{client:id}", "users/{user}/authorizations/{authorization}"


class Clients(OAuthServiceServicer):
    """The store's clients, and the authorizations that people gave them."""

    def __init__(self, sessions: Sessions, clock: Clock, pages: Pages, signer: Signer) -> None:
        self.sessions, self.clock, self.pages, self.signer = sessions, clock, pages, signer

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
        if not self.signer.can_sign(wanted.id_token_algorithm):
            why = Violation("client.id_token_algorithm", "KEY_MISSING", "The operator has given no key for that.")
            raise InvalidField("Mend the fields listed.", violations=[why])
        async with self.sessions.begin() as session:
            return client_message(await clients.put(session, wanted, etag=request.client.etag, now=self.clock()))

    async def DeleteClient(self, request: pb.DeleteClientRequest, context: Context) -> Empty:
        async with self.sessions.begin() as session:
            await clients.remove(session, parse(CLIENT, request.name), now=self.clock())
        return Empty()

    async def ResetClientSecret(
        self, request: pb.ResetClientSecretRequest, context: Context
    ) -> pb.ResetClientSecretResponse:
        async with self.sessions.begin() as session:
            secret = await clients.reset_secret(session, parse(CLIENT, request.name), now=self.clock())
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
        keys=[{field.name: value for field, value in one.ListFields()} for one in said.keys],
        types=said.device_authorization,
        pushes=said.require_pushed_authorization_requests,
        binds=said.dpop_bound_access_tokens,
        echoes=said.require_dpop_nonce,
        exchange_scopes=list(dict.fromkeys(said.token_exchange_scopes)),
        grantable_roles=list(dict.fromkeys(said.grantable_roles)),
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
        keys=[Jwk(**one) for one in client.keys],
        device_authorization=client.types,
        require_pushed_authorization_requests=client.pushes,
        dpop_bound_access_tokens=client.binds,
        require_dpop_nonce=client.echoes,
        token_exchange_scopes=client.exchange_scopes,
        grantable_roles=client.grantable_roles,
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
