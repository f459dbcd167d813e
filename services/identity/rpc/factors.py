"""What people prove themselves with beyond a password."""

import io
from collections.abc import Sequence

import pyotp
from google.protobuf.empty_pb2 import Empty
from rapport.identity.v1 import factors_pb2 as pb
from rapport.identity.v1.factors_pb2_grpc import FactorsServiceServicer
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.names import parse
from chassis.pages import Pages
from chassis.refusal import InvalidField, Violation
from chassis.rpc import Context
from chassis.sealing import Sealer
from chassis.time import Clock, timestamp
from services.identity import (
    ceremonies,
    devices,
    factors,
    known_devices,
    passkeys,
    recovery_codes,
    sessions,
    sign_ins,
    totp,
    users,
)
from services.identity.ceremonies import Ceremonies
from services.identity.factors import Proof
from services.identity.models import Device, Passkey, Totp, User
from services.identity.passwords import Passwords
from services.identity.rpc.identity import session_message

USER, FACTOR, DEVICE = "users/{user}", "users/{user}/factors/{factor}", "users/{user}/devices/{device}"


class Factors(FactorsServiceServicer):
    """What people prove themselves with, the devices that are known, and the sign-ins that wait for them."""

    def __init__(
        self,
        sessions: Sessions,
        clock: Clock,
        pages: Pages,
        passwords: Passwords,
        sealer: Sealer,
        asks: Ceremonies,
        public_url: str,
    ) -> None:
        self.sessions, self.clock, self.pages = sessions, clock, pages
        self.passwords, self.sealer, self.asks, self.public_url = passwords, sealer, asks, public_url

    async def BeginTotp(self, request: pb.BeginTotpRequest, context: Context) -> pb.BeginTotpResponse:
        who = parse(USER, request.parent)
        async with self.sessions.begin() as session:
            begun, secret = await totp.begin(session, who, sealer=self.sealer, now=self.clock())
            owner = await users.get(session, who)
        uri = pyotp.TOTP(secret).provisioning_uri(name=owner.email, issuer_name=self.asks.store)
        return pb.BeginTotpResponse(name=begun.name, secret=secret, uri=uri, qr_code=picture(uri))

    async def ConfirmTotp(self, request: pb.ConfirmTotpRequest, context: Context) -> pb.ConfirmTotpResponse:
        user, one = parse(FACTOR, request.name)
        async with self.sessions.begin() as session:
            added, codes = await factors.add_totp(
                session, user, one, request.code, sealer=self.sealer, public_url=self.public_url, now=self.clock()
            )
        return pb.ConfirmTotpResponse(factor=factor_message(added), recovery_codes=codes)

    async def ListFactors(self, request: pb.ListFactorsRequest, context: Context) -> pb.ListFactorsResponse:
        page, user = self.pages.of(request), parse(USER, request.parent)
        async with self.sessions() as session:
            rows = await factors.of(session, user, after=page.cursor, limit=page.reach)
            left = await recovery_codes.left(session, user)
        shown, token = page.cut(rows, lambda one: (one.create_time, one.id))
        return pb.ListFactorsResponse(
            factors=map(factor_message, shown), next_page_token=token, recovery_codes_left=left
        )

    async def BeginPasskey(self, request: pb.BeginPasskeyRequest, context: Context) -> pb.BeginPasskeyResponse:
        who = parse(USER, request.parent)
        async with self.sessions() as session:
            options = await passkeys.begin(session, who, asks=self.asks, now=self.clock())
        return pb.BeginPasskeyResponse(options=options)

    async def AddPasskey(self, request: pb.AddPasskeyRequest, context: Context) -> pb.Factor:
        who, title = parse(USER, request.parent), request.title.strip()
        async with self.sessions.begin() as session:
            added = await passkeys.add(
                session,
                who,
                request.credential,
                title=title,
                asks=self.asks,
                public_url=self.public_url,
                now=self.clock(),
            )
        return factor_message(added)

    async def BeginPasskeySignIn(
        self, request: pb.BeginPasskeySignInRequest, context: Context
    ) -> pb.BeginPasskeySignInResponse:
        return pb.BeginPasskeySignInResponse(options=self.asks.signing_in(now=self.clock()))

    async def UpdateFactor(self, request: pb.UpdateFactorRequest, context: Context) -> pb.Factor:
        user, one = parse(FACTOR, request.factor.name)
        async with self.sessions.begin() as session:
            return factor_message(await passkeys.rename(session, user, one, title=request.factor.title.strip()))

    async def DeleteFactor(self, request: pb.DeleteFactorRequest, context: Context) -> Empty:
        user, one = parse(FACTOR, request.name)
        async with self.sessions.begin() as session:
            await factors.remove(session, user, one, public_url=self.public_url, now=self.clock())
        return Empty()

    async def ReplaceRecoveryCodes(
        self, request: pb.ReplaceRecoveryCodesRequest, context: Context
    ) -> pb.ReplaceRecoveryCodesResponse:
        user = parse(USER, request.parent)
        async with self.sessions.begin() as session:
            codes = await factors.replace_codes(session, user, public_url=self.public_url, now=self.clock())
        return pb.ReplaceRecoveryCodesResponse(recovery_codes=codes)

    async def ListDevices(self, request: pb.ListDevicesRequest, context: Context) -> pb.ListDevicesResponse:
        page, user, now = self.pages.of(request), parse(USER, request.parent), self.clock()
        async with self.sessions() as session:
            rows = await known_devices.of(session, user, after=page.cursor, limit=page.reach, now=now)
        shown, token = page.cut(rows, lambda one: (one.create_time, one.id))
        told = [device_message(one, trusted=known_devices.is_trusted(one, now)) for one in shown]
        return pb.ListDevicesResponse(devices=told, next_page_token=token)

    async def DeleteDevice(self, request: pb.DeleteDeviceRequest, context: Context) -> Empty:
        user, one = parse(DEVICE, request.name)
        async with self.sessions.begin() as session:
            await known_devices.forget(session, user, one)
        return Empty()

    # The gateway's. What is counted is committed before it is looked at: a refusal must not take it back.

    async def ProveFactor(self, request: pb.ProveFactorRequest, context: Context) -> pb.ProveFactorResponse:
        proof, secret, now = proof_of(request), request.device_secret, self.clock()
        async with self.sessions.begin() as session:
            challenge = await sign_ins.count(session, request.challenge, proof, device_secret=secret, now=now)
        async with self.sessions.begin() as session:
            begun, session_secret, known = await sign_ins.finish(
                session,
                challenge,
                proof,
                device_secret=secret,
                trusted=request.trust_device,
                sealer=self.sealer,
                public_url=self.public_url,
                now=now,
            )
        return pb.ProveFactorResponse(session=session_message(begun), secret=session_secret, device_secret=known)

    async def SignInByPasskey(self, request: pb.SignInByPasskeyRequest, context: Context) -> pb.SignInByPasskeyResponse:
        device = devices.shortened(request.user_agent)
        async with self.sessions.begin() as session:
            begun = await sign_ins.by_passkey(
                session,
                request.credential,
                device=device,
                asks=self.asks,
                public_url=self.public_url,
                now=self.clock(),
            )
        if begun is None:
            raise ceremonies.refused()
        return pb.SignInByPasskeyResponse(session=session_message(begun[0]), secret=begun[1])

    async def ProveAgain(self, request: pb.ProveAgainRequest, context: Context) -> pb.ProveAgainResponse:
        now, secret, kind = self.clock(), request.session_secret, request.WhichOneof("proof")
        proof = proof_of(request) if kind not in ("password", "passkey") else None
        async with self.sessions.begin() as session:
            used, known = await sign_ins.ask_again(session, secret, has_factor=kind != "password", now=now)
        if kind == "password" and not await self.passwords.proves(known, request.password):
            raise sessions.password_wrong()
        async with self.sessions.begin() as session:
            user = await users.hold_active(session, used.user_id)
            if proof is not None:
                amr = await self.proven(session, user, proof)
            elif kind == "passkey":
                amr = await self.proven_by_passkey(session, user, request.passkey)
            else:
                await sessions.hold_password(session, user.id, known)
                amr = sessions.PASSWORD
            renewed = await sign_ins.renew(session, used, secret, amr=amr, now=now) if amr else None
        if renewed is None:
            raise ceremonies.refused()
        return pb.ProveAgainResponse(session=session_message(renewed[0]), secret=renewed[1])

    async def proven(self, session: AsyncSession, user: User, proof: Proof) -> Sequence[str]:
        return await factors.prove(
            session, user, proof, sealer=self.sealer, public_url=self.public_url, now=self.clock()
        )

    async def proven_by_passkey(self, session: AsyncSession, user: User, credential: str) -> Sequence[str]:
        """By what; nothing as passkeys.prove has it."""
        passkey = await passkeys.prove(
            session, credential, asks=self.asks, public_url=self.public_url, now=self.clock()
        )
        if passkey is not None and passkey.user_id != user.id:
            raise ceremonies.refused()
        return passkeys.ways_of(passkey) if passkey else ()


