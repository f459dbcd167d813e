"""What opens something is in no log, no event and no row: whatever is sent, and wherever it is put."""

import base64
import re
from datetime import timedelta
from urllib.parse import urlencode

import httpx
import pytest
from aiosmtplib import SMTPException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rapport.identity.v1 import identity_pb2
from sqlalchemy import text

from chassis.database import chassis_metadata
from chassis.mail import Server, hand_over
from chassis.personal_data.residue import find, written
from chassis.settings import Secret
from chassis.time import system_clock
from services.identity.models import Base
from tests import mail_server
from tests.identity.conformance.party import Party
from tests.identity.oauth import Provider, as_web
from tests.identity.people import ADA, EVE, PASSWORD, Identity
from tests.store import Store

over_http = pytest.mark.xdist_group("store")
PROCESSES = ("gateway", "identity", "support", "privacy", "loyalty")
PATHS = (
    *("/oauth/authorize", "/oauth/token", "/oauth/introspect", "/oauth/revoke", "/oauth/userinfo"),
    *(
        "/oauth/end-session",
        "/oauth/sign-in",
        "/oauth/consent",
        "/oauth/sign-out",
        "/session",
        "/v1/registrations:begin",
    ),
    *("/v1/registrations:complete", "/v1/recoveries:complete", "/v1/users/-", "/v1/clients/store-app"),
)
FIELDS = (
    *("code", "refresh_token", "token", "access_token", "password", "client_secret", "id_token_hint", "code_verifier"),
    *("login_hint", "state", "nonce", "client_id", "redirect_uri", "claims", "email", "request", "form_token", "scope"),
)
SECRETS = st.text("abcdefghijkmnpqrstuvwxyz23456789-_", min_size=24, max_size=80).map("SECRET-".__add__)
PLACES = st.sampled_from(("query", "form", "json", "bearer", "basic", "cookie", "path", "header"))


def put(http: httpx.Client, path: str, place: str, field: str, secret: str) -> httpx.Response:
    """Send a secret, somewhere in a request."""
    match place:
        case "query":
            return http.get(f"{path}?{urlencode({field: secret})}")
        case "form":
            return http.post(path, data={"client_id": "store-app", "grant_type": "refresh_token", field: secret})
        case "json":
            return http.post(path, json={field: secret, "token": secret, "email": secret})
        case "bearer":
            return http.get(path, headers={"authorization": f"Bearer {secret}"})
        case "basic":
            both = base64.b64encode(f"{secret}:{secret}".encode()).decode()
            return http.post(path, headers={"authorization": f"Basic {both}"}, data={field: secret})
        case "cookie":
            return http.get(path, headers={"cookie": f"__Host-rapport={secret}; __Host-rapport-linked={secret}"})
        case "path":
            return http.get(f"{path}/{secret}")
    return http.get(path, headers={"x-request-id": f"{secret}@", "x-rapport-service": secret, "user-agent": secret})


@over_http
def test_wherever_a_secret_is_put_no_log_holds_it(store: Store) -> None:
    sent: set[str] = set()
    with httpx.Client(base_url=store.url, timeout=20) as http:

        @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(st.sampled_from(PATHS), PLACES, st.sampled_from(FIELDS), SECRETS)
        def send(path: str, place: str, field: str, secret: str) -> None:
            answer = put(http, path, place, field, secret)
            assert answer.status_code < 500 or answer.status_code == 503
            sent.add(secret)

        send()
    logs = "".join(store.written(process) for process in PROCESSES)
    assert "oauth/token" in logs  # that the calls were logged
    assert len(sent) > 50
    assert [secret for secret in sent if secret in logs] == []


@over_http
async def test_no_log_holds_what_a_sign_in_was_made_of(rp: Party) -> None:
    code = await rp.code(login_hint=rp.person.email)
    tokens = await rp.redeem(code)
    again = (await rp.call_token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])).json()
    await rp.end_session(id_token_hint=tokens["id_token"])
    secrets = [code, rp.secret, rp.person.email, *rp.browser.cookies.values()]
    secrets += [value for told in (tokens, again) for name, value in told.items() if name.endswith("_token")]
    logs = "".join(rp.store.written(process) for process in PROCESSES)
    assert [one for one in secrets if one and one in logs] == []
    assert "eyJ" not in logs


async def test_a_copy_of_the_database_holds_nothing_that_opens_something(provider: Provider) -> None:
    web, identity = await as_web(provider), provider.identity
    told = [await web.tokens(), await provider.tokens(scope="openid offline_access")]
    await identity.begin(EVE)
    await identity.stub.BeginRecovery(identity_pb2.BeginRecoveryRequest(email=ADA))
    user = (await identity.issue(provider.session)).session.rsplit("/", 2)[0]
    change = identity_pb2.ChangeEmailRequest(name=user, email="new@example.org")
    await identity.stub.ChangeEmail(change, metadata=identity.as_(user))
    links = [await identity.token(email) for email in (EVE, ADA, "new@example.org")]
    secrets = [PASSWORD, web.secret, provider.session, await web.code(), *links]
    secrets += [value for one in told for name, value in one.items() if name.endswith("_token")]
    tables = [one for metadata in (Base.metadata, chassis_metadata) for one in metadata.tables]
    rows = {}
    async with identity.sessions() as session:
        for table in tables:
            found = await session.execute(text(f'SELECT t::text FROM "{table}" AS t'))  # noqa: S608
            rows[table] = str(found.all())
    assert {"session", "recovery", "registration", "email_change", "authorization", "outbox", "mail"} <= rows.keys()
    forms = {form for one in secrets for form in written(one)}
    assert [table for table, held in rows.items() for one in forms if one in held] == []


async def test_a_link_that_nobody_reads_in_the_database_still_reaches_its_owner(identity: Identity) -> None:
    """While the mail server is away, a copy of the database is of no use; when it is back, the mail works."""
    provider = mail_server.Provider()
    port = await provider.listen()
    provider.close()
    server = Server("127.0.0.1", port, None, Secret(""), False, "shop@store.example.org")
    await identity.begin(EVE)
    later = system_clock() + timedelta(seconds=1)
    with pytest.raises((OSError, SMTPException)):
        await hand_over(server, identity.sessions, later)
    async with identity.sessions() as session:
        assert await find(session, EVE) == {"mail.recipient": 1, "registration.email": 1}  # the search sees the row
        assert await find(session, "token=") == await find(session, "register#") == {}
    await provider.listen(port)
    assert await hand_over(server, identity.sessions, later) == 1
    provider.close()
    body = provider.taken[0].get_body(("plain",))
    assert body is not None
    [token] = re.findall(r"#token=(\S+)", body.get_content())
    asked = identity_pb2.CompleteRegistrationRequest(token=token, password=PASSWORD)
    assert (await identity.stub.CompleteRegistration(asked)).email == EVE
