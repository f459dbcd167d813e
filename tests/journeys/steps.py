"""The main job, told step by step: a visitor finds an answer, becomes a customer, is helped, and is forgotten.

Each step asserts what it did. They stand in the order of the story, and share what came before in `Story`.
"""

import base64
import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pyotp

from tests.journeys.elsewhere import Visitor, consent
from tests.journeys.people import COOKIE, Browser, done, eventually, new_key
from tests.journeys.platform import advance, consume_late, find_left
from tests.journeys.shop import paid, placed
from tests.journeys.story import (
    Story,
    account,
    answer,
    arrives,
    balance,
    equals,
    expected_online,
    moment,
    platform_time,
    purse,
    statement,
    wallet,
)

BONUS, PAID = 500, 40
GIFT, HELD, PART, RETURNED = 100, 150, 60, 30  # twice a part is captured: all of the gift, and 20 of the bonus
STATEMENT = "/pointsAccount/movements"
PIXEL = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde"
    b"\0\0\0\x0cIDATx\x9cc\xf8\xff\xff?\0\x05\xfe\x02\xfe\r\xefF\xb8\0\0\0\0IEND\xaeB`\x82"
).decode()

Told = str
Step = Callable[[Story], Awaitable[Told]]
STEPS: list[tuple[str, Step]] = []


def step(title: str) -> Callable[[Step], Step]:
    def add(function: Step) -> Step:
        STEPS.append((title, function))
        return function

    return add


@step("A visitor searches the FAQ")
async def search_faq(story: Story) -> Told:
    found = await story.customer.get("/v1/articles:search?query=newsletter%20points")
    titles = [article["title"] for article in found["articles"]]
    assert titles, "nothing found about the newsletter's points"
    nothing = await story.customer.get("/v1/articles:search?query=zyzzyva")
    assert nothing["articles"] == [], "found what nobody wrote"
    return f"{len(titles)} answers, the first: {titles[0]}"


@step("Asks whether support is online, inside and outside the service times")
async def ask_hours(story: Story) -> Told:
    seen: dict[bool, datetime] = {}
    for _ in range(4):
        told = await story.customer.get("/v1/availability")
        now, online = moment(told["asOfTime"]), told["online"]
        assert online == expected_online(now), f"online={online} at {now}"
        seen[online] = now
        if len(seen) == 2:
            break
        change = moment(told["nextCloseTime"] if online else told["nextOpenTime"])
        await advance(story.plan, change - now + timedelta(minutes=1))
    assert len(seen) == 2, "the service times never changed"
    eastern = ZoneInfo("America/New_York")
    shown = {online: at.astimezone(eastern).strftime("%a %H:%M") for online, at in seen.items()}
    return f"online {shown[True]}, offline {shown[False]} in New York"


@step("Registers by the mail she gets")
async def register(story: Story) -> Told:
    email = story.plant("email", "{}@example.org")
    before = done(await story.customer.call("POST", "/v1/registrations:begin", {"email": email}))
    known = done(await story.customer.call("POST", "/v1/registrations:begin", {"email": "ravi@example.org"}))
    assert before == known == {}, "the answer tells who has an account"
    token = await story.mailbox.token(email, "/register")
    name, story.secret = story.plant("display_name", "Ada {}"), secrets.token_urlsafe(12)
    asked = {"token": token, "password": story.secret, "displayName": name, "photo": PIXEL}
    user = await story.customer.post("/v1/registrations:complete", asked)
    again = await story.customer.call("POST", "/v1/registrations:complete", asked)
    assert again.reason == "LINK_INVALID", f"a link worked twice: {again.body}"
    wrong = await story.customer.call("POST", "/session", {"email": email, "password": "not her password"})
    assert (wrong.status, wrong.reason) == (401, "SIGN_IN_FAILED"), wrong.body
    await story.customer.sign_in(email, story.secret)
    assert story.customer.user == user["name"]
    changed = {
        "shippingAddress": {
            "recipient": story.plant("recipient", "Ada {}"),
            "lines": [story.plant("street", "{} Street 1")],
            "postalCode": "10115",
            "city": story.plant("city"),
            "regionCode": "DE",
        },
        "billingAddress": {"recipient": story.canaries["recipient"], "lines": [story.plant("billing", "Lane {}")]},
        "business": {
            "kind": "DROPSHIPPER",
            "company": story.plant("company", "{} Ltd"),
            "website": story.plant("website", "https://{}.example.org"),
        },
    }
    done(await story.customer.call("PATCH", f"/v1/{user['name']}", changed, if_match=f'"{user["etag"]}"'))
    changed = {"displayName": "x"}
    stale = await story.customer.call("PATCH", f"/v1/{user['name']}", changed, if_match=f'"{user["etag"]}"')
    assert (stale.status, stale.reason) == (412, "ETAG_MISMATCH"), stale.body
    photo = await story.customer.call("GET", f"/v1/{user['name']}/photo")
    assert photo.body.startswith(b"\xff\xd8\xff"), "the photo did not come back as a picture of our own making"
    return f"{user['name'][:14]}…, with photo, addresses and a dropshipping business"