# In and out -----------------------------------------------------------------------------------------------------------


def proof_of(request: pb.ProveFactorRequest | pb.ProveAgainRequest) -> Proof:
    match request.WhichOneof("proof"):
        case "code":
            return Proof("CODE", request.code)
        case "recovery_code":
            return Proof("RECOVERY_CODE", request.recovery_code)
    missing = Violation("code", "REQUIRED", "This is needed, or something else that proves who you are.")
    raise InvalidField("Mend the fields listed.", violations=[missing])


def picture(uri: str) -> str:
    """The address as a QR code, in SVG."""
    import segno  # with the first one: what is loaded at the start keeps everybody waiting when a process comes back

    drawn = io.BytesIO()
    segno.make_qr(uri, error="m").save(drawn, kind="svg", scale=5, border=4, light="#fff", xmldecl=False)
    return drawn.getvalue().decode()


def factor_message(factor: Totp | Passkey) -> pb.Factor:
    told = pb.Factor(
        name=factor.name,
        kind=pb.Factor.TOTP,
        create_time=timestamp(factor.create_time),
        last_use_time=timestamp(factor.last_use_time) if factor.last_use_time else None,
    )
    if isinstance(factor, Passkey):
        told.kind, told.title, told.suspect = pb.Factor.PASSKEY, factor.title, factor.suspect_time is not None
    return told


def device_message(device: Device, *, trusted: bool) -> pb.Device:
    return pb.Device(
        name=device.name,
        title=device.title,
        create_time=timestamp(device.create_time),
        last_use_time=timestamp(device.last_use_time),
        trust_expire_time=timestamp(device.trust_expire_time) if trusted and device.trust_expire_time else None,
    )
