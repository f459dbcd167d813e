"""Signing up and in with an account that people have elsewhere.

providers  who may be asked, from a file    flows      a browser on its way there and back, once
wire       the calls we make to others      id_tokens  what a provider signs, and by which keys
asking     who it was that came back        arrivals   what becomes of them: sign-in, account, or one thing more
claims     what is still to be proven       links      the accounts elsewhere that a user signs in with
signed_requests   what Facebook tells by itself    notices    what identity writes about it
"""
