"""The SCIM 2.0 face (RFC 7643, 7644): how a store's directory (Entra, Okta) provisions the store's own staff.

Identity decides, by its ProvisioningService; here are the addresses, the shape of what goes in and out, and what the
directories do differently. scim2-models has the protocol: schemas, paths, filters and patches.
"""
