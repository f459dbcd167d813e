"""Privacy: what people agreed to, and what they may ask of us.

Owns: the policy's versions, consents, requests for a copy, erasures and their receipts.
Never does: store a copy of what others hold (a copy streams through), erase another's tables, decide what is personal
(the contracts do).
Events in: identity's user.deletion_requested, every holder's erasure.done.
Events out: erasure.ordered, erasure.completed, consent.changed, export.created.
Calls: every holder's HolderService.
"""
