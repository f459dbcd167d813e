"""Businesses that trade with the store: their applications, documents, reviews and members.

`states` says what may become of an application, and knows nothing else. Whoever changes anything of a business holds
its row first, and users after it.
"""
