"""Personal data is declared once, on contracts and columns, and everything follows from there: the data map, export,
erasure, restriction, retention, the search for residue, and the refusal of whatever was not declared."""

from chassis.personal_data.declare import impersonal, personal, subject, unlinked

__all__ = ["impersonal", "personal", "subject", "unlinked"]
