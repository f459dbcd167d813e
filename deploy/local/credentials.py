"""Who is told what: the settings and secrets of every process."""

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.local.plan import Plan
from deploy.local.ports import SERVICES, instances
from deploy.local.social_mischief import CLIENT_ID
from deploy.local.state import State

PEERS = (*SERVICES, "gateway", "operator", "shop")
MAIL_FROM = "store@example.org"


def for_service(plan: Plan, service: str, instance: str) -> dict[str, str]:
    state = plan.state
    told = for_peer(plan, service, instance) | {
        "RAPPORT_LISTEN": f"127.0.0.1:{plan.ports[instance]}",
        "RAPPORT_DATABASE_URL_FILE": str(state.told(f"database-{service}.url", database_url(plan, service))),
        "RAPPORT_ISSUER": plan.origin,
        "RAPPORT_PAGE_KEY_FILE": str(state.secret("page-key")),
        "RAPPORT_PEERS": str(peers(state)),
        "RAPPORT_SMTP_URL": f"smtp://127.0.0.1:{plan.ports['smtp']}",
        "RAPPORT_MAIL_FROM": MAIL_FROM,
        "RAPPORT_MAIL_KEY_FILE": str(state.secret(f"mail-key-{service}", hex_key)),
    }
    match service:
        case "identity":
            told["RAPPORT_PUBLIC_URL"] = plan.origin
            told["RAPPORT_SIGNING_KEY_FILE"] = str(state.secret("signing-key", signing_key))
            told["RAPPORT_ID_TOKEN_KEY_FILE"] = str(state.secret("id-token-key", id_token_key))
            told["RAPPORT_OAUTH_KEY_FILE"] = str(state.secret("oauth-key", hex_key))
            told["RAPPORT_FACTOR_KEY_FILE"] = str(state.secret("factor-key", hex_key))
            told["RAPPORT_SOCIAL_PROVIDERS_FILE"] = str(social_providers(plan))
            told["RAPPORT_PAYMENT_PROVIDERS"] = "paypal, stripe"
        case "loyalty":
            told["RAPPORT_PUBLIC_URL"] = plan.origin
            told["RAPPORT_BONUS_KEY_FILE"] = str(state.secret("bonus-key", hex_key))
    return told | dict(plan.told.get(service, {}))


def for_gateway(plan: Plan, instance: str) -> dict[str, str]:
    return for_peer(plan, "gateway", instance) | {
        "RAPPORT_LISTEN": f"127.0.0.1:{plan.ports[instance]}",
        "RAPPORT_PUBLIC_URL": plan.origin,
        "RAPPORT_MAILBOX_URL": plan.urls["mailbox"],
    }


def for_peer(plan: Plan, name: str, instance: str) -> dict[str, str]:
    """What every process that speaks gRPC is told."""
    told = for_nats(plan, name) | {
        "RAPPORT_METRICS_LISTEN": f"127.0.0.1:{plan.ports[f'{instance}-metrics']}",
        "RAPPORT_SERVICE_TOKEN_FILE": str(plan.state.secret(f"token-{name}")),
        "RAPPORT_REPLICA": instance,
        "RAPPORT_DRAIN_SECONDS": "0.7",  # what the network of one machine takes to believe it
    }
    told |= {f"RAPPORT_{service.upper()}_TARGET": target(plan, service) for service in SERVICES}
    if plan.own_engines:
        told["RAPPORT_TEST_CLOCK"] = str(plan.state.clock)
    return told


def for_sink(plan: Plan) -> dict[str, str]:
    return for_nats(plan, "mail") | {
        "RAPPORT_LISTEN": f"127.0.0.1:{plan.ports['mail']}",
        "RAPPORT_SMTP_LISTEN": f"127.0.0.1:{plan.ports['smtp']}",
        "RAPPORT_MAILBOX": str(plan.state.mailbox),
    }


