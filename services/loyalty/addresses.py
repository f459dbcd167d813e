"""Mail addresses, and when two of them are one mailbox."""

import re

from chassis.refusal import Violation
from services.loyalty.refusals import EmailMalformed

# What people and providers really use of RFC 5321; whether somebody reads there is for the mail to find out.
LOCAL = re.compile(r"[^\s@\"(),:;<>\[\]\\\x00-\x1f\x7f]{1,64}")
DOMAIN = re.compile(r"(?=.{4,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
WRONG = "This needs one @ and a domain: name@example.org."

# Only where the provider says so. A stranger's `jane+a@` may be another mailbox than `jane@`.
ONE_PROVIDER = {"googlemail.com": "gmail.com"}
PLUS_IS_A_TAG = frozenset(
    {
        "gmail.com",
        "outlook.com",
        "hotmail.com",
        "live.com",
        "icloud.com",
        "fastmail.com",
        "proton.me",
        "protonmail.com",
    }
)
DOTS_DO_NOT_COUNT = frozenset({"gmail.com"})


def exact(email: str) -> str:
    """The address as it is compared: trimmed, lower case, the domain in its ASCII form; refused if it is none."""
    local, at, domain = email.strip().lower().rpartition("@")
    try:
        domain = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        domain = ""
    if not at or not LOCAL.fullmatch(local) or not DOMAIN.fullmatch(domain):
        raise EmailMalformed("That is no mail address.", violations=[Violation("email", "EMAIL_MALFORMED", WRONG)])
    return f"{local}@{domain}"


def canonical(email: str) -> str:
    """The mailbox that an exact address reaches, where its provider folds several addresses into one."""
    local, _, domain = email.rpartition("@")
    domain = ONE_PROVIDER.get(domain, domain)
    if domain in PLUS_IS_A_TAG:
        local = local.partition("+")[0] or local
    if domain in DOTS_DO_NOT_COUNT:
        local = local.replace(".", "")
    return f"{local}@{domain}"


def folded(email: str) -> str:
    """The mailbox that an exact address would reach, if its provider folded as the most generous does."""
    local, _, domain = canonical(email).rpartition("@")
    return f"{local.partition('+')[0].replace('.', '') or local}@{domain}"


def is_everybodys(email: str) -> bool:
    """Whether its domain is that of a provider with whom people are that have nothing to do with each other."""
    return canonical(email).rpartition("@")[2] in PLUS_IS_A_TAG
