"""Speaks rapport.loyalty.v1; decides nothing."""