def for_social(plan: Plan) -> dict[str, str]:
    """What the stand-in for Google and Facebook is told."""
    told = {
        "RAPPORT_LISTEN": f"127.0.0.1:{plan.ports['social']}",
        "RAPPORT_PUBLIC_URL": plan.social_url,
        "RAPPORT_STORE_URL": plan.urls["store"],
        "RAPPORT_CLIENT_SECRET_FILE": str(plan.state.secret("social-client")),
        "RAPPORT_SIGNING_KEY_FILE": str(plan.state.secret("social-key", ec_key)),
    }
    return told | ({"RAPPORT_TEST_CLOCK": str(plan.state.clock)} if plan.own_engines else {})


def social_providers(plan: Plan) -> Path:
    """The stand-in, as identity is told of it: docs/add-a-provider.md."""
    there, secret = plan.social_url, str(plan.state.secret("social-client"))
    return plan.state.told("social-providers.yaml", json.dumps({"providers": local_providers(there, secret)}, indent=1))


def local_providers(there: str, secret_file: str) -> list[dict[str, Any]]:
    both = {"client_id": CLIENT_ID, "client_secret_file": secret_file, "local": True}
    google = {
        "name": "google",
        "title": "Google",
        "kind": "oidc",
        "issuer": f"{there}/google",
        "authorization_endpoint": f"{there}/google/authorize",
        "token_endpoint": f"{there}/google/token",
        "jwks_uri": f"{there}/google/keys",
        "proven_domains": ["gmail.com"],
    }
    facebook = {
        "name": "facebook",
        "title": "Facebook",
        "kind": "facebook",
        "issuer": f"{there}/facebook",
        "authorization_endpoint": f"{there}/facebook/authorize",
        "token_endpoint": f"{there}/facebook/token",
        "profile_endpoint": f"{there}/facebook/me",
    }
    return [google | both, facebook | both]


def for_nats(plan: Plan, user: str) -> dict[str, str]:
    """On a server that is not ours everyone is the user that its URL names."""
    if plan.nats_url:
        there = urlsplit(plan.nats_url)
        host = there.hostname or "127.0.0.1"
        password = plan.state.told("nats-outside", there.password or "")
        url, name = f"{there.scheme}://{host}:{there.port or 4222}", there.username or ""
    else:
        url, name = f"nats://127.0.0.1:{plan.ports['nats']}", user
        password = plan.state.secret(f"nats-{user}")
    return {"RAPPORT_NATS_URL": url, "RAPPORT_NATS_USER": name, "RAPPORT_NATS_PASSWORD_FILE": str(password)}


def target(plan: Plan, service: str) -> str:
    """The gRPC target of a service: all its instances, taken in turn."""
    return "ipv4:" + ",".join(f"127.0.0.1:{plan.ports[one]}" for one in instances(service, plan.replicas))


def peers(state: State) -> Path:
    """Everybody's name and the hash of the token that proves it."""
    hashes = {name: hashlib.sha256(state.secret(f"token-{name}").read_bytes()).hexdigest() for name in PEERS}
    return state.told("peers.json", json.dumps(hashes, indent=1))


def admin_url(plan: Plan) -> str:
    """The database that roles and databases are made from."""
    if plan.database_url:
        return plan.database_url
    password = plan.state.secret("database-postgres").read_text()
    return f"postgresql://postgres:{password}@127.0.0.1:{plan.ports['postgres']}/postgres"


def database_url(plan: Plan, service: str) -> str:
    """A service's own: its role, its password, its database, on whichever server."""
    there = urlsplit(admin_url(plan))
    password = quote(plan.state.secret(f"database-{service}").read_text())
    query = f"?{there.query}" if there.query else ""
    return f"postgresql://{service}:{password}@{there.hostname}:{there.port or 5432}/{service}{query}"


def hex_key() -> str:
    return secrets.token_hex(32)


def signing_key() -> str:
    """An Ed25519 key in PEM."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def ec_key() -> str:
    """A P-256 key in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def id_token_key() -> str:
    """An RSA key and a P-256 key in PEM."""
    keys = rsa.generate_private_key(public_exponent=65537, key_size=2048), ec.generate_private_key(ec.SECP256R1())
    return "".join(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode() for key in keys)