@step("Subscribes, confirms, and has exactly 500 R points; not 1000 after doing it again")
async def subscribe(story: Story) -> Told:
    email = story.canaries["email"]
    for turn in range(2):
        done(await story.customer.call("POST", "/v1/subscriptions:begin", {"email": email}))
        token = await story.mailbox.token(email, "/confirm", seen=turn)
        told = await story.customer.post("/v1/subscriptions:confirm", {"token": token})
        assert told["bonus"] == ("ALREADY_GRANTED" if turn else "GRANTED"), told
        assert await balance(story) == BONUS, await balance(story)
        if not turn:
            mail = (await story.mailbox.messages(email))[0]["headers"]
            assert "List-Unsubscribe=One-Click" in mail["List-Unsubscribe-Post"], "no one-click unsubscribe"
            where = re.search(r"<(http[^>]+)>", mail["List-Unsubscribe"])
            assert where is not None
            left = await story.store.post(httpx.URL(where[1]).raw_path.decode())
            assert left.status_code == 200, left.text
            assert (await story.customer.get(f"/v1/{story.customer.user}/subscription"))["state"] == "ENDED"
    return f"{BONUS} R points, once"


@step("Pays an order, and gains points")
async def pay_order(story: Story) -> Told:
    now, user = await platform_time(story), story.customer.user
    number, other = f"A-{secrets.randbelow(10**6):06}", f"B-{secrets.randbelow(10**6):06}"
    story.order = f"{user}/orders/{number}"
    await story.shop.states(placed(user, number, PAID, now))
    for _ in range(2):  # a shop that repeats itself gives nothing twice
        await story.shop.states(paid(user, number, PAID, now))
    await story.shop.calls(placed=placed(story.other.user, other, 7, now))

    async def is_paid() -> bool:
        orders = (await story.customer.get(f"/v1/{user}/orders"))["orders"]
        return [(one["name"], one["state"]) for one in orders] == [(story.order, "PAID")]

    await eventually(is_paid, "the paid order")
    await eventually(lambda: equals(story, BONUS + PAID), "points for the order")
    orders = await story.other.get(f"/v1/{story.other.user}/orders")
    assert [one["name"] for one in orders["orders"]][:1] == [f"{story.other.user}/orders/{other}"]
    return f"order {number} paid, {BONUS + PAID} R points"


@step("Submits a ticket on that order")
async def submit_ticket(story: Story) -> Told:
    ticket = {
        "order": story.order,
        "kind": "CLAIM",
        "title": story.plant("ticket_title", "Lamp broken {}"),
        "body": story.plant("ticket_body", "It fell from the {} box."),
    }
    key, path = new_key(), f"/v1/{story.customer.user}/tickets"
    made = await story.customer.post(path, ticket, key=key)
    repeated = await story.customer.post(path, ticket, key=key)
    assert made["name"] == repeated["name"], "pressing twice made two tickets"
    reused = await story.customer.call("POST", path, ticket | {"kind": "QUERY"}, idempotency_key=key)
    assert (reused.status, reused.reason) == (422, "REQUEST_ID_REUSED"), reused.body
    story.ticket = made["name"]
    return f"{made['kind'].lower()}, {made['state'].lower()}"


