"""Who the page is looked at for: a customer whose things are told by the shop and said over the API."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from deploy.local.plan import Plan
from tests.journeys.people import Browser, Mailbox, done, eventually, gateway_client, mailbox_client
from tests.journeys.shop import Shop, paid, placed

LONG = "Donaudampfschifffahrtsgesellschaftskapitänsmützenbestellungsrückfrage"


@dataclass(frozen=True)
class Customer:
    email: str
    password: str
    user: str = ""
    ticket: str = ""


async def make_customer(plan: Plan, email: str, password: str) -> Customer:
    """One with orders, points, a word that is too long for any line, and a ticket that was answered."""
    async with gateway_client(plan) as store, mailbox_client(plan) as mail:
        customer = Browser(store)
        await customer.sign_in(email, password)
        await give_orders(plan, customer, {"A-100231": 40, "A-100245": 129})
        order = f"{customer.user}/orders/A-100231"
        said = {"order": order, "kind": "CLAIM", "title": "The shade is broken", "body": "It came\nin pieces."}
        ticket = await customer.post(f"/v1/{customer.user}/tickets", said)
        await answer(plan, ticket["name"], "We are sorry. A new one is on its way.", password)
        await customer.post(f"/v1/{customer.user}/tickets", said | {"title": LONG, "body": LONG})
        await customer.post("/v1/subscriptions:begin", {"email": email})
        token = await Mailbox(mail).token(email, "/confirm")
        await customer.post("/v1/subscriptions:confirm", {"token": token})
        await give_points(plan, customer, password)
        return Customer(email, password, customer.user, ticket["name"])


async def give_orders(plan: Plan, customer: Browser, orders: dict[str, int]) -> None:
    """Paid ones, of so many dollars."""
    shop, now = Shop(plan), datetime.now(UTC)
    for number, units in orders.items():
        await shop.states(placed(customer.user, number, units, now))
        await shop.states(paid(customer.user, number, units, now))

    async def are_paid() -> bool:
        found = (await customer.get(f"/v1/{customer.user}/orders"))["orders"]
        return len(found) >= len(orders) and all(one["state"] == "PAID" for one in found)

    await eventually(are_paid, "the paid orders")


async def give_points(plan: Plan, customer: Browser, password: str) -> None:
    """Some that end, on more dates than are named at once, some that wait, and some set aside."""
    wallet, now = f"/v1/{customer.user}/pointsAccount", datetime.now(UTC)
    async with gateway_client(plan) as store:
        admin = Browser(store)
        await admin.sign_in("alma@example.org", password)
        for months in range(1, 6):
            gift = {"points": 1000 * months, "expireTime": (now + timedelta(days=30 * months)).isoformat()}
            await admin.post(f"{wallet}/movements:earn", gift, key=str(uuid4()))
        waiting = {"points": 129, "availableTime": (now + timedelta(days=14)).isoformat()}
        await admin.post(f"{wallet}/movements:earn", waiting, key=str(uuid4()))
    shop = Shop(plan)
    hold = await shop.post(f"{wallet}/holds", {"points": 1200, "lasts": "86400s"})
    await shop.post(f"/v1/{hold['name']}:capture", {"points": 300})


async def answer(plan: Plan, ticket: str, text: str, password: str) -> None:
    """What the agent says on it."""
    async with gateway_client(plan) as store:
        agent = Browser(store)
        await agent.sign_in("ravi@example.org", password)
        await agent.post(f"/v1/{ticket}/messages", {"body": text}, key=str(uuid4()))


async def make_leaver(plan: Plan) -> Customer:
    """One whose mail comes back, and who asked for their account to be deleted."""
    email, secret = f"mia-{uuid4().hex[:8]}@example.org", "four unusual words here"
    operator = {"x_rapport_service": plan.state.secret("token-operator").read_text()}
    home = {"recipient": "Mia Lind", "lines": ["12 Lantern Lane"], "postalCode": "02139", "city": "Cambridge"}
    made = {"email": email, "displayName": "Mia", "shippingAddress": home | {"regionCode": "US"}}
    async with gateway_client(plan) as store, mailbox_client(plan) as provider:
        leaver = Browser(store)
        done(await Browser(store).call("POST", "/v1/users", {"user": made, "password": secret}, **operator))
        await leaver.sign_in(email, secret)
        (await provider.put("/refusals", json={"addresses": [email]})).raise_for_status()
        await leaver.post("/v1/recoveries:begin", {"email": email})

        async def comes_back() -> bool:
            return bool((await leaver.get(f"/v1/{leaver.user}"))["contactConfirmation"] == "BOUNCED")

        await eventually(comes_back, "word that the mail comes back")
        done(await leaver.call("DELETE", f"/v1/{leaver.user}"))
    return Customer(email, secret, leaver.user)


async def token_for(plan: Plan, email: str, path: str) -> str:
    async with mailbox_client(plan) as mail:
        return await Mailbox(mail).token(email, path)
