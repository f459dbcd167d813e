"""Speaks rapport.identity.v1; decides nothing."""