@step("Is refused a ticket on somebody else's order")
async def refuse_ticket(story: Story) -> Told:
    theirs = (await story.other.get(f"/v1/{story.other.user}/orders"))["orders"][0]["name"]
    ticket = {"order": theirs, "kind": "QUERY", "title": "Mine?", "body": "Mine?"}
    refused = await story.customer.call("POST", f"/v1/{story.customer.user}/tickets", ticket)
    assert refused.reason == "ORDER_NOT_FOUND", refused.body
    intruding = await story.customer.call("GET", f"/v1/{story.other.user}/orders")
    assert (intruding.status, intruding.reason) == (403, "FORBIDDEN"), intruding.body
    snooping = await story.other.call("GET", f"/v1/{story.ticket}")
    assert (snooping.status, snooping.reason) == (403, "FORBIDDEN"), snooping.body
    return "ORDER_NOT_FOUND; FORBIDDEN to look at others'"


@step("An agent answers; she sees it on her stream, after a reconnect too")
async def hear_answer(story: Story) -> Told:
    async with story.customer.events() as stream:
        await answer(story, "We are sorry. A new lamp is on its way.")
        await arrives(stream, story)
        left_at = stream.last_id
    await answer(story, "It was sent today.")
    await story.customer.post(f"/v1/{story.ticket}/messages", {"body": story.plant("reply", "Thanks, {}!")})
    async with story.customer.events(left_at) as stream:
        sides = [(await stream.fact("rapport.support.v1.TicketReplied"))["event"]["side"] for _ in range(2)]
    assert sides == ["STORE", "CUSTOMER"], f"missed or heard twice: {sides}"
    messages = (await story.customer.get(f"/v1/{story.ticket}/messages"))["messages"]
    assert len(messages) == 4, messages
    return "2 answers heard, 1 of them while she was away"


@step("Corrects her name, which reaches what was said before")
async def rectify(story: Story) -> Told:
    name = story.plant("new_name", "Ada {}")
    done(await story.customer.call("PATCH", f"/v1/{story.customer.user}", {"displayName": name}))

    async def everywhere() -> bool:
        messages = (await story.customer.get(f"/v1/{story.ticket}/messages"))["messages"]
        return {one["authorName"] for one in messages if one["side"] == "CUSTOMER"} == {name}

    await eventually(everywhere, "her new name beside her messages")
    return "identity and support agree"


@step("Is given points that end tomorrow; the shop sets some aside for her next order")
async def hold_points(story: Story) -> Told:
    end = await platform_time(story) + timedelta(days=1)
    gift = {"points": GIFT, "expireTime": end.isoformat()}
    await story.admin.post(f"{wallet(story)}/movements:earn", gift, key=new_key())
    before = await balance(story)
    next_to_end = (await account(story))["expiring"][0]
    assert (next_to_end["points"], moment(next_to_end["expireTime"])) == (str(GIFT), end), next_to_end
    key, path = new_key(), f"{wallet(story)}/holds"
    async with story.customer.events() as stream:
        hold = await story.shop.post(path, {"points": HELD}, key=key)
        heard = await stream.fact("rapport.loyalty.v1.PointsHeld")
    assert heard["event"]["points"] == str(HELD), heard
    again = await story.shop.post(path, {"points": HELD}, key=key)
    assert (again["name"], again["replayed"]) == (hold["name"], True), "asking twice set points aside twice"
    other = await story.shop.call(path, {"points": HELD - 1}, key=key)
    assert (other.status, other.reason) == (422, "REQUEST_ID_REUSED"), other.body
    beyond = await story.shop.call(path, {"points": before})
    assert (beyond.reason, beyond.body["metadata"]["available"]) == ("INSUFFICIENT_POINTS", str(before - HELD)), beyond
    own = await story.customer.call("POST", path, {"points": 1}, idempotency_key=new_key())
    assert (own.status, own.reason) == (403, "FORBIDDEN"), own.body
    assert await purse(story) == (before - HELD, HELD), await account(story)
    story.hold = hold["name"]
    return f"{HELD} set aside, {before - HELD} left to spend"


