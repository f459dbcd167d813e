"""Personal data is declared once, on contracts and columns, and everything follows from there: the data map, export,
erasure, restriction, retention, the search for residue, and the refusal of whatever was not declared."""

from chassis.personal_data.check import check, holds_people
from chassis.personal_data.declare import impersonal, personal, subject, unlinked
from chassis.personal_data.holdings import Undeclared

__all__ = ["Undeclared", "check", "holds_people", "impersonal", "personal", "subject", "unlinked"]
