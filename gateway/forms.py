"""What proves that a form comes from a page of ours, shown to this browser: a cookie, and a token of it in the form."""

import secrets
from hashlib import sha256

from gateway.http import Request

FORM_COOKIE = "__Host-rapport-form"
SET_FORM = "{}={}; Path=/; Secure; HttpOnly; SameSite=Lax"  # Lax: a link from elsewhere must not renew it


def form_cookie(request: Request) -> str:
    """The cookie that this browser has, or is to have."""
    return request.cookie(FORM_COOKIE) or secrets.token_urlsafe(24)


def set_form(cookie: str) -> tuple[bytes, bytes]:
    return b"set-cookie", SET_FORM.format(FORM_COOKIE, cookie).encode()


def hidden_fields(cookie: str, request: str = "", asked: int = 0) -> dict[str, str]:
    """What every form bears: the client's request that it goes on with, and since when the person is asked."""
    return {"request": request, "asked": str(asked), "form_token": token_of(cookie)}


def token_of(cookie: str) -> str:
    """What a form of this browser's bears: whoever reads the page cannot make the cookie of it."""
    return sha256(cookie.encode()).hexdigest()