@step("The shop ships in two parts and captures each; what is left is hers again")
async def capture_parts(story: Story) -> Told:
    before, path = await balance(story), f"/v1/{story.hold}:capture"
    for final in (False, True):
        captured = await story.shop.post(path, {"points": PART, "final": final})
        story.captures.append(captured["name"])
        if not final:
            assert await purse(story) == (before, HELD - PART), await account(story)
            beyond = await story.shop.call(path, {"points": HELD})
            assert (beyond.reason, beyond.body["metadata"]["remaining"]) == ("EXCEEDS_HOLD", str(HELD - PART)), beyond
    released = HELD - 2 * PART
    assert await purse(story) == (before + released, 0), await account(story)
    late = await story.shop.call(path, {"points": 1})
    assert late.reason == "HOLD_ENDED", late.body
    hold = await story.customer.get(f"/v1/{story.hold}")
    assert (hold["state"], hold["captured"], hold["released"]) == ("CAPTURED", str(2 * PART), str(released)), hold
    return f"2 x {PART} captured, {released} released"


@step("Sends things back a day later: points that ended meanwhile are gone, but for a grace")
async def refund_late(story: Story) -> Told:
    await advance(story.plan, timedelta(days=1))
    await story.customer.sign_in(story.canaries["email"], story.secret)  # what follows asks for a recent one
    before, bonus = await balance(story), 2 * PART - GIFT
    first, second = (f"/v1/{name}:refund" for name in story.captures)
    await story.shop.post(second, {"points": RETURNED, "graceDays": 0})
    assert await balance(story) == before + bonus, "not the last taken came back first, or it lives on"
    beyond = await story.shop.call(second, {"points": PART, "graceDays": 0})
    assert (beyond.reason, beyond.body["metadata"]["remaining"]) == ("EXCEEDS_REDEEMED", str(PART - RETURNED)), beyond
    await story.shop.post(first, {"points": PART, "graceDays": 30})
    assert await balance(story) == before + bonus + PART, await account(story)
    lots = (await story.customer.get(f"{wallet(story)}/lots"))["lots"]
    ends = [moment(one["expireTime"]) for one in lots if one["open"] == str(PART)]
    assert [end - await platform_time(story) > timedelta(days=29) for end in ends] == [True], lots
    return f"{bonus} of {RETURNED} back, {RETURNED - bonus} ended; with a grace, {PART} of {PART}"


@step("Reads her statement, which adds up to what she has")
async def read_statement(story: Story) -> Told:
    told = await statement(story)
    kinds = [one["kind"] for one in reversed(told)]
    assert kinds == [
        "NEWSLETTER_BONUS", "ORDER", "GOODWILL", "HOLD", "CAPTURE", "CAPTURE", "RELEASE", "REFUND", "EXPIRE", "REFUND",
    ], kinds  # fmt: skip
    sum_so_far = 0
    for one in reversed(told):
        sum_so_far += int(one["points"])
        assert int(one["balanceAfter"]) == sum_so_far, one
    assert (sum_so_far, sum(int(one["held"]) for one in told)) == await purse(story), await account(story)
    held = next(one for one in told if one["kind"] == "HOLD")
    then = await story.customer.get(f"{wallet(story)}?effectiveTime={held['effectiveTime']}")
    assert (then["available"], then["held"]) == (held["balanceAfter"], str(HELD)), then
    return f"{len(told)} movements, {sum_so_far} R points"


