"""People, how they prove who they are, and the sessions they hold."""

from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import Any
from uuid import uuid4

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.empty_pb2 import Empty
from rapport.identity.v1 import identity_pb2 as pb
from rapport.identity.v1.events_pb2 import PasswordChanged
from rapport.identity.v1.identity_pb2_grpc import IdentityServiceServicer
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.access import caller
from chassis.database import Sessions
from chassis.etags import etag_of
from chassis.idempotency import once
from chassis.names import parse
from chassis.pages import Pages
from chassis.personal_data.tombstone import refused_person
from chassis.refusal import InvalidField, Violation
from chassis.rpc import Context
from chassis.time import Clock, timestamp
from services.identity import (
    addresses,
    attempts,
    contacts,
    credentials,
    deletions,
    devices,
    email_changes,
    photos,
    recoveries,
    registrations,
    sessions,
    sign_ins,
    users,
)
from services.identity.attempts import Marks
from services.identity.businesses import members
from services.identity.models import Business, BusinessKind, PostalAddress, Session, State, User
from services.identity.passwords import Passwords
from services.identity.sign_ins import Browser, Waiting
from services.identity.tokens import Signer
from services.identity.users import Profile

Begin = Callable[..., Awaitable[None]]  # mails a link, or what there is to say instead


class Identity(IdentityServiceServicer):
    """People, how they prove who they are, and the sessions they hold."""

    def __init__(
        self,
        sessions: Sessions,
        clock: Clock,
        pages: Pages,
        passwords: Passwords,
        signer: Signer,
        marks: Marks,
        public_url: str,
        cooling_off: timedelta,
    ) -> None:
        self.sessions, self.clock, self.pages, self.cooling_off = sessions, clock, pages, cooling_off
        self.passwords, self.signer, self.marks, self.public_url = passwords, signer, marks, public_url

    # Registration and sign-in hash passwords between two transactions, not in one: hashing may wait for its turn, and
    # a connection is too dear to wait with it.

    async def BeginRegistration(self, request: pb.BeginRegistrationRequest, context: Context) -> Empty:
        return await self.mail_link(request, registrations.begin)

    async def mail_link(self, request: pb.BeginRegistrationRequest | pb.BeginRecoveryRequest, begin: Begin) -> Empty:
        try:
            await self.begin(request, begin)
        except DBAPIError as error:
            if refused_person(error) is None:
                raise
            # The account went while we looked: now the address is like any other, and that is the answer.
            await self.begin(request, begin)
        return Empty()

    async def begin(self, request: pb.BeginRegistrationRequest | pb.BeginRecoveryRequest, begin: Begin) -> None:
        now = self.clock()
        async with once(self.sessions, request, now=now) as call:
            if not call.is_repeat:
                await begin(call.session, email=request.email, public_url=self.public_url, now=now)

    async def CompleteRegistration(self, request: pb.CompleteRegistrationRequest, context: Context) -> pb.User:
        async with self.sessions() as session:
            link = await registrations.waiting(session, request.token, now=self.clock())
        name, photo = request.display_name.strip(), await photos.read(request.photo) if request.photo else None
        self.passwords.check(request.password, email=link.email, display_name=name)
        hashed = await self.passwords.hash(request.password)
        async with self.sessions.begin() as session:
            user = await registrations.complete(
                session, request.token, password_hash=hashed, display_name=name, photo=photo, now=self.clock()
            )
            return user_message(user)

    async def BeginRecovery(self, request: pb.BeginRecoveryRequest, context: Context) -> Empty:
        return await self.mail_link(request, recoveries.begin)

    async def CompleteRecovery(self, request: pb.CompleteRecoveryRequest, context: Context) -> Empty:
        async with self.sessions() as session:
            user = await recoveries.waiting(session, request.token, now=self.clock())
        self.passwords.check(request.password, email=user.email, display_name=user.display_name)
        hashed = await self.passwords.hash(request.password)
        async with self.sessions.begin() as session:
            await recoveries.complete(
                session, request.token, password_hash=hashed, public_url=self.public_url, now=self.clock()
            )
            await attempts.forgive(session, [self.marks.account(user.email)])
        return Empty()

    async def ChangePassword(self, request: pb.ChangePasswordRequest, context: Context) -> Empty:
        who, here = parse("users/{user}", request.name), caller().session
        async with self.sessions() as session:
            user = await users.get(session, who)
        self.passwords.check(request.password, email=user.email, display_name=user.display_name)
        hashed = await self.passwords.hash(request.password)
        async with self.sessions.begin() as session:
            user = await users.hold_active(session, who)
            await credentials.change(
                session, user, hashed, PasswordChanged.SIGNED_IN, public_url=self.public_url, now=self.clock(), but=here
            )
        return Empty()

    async def ChangeEmail(self, request: pb.ChangeEmailRequest, context: Context) -> Empty:
        who = parse("users/{user}", request.name)
        async with self.sessions.begin() as session:
            await email_changes.begin(session, who, email=request.email, public_url=self.public_url, now=self.clock())
        return Empty()

    async def ConfirmEmailChange(
        self, request: pb.ConfirmEmailChangeRequest, context: Context
    ) -> pb.ConfirmEmailChangeResponse:
        async with self.sessions.begin() as session:
            state = await email_changes.confirm(session, request.token, now=self.clock())
        return pb.ConfirmEmailChangeResponse(state=state)

    async def CreateUser(self, request: pb.CreateUserRequest, context: Context) -> pb.User:
        email, profile = addresses.exact(request.user.email), profile_of(request.user, users.FIELDS)
        self.passwords.check(request.password, email=email, display_name=request.user.display_name)
        hashed = await self.passwords.hash(request.password)
        async with once(self.sessions, request, now=self.clock()) as call:
            if call.is_repeat:
                user = await users.get(call.session, parse("users/{user}", call.name))
            else:
                user = await users.create(
                    call.session, id=uuid4(), email=email, password_hash=hashed, profile=profile, now=self.clock()
                )
                call.name = user.name
            return user_message(user)

    async def GetUser(self, request: pb.GetUserRequest, context: Context) -> pb.User:
        async with self.sessions() as session:
            return user_message(await users.get(session, parse("users/{user}", request.name)))

    async def ListUsers(self, request: pb.ListUsersRequest, context: Context) -> pb.ListUsersResponse:
        page = self.pages.of(request)
        async with self.sessions() as session:
            rows = await users.newest(session, after=page.cursor, limit=page.reach)
        shown, token = page.cut(rows, lambda user: (user.create_time, user.id))
        return pb.ListUsersResponse(users=map(user_message, shown), next_page_token=token)

    async def FindUsers(self, request: pb.FindUsersRequest, context: Context) -> pb.FindUsersResponse:
        page, email = self.pages.of(request), addresses.exact(request.email) if request.email else ""
        state = pb.User.State.Name(request.state) if request.state else ""
        async with self.sessions() as session:
            rows = await users.newest(
                session, email=email, state=state, role=request.role, after=page.cursor, limit=page.reach
            )
        shown, token = page.cut(rows, lambda user: (user.create_time, user.id))
        return pb.FindUsersResponse(users=map(user_message, shown), next_page_token=token)

    async def UpdateUser(self, request: pb.UpdateUserRequest, context: Context) -> pb.User:
        who, profile = parse("users/{user}", request.user.name), profile_of(request.user, fields_of(request))
        async with self.sessions.begin() as session:
            user = await users.update(session, who, profile=profile, etag=request.user.etag, now=self.clock())
            return user_message(user)

    async def DeleteUser(self, request: pb.DeleteUserRequest, context: Context) -> pb.User:
        who = parse("users/{user}", request.name)
        async with self.sessions() as session:
            if request.skip_cooling_off:
                user = await deletions.request(session, who, etag=request.etag, now=self.clock())
            else:
                user = await deletions.schedule(
                    session,
                    who,
                    etag=request.etag,
                    cooling_off=self.cooling_off,
                    public_url=self.public_url,
                    now=self.clock(),
                )
            if not request.validate_only:
                await session.commit()
            return user_message(user)

    async def UndeleteUser(self, request: pb.UndeleteUserRequest, context: Context) -> pb.User:
        who = parse("users/{user}", request.name)
        async with self.sessions.begin() as session:
            return user_message(await deletions.undelete(session, who, etag=request.etag, now=self.clock()))

    async def ConfirmContactData(self, request: pb.ConfirmContactDataRequest, context: Context) -> pb.User:
        who = parse("users/{user}", request.name)
        async with self.sessions.begin() as session:
            return user_message(await contacts.confirm(session, who, etag=request.etag, now=self.clock()))

    async def SetUserRoles(self, request: pb.SetUserRolesRequest, context: Context) -> pb.User:
        who = parse("users/{user}", request.name)
        async with self.sessions.begin() as session:
            return user_message(await users.set_roles(session, who, roles=request.roles, now=self.clock()))

    async def SetUserPhoto(self, request: pb.SetUserPhotoRequest, context: Context) -> pb.User:
        who, photo = parse("users/{user}", request.name), await photos.read(request.photo)
        async with self.sessions.begin() as session:
            return user_message(await users.set_photo(session, who, photo=photo, now=self.clock()))

    async def GetUserPhoto(self, request: pb.GetUserPhotoRequest, context: Context) -> HttpBody:
        async with self.sessions() as session:
            photo = await users.photo_of(session, parse("users/{user}/photo", request.name))
        return HttpBody(content_type=photo.content_type, data=photo.content)

    async def CreateSession(self, request: pb.CreateSessionRequest, context: Context) -> pb.CreateSessionResponse:
        known_browser = request.browser_secret
        async with self.sessions.begin() as session:
            known = await sessions.credential_of(session, request.email)
            person = known.user_id if known else None
            guess = list(self.marks.of(request.email, person, known_browser, request.client_address))
            await attempts.count(session, guess, now=self.clock())
            instead = None if known else await sessions.somebody(session, self.marks.account(request.email).mac)
        known_hash = known.password_hash if known else None
        proven = await self.passwords.proves(known_hash, request.password, instead=instead)
        if known is None or not proven:
            raise sessions.sign_in_failed()
        renewed, device = await self.passwords.renewed(known.password_hash, request.password), request.user_agent
        browser = Browser(devices.shortened(device), request.device_secret)
        async with self.sessions.begin() as session:
            come_to = await sign_ins.begin(
                session,
                known,
                password_hash=renewed,
                browser=browser,
                ask_always=request.ask_always,
                now=self.clock(),
            )
            await attempts.forgive(session, guess)
            access = None if isinstance(come_to, Waiting) else await self.access(session, come_to[0])
        if self.marks.nonce_of(known_browser, known.user_id) is None:
            known_browser = self.marks.browser_secret(known.user_id)
        if isinstance(come_to, Waiting):
            return pb.CreateSessionResponse(second_factor=second_factor_message(come_to), browser_secret=known_browser)
        begun, secret = come_to
        return pb.CreateSessionResponse(
            session=session_message(begun), secret=secret, browser_secret=known_browser, access=access
        )

    async def IssueAccessToken(
        self, request: pb.IssueAccessTokenRequest, context: Context
    ) -> pb.IssueAccessTokenResponse:
        async with self.sessions.begin() as session:
            return await self.access(session, await sessions.use(session, request.secret, now=self.clock()))

    async def access(self, session: AsyncSession, used: Session) -> pb.IssueAccessTokenResponse:
        """A token for who is signed in, as they are now."""
        standing = await members.standing(session, used.user_id)
        token, end = self.signer.issue(used, standing, now=self.clock())
        return pb.IssueAccessTokenResponse(
            access_token=token, expire_time=timestamp(end), session=used.name, roles=standing.roles
        )

    async def ListSessions(self, request: pb.ListSessionsRequest, context: Context) -> pb.ListSessionsResponse:
        page, user = self.pages.of(request), parse("users/{user}", request.parent)
        async with self.sessions() as session:
            rows = await sessions.of(session, user, after=page.cursor, limit=page.reach, now=self.clock())
        shown, token = page.cut(rows, lambda one: (one.create_time, one.id))
        return pb.ListSessionsResponse(sessions=map(session_message, shown), next_page_token=token)

    async def DeleteSession(self, request: pb.DeleteSessionRequest, context: Context) -> Empty:
        user, one = parse("users/{user}/sessions/{session}", request.name)
        async with self.sessions.begin() as session:
            await sessions.end(session, user, one, now=self.clock())
        return Empty()

    async def GetJwks(self, request: pb.GetJwksRequest, context: Context) -> pb.Jwks:
        return pb.Jwks(keys=await self.keys())

    async def keys(self) -> list[pb.Jwk]:
        """The public keys, for our own gate too: it need not call us."""
        return [pb.Jwk(**key) for key in self.signer.published()]


