"""What people prove themselves with beyond a password."""

import io

import pyotp
import segno
from google.protobuf.empty_pb2 import Empty
from rapport.identity.v1 import factors_pb2 as pb
from rapport.identity.v1.factors_pb2_grpc import FactorsServiceServicer

from chassis.database import Sessions
from chassis.names import parse
from chassis.pages import Pages
from chassis.refusal import InvalidField, Violation
from chassis.rpc import Context
from chassis.time import Clock, timestamp
from services.identity import factors, known_devices, recovery_codes, sessions, sign_ins, totp, users
from services.identity.factors import Proof
from services.identity.models import Device, Totp
from services.identity.passwords import Passwords
from services.identity.rpc.identity import session_message
from services.identity.sealing import Sealer

USER, FACTOR, DEVICE = "users/{user}", "users/{user}/factors/{factor}", "users/{user}/devices/{device}"


class Factors(FactorsServiceServicer):
    """What people prove themselves with, the devices that are known, and the sign-ins that wait for them."""

    def __init__(
        self, sessions: Sessions, clock: Clock, pages: Pages, passwords: Passwords, sealer: Sealer, public_url: str
    ) -> None:
        self.sessions, self.clock, self.pages = sessions, clock, pages
        self.passwords, self.sealer, self.public_url = passwords, sealer, public_url
        self.store = public_url.rpartition("//")[2].partition("/")[0]  # what the app calls us

    async def BeginTotp(self, request: pb.BeginTotpRequest, context: Context) -> pb.BeginTotpResponse:
        who = parse(USER, request.parent)
        async with self.sessions.begin() as session:
            begun, secret = await totp.begin(session, who, sealer=self.sealer, now=self.clock())
            owner = await users.get(session, who)
        uri = pyotp.TOTP(secret).provisioning_uri(owner.email, self.store)
        return pb.BeginTotpResponse(name=begun.name, secret=secret, uri=uri, qr_code=picture(uri))

    async def ConfirmTotp(self, request: pb.ConfirmTotpRequest, context: Context) -> pb.ConfirmTotpResponse:
        user, one = parse(FACTOR, request.name)
        async with self.sessions.begin() as session:
            added, codes = await factors.add_totp(
                session, user, one, request.code, sealer=self.sealer, public_url=self.public_url, now=self.clock()
            )
        return pb.ConfirmTotpResponse(factor=totp_message(added), recovery_codes=codes)

    async def ListFactors(self, request: pb.ListFactorsRequest, context: Context) -> pb.ListFactorsResponse:
        page, user = self.pages.of(request), parse(USER, request.parent)
        async with self.sessions() as session:
            app, left = await totp.of(session, user), await recovery_codes.left(session, user)
        rows = [app] if app is not None and page.cursor is None else []
        shown, token = page.cut(rows, lambda one: (one.create_time, one.id))
        return pb.ListFactorsResponse(factors=map(totp_message, shown), next_page_token=token, recovery_codes_left=left)

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

    async def ProveAgain(self, request: pb.ProveAgainRequest, context: Context) -> pb.ProveAgainResponse:
        proof = None if request.WhichOneof("proof") == "password" else proof_of(request)
        now, secret = self.clock(), request.session_secret
        async with self.sessions.begin() as session:
            used, known = await sign_ins.ask_again(session, secret, has_factor=proof is not None, now=now)
        if proof is None and not await self.passwords.proves(known.password_hash, request.password):
            raise sessions.password_wrong()
        async with self.sessions.begin() as session:
            user = await users.hold_active(session, used.user_id)
            if proof is None:
                await sessions.hold_proven(session, known, password_hash=known.password_hash)
                amr = sessions.PASSWORD
            else:
                amr = await factors.prove(session, user, proof, sealer=self.sealer, public_url=self.public_url, now=now)
            renewed, new = await sign_ins.renew(session, used, secret, amr=amr, now=now)
        return pb.ProveAgainResponse(session=session_message(renewed), secret=new)


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
    drawn = io.BytesIO()
    segno.make_qr(uri, error="m").save(drawn, kind="svg", scale=5, border=4, light="#fff", xmldecl=False)
    return drawn.getvalue().decode()


def totp_message(app: Totp) -> pb.Factor:
    return pb.Factor(
        name=app.name,
        kind=pb.Factor.TOTP,
        create_time=timestamp(app.create_time),
        last_use_time=timestamp(app.last_use_time) if app.last_use_time else None,
    )


def device_message(device: Device, *, trusted: bool) -> pb.Device:
    return pb.Device(
        name=device.name,
        title=device.title,
        create_time=timestamp(device.create_time),
        last_use_time=timestamp(device.last_use_time),
        trust_expire_time=timestamp(device.trust_expire_time) if trusted and device.trust_expire_time else None,
    )