@step("Applies as a wholesaler, is asked for more, and is approved; another tax id is looked at again")
async def trade(story: Story) -> Told:
    said = {
        "kind": "WHOLESALER",
        "company": story.plant("legal_name", "{} GmbH"),
        "website": "https://bolts.example.org",
        "regionCode": "DE",
        "taxId": "DE 1",
        "contacts": [{"name": story.plant("contact", "Carla {}"), "phone": story.plant("phone", "+49 {}")}],
    }
    key = new_key()
    business = await story.customer.post("/v1/businesses", {"business": said}, key=key)
    again = await story.customer.post("/v1/businesses", {"business": said}, key=key)
    assert again["name"] == business["name"], "pressing twice began two applications"
    path = f"/v1/{business['name']}"
    early = await story.customer.call("POST", f"{path}:submit", {})
    assert early.reason == "BUSINESS_INCOMPLETE", early.body
    proof = b"%PDF-1.7\n" + secrets.token_bytes(1000)
    told = {"title": story.plant("document", "Register {}"), "sizeBytes": len(proof)}
    document = await story.customer.post(f"{path}/documents", {"document": told}, key=new_key())
    piece = {"offsetBytes": 0, "content": base64.b64encode(proof).decode()}
    await story.customer.post(f"/v1/{document['name']}:append", piece)
    await story.customer.post(f"{path}:submit")
    snooping = await story.other.call("GET", path)
    assert (snooping.status, snooping.reason) == (403, "FORBIDDEN"), snooping.body
    queue = (await story.admin.get("/v1/businesses?pageSize=200"))["businesses"]
    seen = next(one for one in queue if one["name"] == business["name"])
    shown = await story.admin.call("GET", f"/v1/{document['name']}:download")
    assert (shown.body, shown.headers["content-disposition"]) == (proof, "attachment"), shown.headers
    await story.admin.post(f"{path}:requestInfo", {"etag": seen["etag"], "text": "Which year is it from?"})
    stale = await story.admin.call("POST", f"{path}:approve", {"etag": seen["etag"]})
    assert stale.reason == "ETAG_MISMATCH", stale.body
    await story.customer.post(f"{path}:submit")
    async with story.customer.events() as stream:
        await story.admin.post(f"{path}:approve")
        heard = await stream.fact("rapport.identity.v1.BusinessApproved")
    assert heard["event"]["business"] == business["name"], heard
    twice = await story.admin.call("POST", f"{path}:approve", {})
    assert twice.reason == "BUSINESS_STATE", twice.body
    mails = {"We need more about your business", "Your business is approved"}

    async def is_told() -> bool:
        found = await story.mailbox.messages(story.canaries["email"])
        return mails <= {one["headers"]["Subject"] for one in found}

    await eventually(is_told, "the mails about what was decided")
    changed = done(await story.customer.call("PATCH", path, {"taxId": story.plant("tax_id", "DE {}")}))
    assert changed["state"] == "SUBMITTED", changed
    await story.admin.post(f"{path}:approve")
    return "asked, approved, and approved again"


@step("Asks for her data, and gets every item planted above")
async def export(story: Story) -> Told:
    made = await story.customer.post(f"/v1/{story.customer.user}/exports", key=new_key())
    answer = await story.customer.call("GET", f"/v1/{made['name']}:download")
    copy = done(answer)
    assert copy["complete"] is True
    present = {name: value for name, value in story.canaries.items() if name != "display_name"}  # since corrected
    text = str(copy)
    missing = sorted(name for name, value in present.items() if value not in text)
    assert not missing, f"not in the copy: {missing}"
    rows = sum(len(rows) for tables in copy["holders"].values() for rows in tables.values())
    held = await story.customer.get("/v1/dataMap")
    columns = sum(len(one["holdings"]) for one in held["holders"])
    return f"{rows} rows of {len(copy['holders'])} services, {len(present)} planted items in them; {columns} kinds"


@step("Signs out a device that she left somewhere, and reads what happened to her account")
async def sign_out_elsewhere(story: Story) -> Told:
    user, left = story.customer.user, Browser(story.store)
    await left.sign_in(story.canaries["email"], story.secret)
    session = (await left.get("/session"))["session"]
    listed = await story.customer.get(f"/v1/{user}/sessions")
    assert session in {one["name"] for one in listed["sessions"]}, listed
    done(await story.customer.call("DELETE", f"/v1/{session}"))

    async def is_out() -> bool:
        return (await left.call("GET", "/session")).status == 401

    await eventually(is_out, "the other device signed out", patience=5)
    newest = (await story.customer.get(f"/v1/{user}/auditEntries"))["auditEntries"][0]
    assert (newest["fact"], newest["actor"]) == ("SessionRevoked", "OWNER"), newest
    told = await story.admin.get("/v1/auditLog:verify")
    assert told["whole"] is True, told
    return f"{told['entries']} entries of the audit log are in one chain"