# In ------------------------------------------------------------------------------------------------------------------


def fields_of(request: pb.UpdateUserRequest) -> Collection[str]:
    """The fields that an update names; without a mask, those it sets."""
    if not request.update_mask.paths:
        return [field.name for field, _ in request.user.ListFields() if field.name in users.FIELDS]
    strange = set(request.update_mask.paths) - set(users.FIELDS)
    if strange:
        can = f"The fields to change are {', '.join(users.FIELDS)}."
        raise InvalidField("Mend the fields listed.", violations=[Violation("update_mask", "UNKNOWN_PATH", can)])
    return list(dict.fromkeys(request.update_mask.paths))


def profile_of(user: pb.User, fields: Collection[str]) -> Profile:
    return {field: value_of(user, field) for field in fields}


def value_of(user: pb.User, field: str) -> Any:
    if field == "display_name":
        return user.display_name.strip()
    if not user.HasField(field):  # type: ignore[arg-type]  # one of the names in users.FIELDS
        return None
    if field == "business":
        said = user.business
        kind = BusinessKind(pb.Business.Kind.Name(said.kind))
        return {"kind": kind, "company": said.company, "website": said.website}
    address: pb.Address = getattr(user, field)
    return {
        "recipient": address.recipient,
        "lines": list(address.lines),
        "postal_code": address.postal_code,
        "city": address.city,
        "region_code": address.region_code,
    }


