"""What is there before any service: databases and roles, their tables, streams and consumers."""

import asyncio
import base64
import hashlib
import hmac
import secrets

import asyncpg
import nats

from chassis import migrations, streams
from chassis.streams import Party
from chassis.time import TestClock
from deploy.local import credentials
from deploy.local.parties import parties
from deploy.local.plan import Plan
from deploy.local.ports import SERVICES

ITERATIONS = 4096


def main(plan: Plan) -> str:
    return asyncio.run(lay(plan))


async def lay(plan: Plan) -> str:
    if plan.own_engines:
        TestClock.create(plan.state.clock)
    await databases(plan)
    for service in SERVICES:
        await migrations.upgrade(credentials.database_url(plan, service), service)
    known = parties(plan)
    await lay_streams(plan, known)
    steps = sum(len(list(migrations.steps(service).glob("*.py"))) for service in SERVICES)
    durables = sum(len(party.durables) for party in known)
    return " · ".join([f"{len(SERVICES)} databases", f"{steps} migrations", f"{durables} consumers"])


async def databases(plan: Plan) -> None:
    """One database for each service, owned by the role of the same name, closed to all others."""
    connection = await asyncpg.connect(credentials.admin_url(plan))  # type: ignore[no-untyped-call]
    try:
        roles = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
        made = {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
        for service in SERVICES:
            # Made here from the password, so that no server's log ever quotes it.
            verifier = scram(plan.state.secret(f"database-{service}").read_text())
            verb = "ALTER" if service in roles else "CREATE"
            await connection.execute(f"{verb} ROLE {service} LOGIN PASSWORD '{verifier}'")
            if service not in made:
                await connection.execute(f"GRANT {service} TO CURRENT_USER")  # asked of whoever makes it an owner
                await connection.execute(f"CREATE DATABASE {service} OWNER {service}")
                await connection.execute(f"REVOKE ALL ON DATABASE {service} FROM PUBLIC")
    finally:
        await connection.close()


async def lay_streams(plan: Plan, known: list[Party]) -> None:
    """The streams and consumers, made by the one user who may."""
    told = credentials.for_nats(plan, "operator")
    name, password = told["RAPPORT_NATS_USER"], plan.state.folder / told["RAPPORT_NATS_PASSWORD_FILE"]
    client = await nats.connect(
        told["RAPPORT_NATS_URL"],
        user=name or None,
        password=password.read_text() or None,
        inbox_prefix=f"_INBOX_{name or 'operator'}".encode(),
        connect_timeout=5,
        max_reconnect_attempts=0,
    )
    try:
        await streams.prepare(client.jetstream(), known)
    finally:
        await client.close()


def scram(password: str) -> str:
    """What PostgreSQL keeps of a password (RFC 5803)."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    client = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    words = [base64.b64encode(part).decode() for part in (salt, client, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{words[0]}${words[1]}:{words[2]}"
