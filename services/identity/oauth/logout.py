"""What a client says that wants a person signed out (OpenID Connect RP-Initiated Logout 1.0).

Anybody can send a browser here. So only an ID token of the very sign-in ends it unasked, and a browser goes on only to
an address that the client registered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from services.identity.models import Client, Session
from services.identity.oauth.protocol import invalid
from services.identity.tokens import Signer


@dataclass(frozen=True)
class Wish:
    """A client's wish, as far as it is proven."""

    client_id: str
    hint: Mapping[str, Any]  # the claims of an ID token of ours
    uri: str
    state: str

    def is_of(self, session: Session) -> bool:
        """Whether the client shows that it speaks of this session."""
        return self.hint.get("sid") == str(session.id)


def read(parameters: Mapping[str, str], signer: Signer) -> Wish:
    """The wish, or what is wrong with it."""
    named, token = parameters.get("client_id", ""), parameters.get("id_token_hint", "")
    hint = signer.hinted(token) if token else {}
    if hint is None:
        raise invalid("The id_token_hint is no ID token of ours.")
    if named and hint and named != hint["aud"]:
        raise invalid("The id_token_hint is of another client.")
    client_id = named or str(hint.get("aud", ""))
    return Wish(client_id, hint, parameters.get("post_logout_redirect_uri", ""), parameters.get("state", ""))


def address(wish: Wish, client: Client | None) -> str:
    """Where the browser goes on to, "" for nowhere; or a refusal of an address that is not the client's."""
    if not wish.uri:
        return ""
    if client is None:
        raise invalid("Send client_id or id_token_hint with post_logout_redirect_uri.")
    if wish.uri not in client.post_logout_redirect_uris:
        raise invalid("That post_logout_redirect_uri is not registered for this client.")
    return f"{wish.uri}{'&' if '?' in wish.uri else '?'}{urlencode({'state': wish.state})}" if wish.state else wish.uri