# Out -----------------------------------------------------------------------------------------------------------------


def state_of(user: User) -> str:
    return "PENDING_DELETION" if user.state is State.ACTIVE and user.is_pending_deletion else user.state


def user_message(user: User) -> pb.User:
    return pb.User(
        name=user.name,
        email=user.email,
        display_name=user.display_name,
        state=pb.User.State.Value(state_of(user)),
        roles=user.roles,
        billing_address=address_message(user.billing_address),
        shipping_address=address_message(user.shipping_address),
        business=business_message(user.business),
        has_photo=user.photo is not None,
        create_time=timestamp(user.create_time),
        update_time=timestamp(user.update_time),
        erasure=f"erasures/{user.erasure_id}" if user.erasure_id else "",
        etag=etag_of(user.version, user.id),
        contact_confirmation=pb.User.ContactConfirmation.Value(user.contact_doubt or "CONFIRMED"),
        contact_confirm_time=timestamp(user.contact_confirm_time),
        purge_time=timestamp(user.purge_time) if user.is_pending_deletion and user.purge_time else None,
    )


def address_message(address: PostalAddress | None) -> pb.Address | None:
    if address is None:
        return None
    return pb.Address(
        recipient=address.recipient,
        lines=address.lines,
        postal_code=address.postal_code,
        city=address.city,
        region_code=address.region_code,
    )


def business_message(business: Business | None) -> pb.Business | None:
    if business is None:
        return None
    return pb.Business(kind=pb.Business.Kind.Value(business.kind), company=business.company, website=business.website)


def session_message(session: Session) -> pb.Session:
    return pb.Session(
        name=session.name,
        device=session.device,
        create_time=timestamp(session.create_time),
        auth_time=timestamp(session.auth_time),
        last_use_time=timestamp(session.last_use_time),
        expire_time=timestamp(session.expire_time),
        acr=session.acr,
        amr=session.amr,
    )


def second_factor_message(waiting: Waiting) -> pb.SecondFactor:
    return pb.SecondFactor(
        challenge=waiting.token,
        ways=[pb.SecondFactor.Way.Value(one) for one in waiting.ways],
        expire_time=timestamp(waiting.challenge.expire_time),
    )
