"""The page where people type the code of a device, as the gateway asks for it."""

from rapport.identity.v1 import device_codes_pb2 as pb
from rapport.identity.v1.device_codes_pb2_grpc import DeviceCodeServiceServicer
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.rpc import Context
from chassis.time import Clock
from services.identity import sessions, users
from services.identity.models import Client, DeviceCode, Session
from services.identity.oauth import device_codes
from services.identity.refusals import SessionEnded

Answer = pb.AnswerDeviceCodeResponse
Asked = pb.AnswerDeviceCodeRequest


class DeviceCodes(DeviceCodeServiceServicer):
    """What becomes of a code that somebody typed."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self.sessions, self.clock = sessions, clock

    async def AnswerDeviceCode(self, request: Asked, context: Context) -> Answer:
        now = self.clock()
        async with self.sessions.begin() as session:
            try:
                by = await sessions.use(session, request.session_secret, now=now)
            except SessionEnded:
                return Answer(sign_in=Answer.SignIn())
            if not await device_codes.may_try(session, by, now=now):
                return Answer(limited=Answer.Limited())
            found = await device_codes.typed(session, request.user_code, now=now)
            if found is None:
                return Answer(unknown=Answer.Unknown())
            return await self.decided(session, found, by, request)

    async def decided(self, session: AsyncSession, found: DeviceCode, by: Session, request: Asked) -> Answer:
        if request.decision == Asked.DECISION_UNSPECIFIED:
            client, user = await session.get_one(Client, found.client_id), await users.get(session, by.user_id)
            code = device_codes.shown_as(device_codes.read(request.user_code))
            told = Answer.Consent(client_title=client.title, scopes=found.scopes, email=user.email, user_code=code)
            return Answer(consent=told)
        if request.decision == Asked.APPROVED:
            await device_codes.approve(session, found, by, now=self.clock())
        else:
            found.denied = True
        return Answer(done=Answer.Done(approved=not found.denied))
