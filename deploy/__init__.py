"""How Rapport is run: here on one machine, and elsewhere."""
