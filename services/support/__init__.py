"""Support: answers, opening times, the customer's orders, and tickets about them.

Owns: the FAQ, service hours, orders as the shop's own systems told them, tickets and their messages; it also speaks
rapport.commerce.v1, the door those systems come in by.
Never: takes an order or a payment, asks who somebody is, keeps a copy of a person but the name beside their words.
Events in: identity.UserUpdated, privacy.ErasureOrdered, and the shop's own on ingress.commerce.>.
Events out: support.TicketCreated, TicketReplied, TicketMoved; commerce.OrderPlaced, OrderPaid, OrderShipped,
OrderRefunded, OrderCancelled.
"""
