"""What every service stands on, and nothing else: a module is here because each of them needs it."""
