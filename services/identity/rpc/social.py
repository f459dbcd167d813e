"""Signing up and in with an account that people have elsewhere, and linking such accounts."""

from datetime import timedelta
from uuid import UUID

from google.protobuf.empty_pb2 import Empty
from rapport.identity.v1 import social_pb2 as pb
from rapport.identity.v1.social_pb2_grpc import SocialServiceServicer

from chassis.database import Sessions
from chassis.names import parse
from chassis.pages import Pages
from chassis.refusal import SignInTooOld
from chassis.rpc import Context
from chassis.time import Clock, timestamp
from services.identity import attempts, devices, sessions, sign_ins, users
from services.identity.attempts import Marks
from services.identity.models import ClaimKind, Credential, ExternalIdentity, State
from services.identity.passwords import Passwords
from services.identity.refusals import SocialDenied, SocialProviderUnknown, SocialStateInvalid
from services.identity.rpc.identity import second_factor_message, session_message
from services.identity.sign_ins import Browser, Waiting
from services.identity.social import arrivals, claims, flows, links, notices, signed_requests
from services.identity.social.arrivals import SignedIn
from services.identity.social.asking import Asking, Person
from services.identity.social.flows import Way
from services.identity.social.id_tokens import unproven
from services.identity.social.providers import Provider, Providers
from services.identity.social.wire import failed

FRESH = timedelta(minutes=5)  # of the sign-in of who links
NO = ("access_denied", "user_cancelled", "consent_required", "interaction_required")


