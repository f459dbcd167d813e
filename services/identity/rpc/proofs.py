"""Proofs of possession, for the gateway: it carries no bound token whose holder did not sign the request."""

from rapport.identity.v1 import proofs_pb2 as pb
from rapport.identity.v1.proofs_pb2_grpc import ProofServiceServicer

from chassis.database import Sessions
from chassis.rpc import Context
from chassis.time import Clock
from services.identity.oauth import proofs
from services.identity.oauth.assertions import Unproven
from services.identity.oauth.nonces import Nonces
from services.identity.oauth.proofs import NonceNeeded
from services.identity.refusals import ProofInvalid, ProofNonceNeeded
from services.identity.tokens import Signer


class Proofs(ProofServiceServicer):
    """Whether who shows a token holds its key."""

    def __init__(self, sessions: Sessions, clock: Clock, signer: Signer, nonces: Nonces) -> None:
        self.sessions, self.clock, self.signer, self.nonces = sessions, clock, signer, nonces

    async def CheckProof(self, request: pb.CheckProofRequest, context: Context) -> pb.CheckProofResponse:
        now, token = self.clock(), request.access_token
        said, url = self.signer.claims(token, now=now), self.signer.issuer + request.path
        nonce = self.nonces.make(now=now)
        try:
            async with self.sessions.begin() as session:
                await proofs.prove(
                    session, request.proof, said, token, method=request.method, url=url, nonces=self.nonces, now=now
                )
        except NonceNeeded as why:
            raise ProofNonceNeeded(str(why), nonce=nonce) from None
        except Unproven as why:
            raise ProofInvalid(str(why), nonce=nonce) from None
        return pb.CheckProofResponse(nonce=nonce)
