"""The gateway: HTTP in front of the services.

Owns: nothing. Routes, bindings, limits and texts are read from the contracts.
Never does: decide who may do what (each service does), speak SQL, keep state that another instance would miss.
"""