@step("Adds a second factor, without which her password signs nobody in")
async def add_factor(story: Story) -> Told:
    user, sign_in = story.customer.user, {"email": story.canaries["email"], "password": story.secret}
    begun = await story.customer.post(f"/v1/{user}/factors:beginTotp")
    story.canaries["totp"] = begun["secret"]
    app, now = pyotp.TOTP(begun["secret"]), await platform_time(story)
    added = await story.customer.post(f"/v1/{begun['name']}:confirmTotp", {"code": app.at(now)})
    stranger = Browser(story.store)
    asked = await stranger.call("POST", "/session", sign_in)
    assert (asked.status, stranger.secret) == (202, ""), f"a password was enough: {asked.body}"
    waits = {"challenge": asked.body["secondFactor"]["challenge"]}
    used = await stranger.call("POST", "/session/factor", waits | {"code": app.at(now)})
    assert used.reason == "CODE_WRONG", f"a code worked twice: {used.body}"
    done(await story.customer.call("POST", "/session/factor", waits | {"code": app.at(now, counter_offset=1)}))
    assert (await story.customer.get("/session"))["user"] == user
    codes = story.codes = added["recoveryCodes"]
    proven = await story.customer.post("/session/proof", {"recoveryCode": codes[0]})
    again = await story.customer.call("POST", "/session/proof", {"recoveryCode": codes[0]})
    assert (proven["user"], again.reason) == (user, "CODE_WRONG"), again.body
    listed = await story.customer.get(f"/v1/{user}/factors")
    assert listed["recoveryCodesLeft"] == len(codes) - 1, listed
    return f"an app that shows codes, and {len(codes)} codes on paper"


@step("Somebody else signs up with Google: with a name, a photo and no password; and leaves again")
async def social_sign_up(story: Story) -> Told:
    name, email = story.plant("social_name", "Nora {}"), story.plant("social_email", "{}@gmail.com")
    visitor, nora = Visitor(story.store), Browser(story.store)
    back = await consent(await visitor.leave("google"), name, email)
    kept = dict(visitor.cookies)
    answer = await visitor.go("GET", back, "cross-site")
    assert (answer.status_code, answer.headers.get("location")) == (303, "/#account"), answer.text
    nora.secret = visitor.cookies[COOKIE]
    nora.user = (await nora.get("/session"))["user"]
    me = await nora.get(f"/v1/{nora.user}")
    assert (me["displayName"], me["email"], me["hasPhoto"]) == (name, email, True), me
    linked = await nora.get(f"/v1/{nora.user}/externalIdentities")
    assert (linked["hasPassword"], len(linked["externalIdentities"])) == (False, 1), linked
    last = await nora.call("DELETE", f"/v1/{linked['externalIdentities'][0]['name']}")
    assert last.reason == "LAST_WAY_IN", f"the only way in was ended: {last.body}"
    visitor.cookies = kept
    again = await visitor.go("GET", back, "cross-site")
    assert (again.status_code, "Please begin again" in again.text) == (400, True), "a way back worked twice"
    gone = done(await nora.call("DELETE", f"/v1/{nora.user}?skipCoolingOff=true"))

    async def completed() -> bool:
        return bool((await story.store.get(f"/v1/{gone['erasure']}")).json().get("state") == "COMPLETED")

    await eventually(completed, "the end of her account")
    return f"{nora.user[:14]}…, by a stand-in for Google"


