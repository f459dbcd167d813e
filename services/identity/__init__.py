"""Identity: who people are, how they prove it, and the sessions they hold.

Owns: users and their profiles, passwords, second factors, sessions, registration links, the keys that
sign tokens, the clients of the OAuth provider and what people let them do, the accounts elsewhere they sign in with,
the businesses that trade with the store and their customers, the tokens that people pay by, and which program made whom
of the staff.
Never does: say whether an address has an account, keep a password or a secret that works, decide what a role may do
(the contracts do), erase before every other holder has.
Events in: privacy's erasure.ordered.
Events out: user.created, user.updated, user.disabled, user.enabled, user.deletion_requested, user.deleted,
session.created, session.revoked,
authorization.created, authorization.revoked, credential.added, credential.removed, external.identity_linked,
external.identity_unlinked, business.submitted, .approved, .info_requested, .refused, .suspended, .reinstated,
.withdrawn, .updated, .customer_erased and .closed, membership.began, membership.ended, user.impersonated,
impersonation.ended, payment.method_added, payment.method_removed.
Calls: no service of ours; the providers that people sign in with.
"""
