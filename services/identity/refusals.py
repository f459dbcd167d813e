"""What identity will not do."""

from grpc import StatusCode
from rapport.identity.v1 import errors_pb2 as errors
from rapport.identity.v1.errors_pb2 import ErrorReason

from chassis.refusal import Refusal


class LinkInvalid(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.LINK_INVALID)


class PasswordWeak(Refusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(errors.PASSWORD_WEAK)


class EmailTaken(Refusal):
    code, reason = StatusCode.ALREADY_EXISTS, ErrorReason.Name(errors.EMAIL_TAKEN)


class EmailMalformed(Refusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(errors.EMAIL_MALFORMED)


class UserNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.USER_NOT_FOUND)


class SignInFailed(Refusal):
    code, reason = StatusCode.UNAUTHENTICATED, ErrorReason.Name(errors.SIGN_IN_FAILED)


class SessionEnded(Refusal):
    code, reason = StatusCode.UNAUTHENTICATED, ErrorReason.Name(errors.SESSION_ENDED)


class SessionNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.SESSION_NOT_FOUND)


class PhotoUnreadable(Refusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(errors.PHOTO_UNREADABLE)


class PhotoNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.PHOTO_NOT_FOUND)


class ClientNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.CLIENT_NOT_FOUND)


class ClientUnsafe(Refusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(errors.CLIENT_UNSAFE)


class AuthorizationNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.AUTHORIZATION_NOT_FOUND)


class ProofInvalid(Refusal):
    code, reason = StatusCode.UNAUTHENTICATED, ErrorReason.Name(errors.PROOF_INVALID)


class UserDeleting(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(errors.USER_DELETING)


class FactorNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.FACTOR_NOT_FOUND)


class CodeWrong(Refusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(errors.CODE_WRONG)


class ChallengeEnded(Refusal):
    code, reason = StatusCode.UNAUTHENTICATED, ErrorReason.Name(errors.CHALLENGE_ENDED)


class FactorExists(Refusal):
    code, reason = StatusCode.ALREADY_EXISTS, ErrorReason.Name(errors.FACTOR_EXISTS)


class DeviceNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.DEVICE_NOT_FOUND)


class PasskeyRefused(Refusal):
    code, reason = StatusCode.UNAUTHENTICATED, ErrorReason.Name(errors.PASSKEY_REFUSED)


class SocialProviderUnknown(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.SOCIAL_PROVIDER_UNKNOWN)


class SocialStateInvalid(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.SOCIAL_STATE_INVALID)


class SocialDenied(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(errors.SOCIAL_DENIED)


class SocialProviderFailed(Refusal):
    code, reason = StatusCode.UNAVAILABLE, ErrorReason.Name(errors.SOCIAL_PROVIDER_FAILED)


class SocialAnswerInvalid(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(errors.SOCIAL_ANSWER_INVALID)


class ExternalIdentityTaken(Refusal):
    code, reason = StatusCode.ALREADY_EXISTS, ErrorReason.Name(errors.EXTERNAL_IDENTITY_TAKEN)


class ExternalIdentityNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.EXTERNAL_IDENTITY_NOT_FOUND)


class LastWayIn(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(errors.LAST_WAY_IN)


class FactorNeeded(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(errors.FACTOR_NEEDED)


class SignedRequestInvalid(Refusal):
    code, reason = StatusCode.PERMISSION_DENIED, ErrorReason.Name(errors.SIGNED_REQUEST_INVALID)


class SocialClaimInvalid(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.SOCIAL_CLAIM_INVALID)


class BusinessNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.BUSINESS_NOT_FOUND)


class BusinessInState(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(errors.BUSINESS_STATE)


class BusinessIncomplete(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(errors.BUSINESS_INCOMPLETE)


class ReviewerIsMember(Refusal):
    code, reason = StatusCode.PERMISSION_DENIED, ErrorReason.Name(errors.REVIEWER_IS_MEMBER)


class DocumentUnreadable(Refusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(errors.DOCUMENT_UNREADABLE)


class DocumentNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.DOCUMENT_NOT_FOUND)


class DocumentOutOfStep(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(errors.DOCUMENT_OUT_OF_STEP)


class LastOwner(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(errors.LAST_OWNER)


class MemberNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.MEMBER_NOT_FOUND)


class BusinessFull(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(errors.BUSINESS_FULL)


class ProofNonceNeeded(Refusal):
    code, reason = StatusCode.UNAUTHENTICATED, ErrorReason.Name(errors.PROOF_NONCE_NEEDED)


class UserIsStaff(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(errors.USER_IS_STAFF)


class ImpersonationNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.IMPERSONATION_NOT_FOUND)


class PaymentMethodNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.PAYMENT_METHOD_NOT_FOUND)


class PaymentProviderUnknown(Refusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(errors.PAYMENT_PROVIDER_UNKNOWN)


class PaymentMethodsFull(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(errors.PAYMENT_METHODS_FULL)


class UserImportNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.USER_IMPORT_NOT_FOUND)


class UserImportFinished(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(errors.USER_IMPORT_FINISHED)


class HashUnknown(Refusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(errors.HASH_UNKNOWN)


class HashTooDear(Refusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(errors.HASH_TOO_DEAR)


class UserDisabled(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(errors.USER_DISABLED)


class ProvisionedUserNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(errors.PROVISIONED_USER_NOT_FOUND)


class RoleNotGrantable(Refusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(errors.ROLE_NOT_GRANTABLE)