class Social(SocialServiceServicer):
    """Signing up and in with an account that people have elsewhere, and linking such accounts."""

    def __init__(
        self,
        sessions: Sessions,
        clock: Clock,
        pages: Pages,
        passwords: Passwords,
        marks: Marks,
        asking: Asking,
        providers: Providers,
        public_url: str,
    ) -> None:
        self.sessions, self.clock, self.pages, self.passwords = sessions, clock, pages, passwords
        self.marks, self.asking, self.providers, self.public_url = marks, asking, providers, public_url

    async def GetSocialProviders(self, request: pb.GetSocialProvidersRequest, context: Context) -> pb.SocialProviders:
        shown = [
            pb.SocialProvider(provider=one.name, title=one.title, origin=one.origin) for one in self.providers.values()
        ]
        return pb.SocialProviders(providers=shown)

    # There and back

    async def BeginSocialSignIn(
        self, request: pb.BeginSocialSignInRequest, context: Context
    ) -> pb.BeginSocialSignInResponse:
        provider, now = self.provider(request.provider), self.clock()
        async with self.sessions.begin() as session:
            who: UUID | None = None
            if request.session_secret:
                used = await sessions.use(session, request.session_secret, now=now)
                if now - used.auth_time > FRESH:
                    seconds = str(int(FRESH.total_seconds()))
                    raise SignInTooOld("Sign in again: this needs a recent sign-in.", seconds=seconds)
                who = used.user_id
            way = await flows.begin(session, provider, user=who, now=now)
        uri = flows.address(provider, way, self.callback(provider))
        return pb.BeginSocialSignInResponse(uri=uri, state=way.state, browser_secret=way.browser_secret)

    # The provider is asked between transactions, not in one: a connection is too dear to wait for somebody else with.

    async def CompleteSocialSignIn(
        self, request: pb.CompleteSocialSignInRequest, context: Context
    ) -> pb.CompleteSocialSignInResponse:
        provider, way = self.provider(request.provider), Way(request.state, request.browser_secret)
        async with self.sessions.begin() as session:
            who = await flows.take(session, provider, way, now=self.clock())
        person = await self.person(provider, way, request)
        if who is not None:
            return await self.linked(who, person, request.session_secret)
        photo = None
        if not await self.is_known(person):
            photo = await self.asking.photo(person)
        async with self.sessions.begin() as session:
            came = await arrivals.arrive(
                session, person, photo=photo, device=devices.shortened(request.user_agent), now=self.clock()
            )
        if isinstance(came, SignedIn):
            return pb.CompleteSocialSignInResponse(signed_in=signed_in(came))
        claim = pb.CompleteSocialSignInResponse.Claim(
            secret=came.secret, account_name=person.account_name, email=person.email
        )
        if came.kind is ClaimKind.PASSWORD:
            return pb.CompleteSocialSignInResponse(password_needed=claim)
        return pb.CompleteSocialSignInResponse(address_needed=claim)

    async def person(self, provider: Provider, way: Way, request: pb.CompleteSocialSignInRequest) -> Person:
        if request.iss and request.iss != provider.issuer:  # another provider's answer (RFC 9207)
            raise unproven()
        if request.error in NO:
            raise SocialDenied("You did not let us ask who you are.")
        if request.error:
            raise failed()
        if not request.code:
            raise unproven()
        return await self.asking.who(provider, request.code, way, self.callback(provider), now=self.clock())

    async def is_known(self, person: Person) -> bool:
        async with self.sessions() as session:
            return await links.find(session, person.issuer, person.sub) is not None

    async def linked(self, who: UUID, person: Person, secret: str) -> pb.CompleteSocialSignInResponse:
        """Link, in the session that asked for it and in no other."""
        now = self.clock()
        async with self.sessions.begin() as session:
            used = await sessions.use(session, secret, now=now)
            if used.user_id != who:
                raise SocialStateInvalid("Somebody else is signed in here by now. Begin again.")
            one = await arrivals.link(session, who, person, is_proven=False, public_url=self.public_url, now=now)
            told = self.message(one)
        return pb.CompleteSocialSignInResponse(linked=pb.CompleteSocialSignInResponse.Linked(external_identity=told))

    # One thing more

    async def GiveSocialAddress(self, request: pb.GiveSocialAddressRequest, context: Context) -> Empty:
        titles = {name: one.title for name, one in self.providers.items()}
        async with self.sessions.begin() as session:
            await claims.give_address(
                session,
                request.claim_secret,
                email=request.email,
                titles=titles,
                public_url=self.public_url,
                now=self.clock(),
            )
        return Empty()

    async def ConfirmSocialAddress(self, request: pb.ConfirmSocialAddressRequest, context: Context) -> pb.SocialSession:
        now, device = self.clock(), devices.shortened(request.user_agent)
        async with self.sessions.begin() as session:
            claim = await claims.confirmed(session, request.claim_secret, request.token, now=now)
            provider = self.provider(claim.provider)
            came = await arrivals.sign_up_by_claim(session, claim, provider, device=device, now=now)
            return signed_in(came)

    async def ProveSocialPassword(self, request: pb.ProveSocialPasswordRequest, context: Context) -> pb.SocialSession:
        async with self.sessions.begin() as session:
            who = await claims.count_guess(session, request.claim_secret, now=self.clock())
            user, known = await users.get(session, who), await session.get(Credential, who)
            guess = [self.marks.account(user.email)]
            await attempts.count(session, guess, now=self.clock())
        if user.state is not State.ACTIVE:
            known = None
        proven = await self.passwords.proves(known.password_hash if known else None, request.password)
        if known is None or not proven:
            raise sessions.sign_in_failed()
        renewed = await self.passwords.renewed(known.password_hash, request.password)
        now, device = self.clock(), devices.shortened(request.user_agent)
        async with self.sessions.begin() as session:
            claim = await claims.proven(session, request.claim_secret, now=now)
            person = claims.person_of(claim, self.provider(claim.provider))
            await arrivals.link(session, who, person, is_proven=True, public_url=self.public_url, now=now)
            come_to = await sign_ins.begin(
                session, known, password_hash=renewed, browser=Browser(device), ask_always=False, now=now
            )
            await attempts.forgive(session, guess)
            return signed_in(SignedIn(come_to))

    # What a user has linked

    async def ListExternalIdentities(
        self, request: pb.ListExternalIdentitiesRequest, context: Context
    ) -> pb.ListExternalIdentitiesResponse:
        page, user = self.pages.of(request), parse("users/{user}", request.parent)
        async with self.sessions() as session:
            rows = await links.of(session, user, after=page.cursor, limit=page.reach)
            has_password = await session.get(Credential, user) is not None
        shown, token = page.cut(rows, lambda one: (one.create_time, one.id))
        told = [self.message(one) for one in shown]
        return pb.ListExternalIdentitiesResponse(
            external_identities=told, next_page_token=token, has_password=has_password
        )

    async def DeleteExternalIdentity(self, request: pb.DeleteExternalIdentityRequest, context: Context) -> Empty:
        who, one = parse("users/{user}/externalIdentities/{external_identity}", request.name)
        async with self.sessions.begin() as session:
            user = await users.hold_active(session, who)
            ended = await links.end(session, user, one, now=self.clock())
            await notices.unlinked(
                session, to=user.email, person=user.id, title=self.title(ended.provider), public_url=self.public_url
            )
        return Empty()

    # What Facebook tells by itself

    async def TakeSignedRequest(
        self, request: pb.TakeSignedRequestRequest, context: Context
    ) -> pb.TakeSignedRequestResponse:
        provider, now = self.provider(request.provider), self.clock()
        sub = signed_requests.read(provider, request.signed_request, now=now)
        async with self.sessions.begin() as session:
            if request.kind == pb.TakeSignedRequestRequest.DEAUTHORIZATION:
                await signed_requests.take_back(session, provider, sub, public_url=self.public_url, now=now)
                return pb.TakeSignedRequestResponse()
            code = await signed_requests.delete_what_came(session, provider, sub, public_url=self.public_url, now=now)
            return pb.TakeSignedRequestResponse(confirmation_code=code)

    async def GetSocialDeletion(self, request: pb.GetSocialDeletionRequest, context: Context) -> pb.SocialDeletion:
        async with self.sessions() as session:
            found = await signed_requests.status(session, request.confirmation_code)
        erasure = f"erasures/{found.erasure_id}" if found.erasure_id else ""
        return pb.SocialDeletion(create_time=timestamp(found.create_time), erasure=erasure)

    # The store's words

    def provider(self, name: str) -> Provider:
        if name not in self.providers:
            raise SocialProviderUnknown("Nobody can come by that provider.")
        return self.providers[name]

    def callback(self, provider: Provider) -> str:
        return f"{self.public_url}/social/{provider.name}/callback"

    def title(self, name: str) -> str:
        """What people know a provider as: its own word, where the store knows it no more."""
        return self.providers[name].title if name in self.providers else name

    def message(self, one: ExternalIdentity) -> pb.ExternalIdentity:
        return pb.ExternalIdentity(
            name=one.name,
            provider=one.provider,
            provider_title=self.title(one.provider),
            account_name=one.account_name,
            create_time=timestamp(one.create_time),
            last_use_time=timestamp(one.last_use_time),
        )


def signed_in(came: SignedIn) -> pb.SocialSession:
    if isinstance(came.come_to, Waiting):
        return pb.SocialSession(second_factor=second_factor_message(came.come_to))
    begun, secret = came.come_to
    return pb.SocialSession(session=session_message(begun), secret=secret, is_new=came.is_new)