@step("Deletes her account, signs in again, and thinks better of it")
async def keep_account(story: Story) -> Told:
    user = f"/v1/{story.customer.user}"
    leaving = done(await story.customer.call("DELETE", user))
    assert (leaving["state"], leaving["erasure"]) == ("PENDING_DELETION", ""), leaving

    async def is_out() -> bool:
        return (await story.customer.call("GET", f"{user}/orders")).status == 401

    await eventually(is_out, "her session refused", patience=5)
    asked = await story.customer.call("POST", "/session", {"email": story.canaries["email"], "password": story.secret})
    proof = {"challenge": asked.body["secondFactor"]["challenge"], "recoveryCode": story.codes.pop()}
    done(await story.customer.call("POST", "/session/factor", proof))
    found = await story.customer.get(user)
    assert (found["state"], found["purgeTime"]) == ("PENDING_DELETION", leaving["purgeTime"]), found
    left = moment(found["purgeTime"]) - await platform_time(story)
    assert timedelta(days=6) < left < timedelta(days=8), left
    kept = await story.customer.post(f"{user}:undelete")
    assert (kept["state"], kept.get("purgeTime")) == ("ACTIVE", None), kept
    return f"{left.days + 1} days to think, and one click to stay"


@step("Deletes her account at once, and is signed out everywhere")
async def delete_account(story: Story) -> Told:
    gone = done(await story.customer.call("DELETE", f"/v1/{story.customer.user}?skipCoolingOff=true"))
    assert gone["state"] == "DELETING", gone
    story.erasure = gone["erasure"]

    async def is_out() -> bool:
        return (await story.customer.call("GET", f"/v1/{story.customer.user}/orders")).status == 401

    await eventually(is_out, "her session refused", patience=5)
    return story.erasure[:17] + "…"


@step("All holders acknowledge, and a scan of each finds nothing")
async def acknowledge(story: Story) -> Told:
    async def completed() -> Any:
        told = await story.store.get(f"/v1/{story.erasure}")
        receipt = told.json()
        return receipt if receipt.get("state") == "COMPLETED" else None

    receipt = await eventually(completed, "a completed erasure")
    answers = {one["holder"]: one for one in receipt["answers"]}
    assert set(answers) == {f"holders/{name}" for name in ("identity", "support", "loyalty", "privacy")}, set(answers)
    assert all(one["doneTime"] and one["verifyTime"] and not one["remaining"] for one in answers.values()), answers
    erased = sum(int(count["rows"]) for one in answers.values() for count in one["outcomes"])
    assert erased >= len(story.canaries), erased
    return f"{len(answers)} holders, {erased} values erased or kept with a reason"


@step("user.deleted reaches an internal consumer that started late")
async def tell_latecomer(story: Story) -> Told:
    event = await consume_late(story.plan, story.customer.user)
    assert event.erasure == story.erasure, event

    async def is_forgotten() -> bool:
        return not await story.mailbox.messages(story.canaries["email"])

    await eventually(is_forgotten, "a mail provider without her mail")  # it hears of it as any other
    return "heard from the beginning of the stream, and by the mail provider"


@step("The canary search finds nothing")
async def search_canaries(story: Story) -> Told:
    found, looked = await find_left(story.plan, story.canaries)
    assert not found, "\n".join(map(str, found[:20]))
    return f"{len(story.canaries)} canaries in {looked}; WAL and backups are the stated remainder"


@step("The journal still balances")
async def balance_books(story: Story) -> Told:
    told = await story.admin.get("/v1/ledger:verify")
    assert told["balanced"] is True, told
    assert told["sumOfLegs"] == "0", told
    return f"{told['entries']} entries, sum 0; {told['totals'].get('forfeited', '0')} points forfeited"


@step("Registering again does not earn the bonus again")
async def come_back(story: Story) -> Told:
    email = story.canaries["email"]
    visitor = Browser(story.store)
    await visitor.post("/v1/registrations:begin", {"email": email})
    token = await story.mailbox.token(email, "/register")
    secret = secrets.token_urlsafe(12)
    user = await visitor.post("/v1/registrations:complete", {"token": token, "password": secret, "displayName": "Ada"})
    assert user["name"] != story.customer.user, "the erased account came back"
    await visitor.sign_in(email, secret)
    await visitor.post("/v1/subscriptions:begin", {"email": email})
    told = await visitor.post("/v1/subscriptions:confirm", {"token": await story.mailbox.token(email, "/confirm")})
    assert told["bonus"] == "ALREADY_GRANTED", told
    told = await visitor.get(f"/v1/{user['name']}/pointsAccount")
    assert told["available"] == "0", told
    return "a new account, 0 points"
