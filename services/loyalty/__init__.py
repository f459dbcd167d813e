"""Points, from a double-entry journal; and the newsletter, which earns some.

Owns: the journal and its accounts, what each order earned, subscriptions, the mark of a bonus given, the programme;
vouchers, referrals, and how often something comes.
Never does: keep a name, or an address but that of a subscriber; change or delete what the journal holds; tell anybody
whose an account is (`member` alone knows, until its person is erased).

Hears: commerce.v1 OrderPaid, OrderShipped, OrderRefunded, OrderCancelled, OrderDisputed, OrderDisputeResolved;
identity.v1 UserCreated; privacy.v1 ErasureOrdered.
States: PointsEarned, PointsRedeemed and so on, one for each kind of movement; TierChanged, SubscriptionConfirmed,
SubscriptionEnded, LedgerSealed.
"""
