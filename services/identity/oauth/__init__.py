"""The OAuth 2.1 and OpenID Connect provider: who may ask for what, and what becomes of it.

    parameters ──▶ asks.read ──▶ asks.decide ──▶ an outcome      no database, no clock: what comes in decides
                        clients, authorizations                   what is kept

`asks` is the protocol of the authorization endpoint, `codes` the secrets that go out (a code, a refresh token),
`claims` what tokens say. Nothing that works is kept: a code and a refresh token are worked out from the
authorization's id and a key, so that a copy of the database opens nothing and no table of tokens grows.
"""
