"""Seal the mail that waits."""

from chassis.migrations import seal_mail

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    seal_mail()
