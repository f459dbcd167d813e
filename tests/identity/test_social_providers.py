"""Providers are data: what the file may say, and what is said of a file that is wrong."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.settings import SettingsError
from services.identity.social.providers import read

GOOGLE: dict[str, Any] = {
    "name": "google",
    "title": "Google",
    "kind": "oidc",
    "issuer": "https://accounts.example.com",
    "authorization_endpoint": "https://accounts.example.com/authorize",
    "token_endpoint": "https://oauth.example.com/token",
    "jwks_uri": "https://www.example.com/keys",
    "client_id": "ours",
}
FACEBOOK = GOOGLE | {
    "name": "facebook",
    "kind": "facebook",
    "profile_endpoint": "https://graph.example.com/me",
}
del FACEBOOK["jwks_uri"]


@pytest.fixture
def secret(tmp_path: Path) -> str:
    file = tmp_path / "secret"
    file.write_text("very secret\n")
    return str(file)


def told(*providers: Any) -> str:
    return yaml.safe_dump({"providers": list(providers)})


def test_no_file_is_no_provider() -> None:
    assert read("") == {}
    assert read(" \n") == {}
    assert read(told()) == {}


def test_providers_come_in_the_file_s_order_with_their_secrets(secret: str) -> None:
    found = read(
        told(*(one | {"client_secret_file": secret} for one in (FACEBOOK, GOOGLE | {"proven_domains": ["GMail.com"]})))
    )
    assert list(found) == ["facebook", "google"]
    google = found["google"]
    assert (google.client_secret.value, google.proven_domains, google.is_local) == (
        "very secret",
        ("gmail.com",),
        False,
    )
    assert google.origins == {"https://accounts.example.com", "https://oauth.example.com", "https://www.example.com"}
    assert "very secret" not in repr(found)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"titel": "Google"}, "google says titel, which means nothing here"),
    ({"title": ""}, "google does not say title."),
    ({"jwks_uri": ""}, "google does not say jwks_uri."),
    ({"kind": "facebook"}, "google does not say profile_endpoint."),
    ({"kind": "saml"}, "google has to be of the kind oidc or facebook."),
    ({"name": "Google!"}, "needs another name"),
    ({"name": "confirm"}, "needs another name"),
    ({"token_endpoint": "http://oauth.example.com/token"}, "google has to say token_endpoint with https."),
    ({"token_endpoint": "https://u:p@oauth.example.com/token"}, "token_endpoint as a bare address"),
    ({"jwks_uri": "https:///keys"}, "jwks_uri as a bare address"),
    ({"local": True}, "is local, and its authorization_endpoint is not on this machine"),
    ({"local": "yes"}, "local is true or false"),
    ({"title": 5}, "has to say texts"),
    ({"proven_domains": "gmail.com"}, "proven_domains as a list"),
    ({"client_secret_file": "/nowhere/at/all"}, "client_secret_file that cannot be read"),
]


@pytest.mark.parametrize(("said", "complaint"), WRONG)
def test_what_is_wrong_with_a_provider_is_said(secret: str, said: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(told(GOOGLE | {"client_secret_file": secret} | said))
    assert complaint in str(refused.value)
    assert "RAPPORT_SOCIAL_PROVIDERS_FILE" in str(refused.value)


@pytest.mark.parametrize("text", ["providers: {", "- a", "providers: google", "others: []", "providers: [google]", "5"])
def test_a_file_that_lists_no_providers_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="RAPPORT_SOCIAL_PROVIDERS_FILE has to hold"):
        read(text)


def test_everything_that_is_wrong_is_said_at_once(secret: str) -> None:
    good, empty = GOOGLE | {"client_secret_file": secret}, Path(secret).with_name("empty")
    empty.write_text("\n")
    with pytest.raises(SettingsError) as refused:
        read(told(good, good, FACEBOOK | {"client_secret_file": str(empty), "kind": "x"}))
    said = str(refused.value).splitlines()
    assert len(said) == 3
    assert "google stands there twice." in str(refused.value)
    assert "has an empty client_secret_file." in str(refused.value)
