"""What a process is told from outside: one frozen dataclass, read once from RAPPORT_* variables.

    @dataclass(frozen=True, kw_only=True)
    class Settings(ServiceSettings):
        password_memory_kib: int = 19_456  # argon2's cost

    settings = load(Settings)  # password_memory_kib comes from RAPPORT_PASSWORD_MEMORY_KIB

A secret is never in the environment, which dumps show: `RAPPORT_PAGE_KEY_FILE` names the file that holds page_key.
"""

import difflib
import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

PREFIX = "RAPPORT_"
# What Kubernetes tells every container about every Service whose name begins with rapport.
SERVICE_LINK = re.compile(
    r"RAPPORT_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?)"
)
LINK_URL = re.compile(r"(tcp|udp|sctp)://")
T = TypeVar("T")


class SettingsError(Exception):
    """The process cannot start as it was told to. Its text is for the operator, one sentence a line."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is handed on only by asking for it: printed, it says nothing."""

    value: str = field(repr=False)


UNSET = Secret("")


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """What every service is told."""

    listen: str  # host:port of gRPC; port 0 takes a free one
    metrics_listen: str  # host:port of /metrics, /healthz and /readyz, for the cluster's eyes only
    database_url: Secret  # postgresql://role:password@host:port/database, the service's own
    nats_url: str
    nats_user: str  # one for each process: its rights are generated from the contracts
    nats_password: Secret
    identity_target: str = ""  # gRPC targets ("dns:///identity:9000") of the peers this process calls
    support_target: str = ""
    privacy_target: str = ""
    loyalty_target: str = ""
    issuer: str  # who signs access tokens: the store's public address, without a slash at its end
    service_token: Secret  # what this process shows its peers
    peers: Path  # JSON: each peer's name and the SHA-256 (hex) of its token
    page_key: Secret  # signs page tokens; the same in all replicas, 16 characters or more
    replica: str = field(default_factory=socket.gethostname)  # names this process among its like
    log_format: Literal["json", "text"] = "json"
    drain_seconds: float = 5.0  # between saying "not serving" and closing: as long as the network takes to believe it
    smtp_url: str = ""  # smtp://host:port, or smtps://user@host:port
    smtp_password: Secret = UNSET
    # Keys that seal mail while it waits, the same in all replicas: hex, 32 bytes, a line each, the first in use.
    mail_key: Secret
    mail_from: str = ""  # the address mail comes from
    retention: str = ""  # the store's retention schedule; without it, the one in deploy/store
    test_clock: str = ""  # the platform's clock file, locally and in tests; without it the system's time


def load(cls: type[T], environ: Mapping[str, str] | None = None) -> T:
    """Read `cls` from the environment, or refuse with everything that is wrong with it."""
    given = {
        name: value for name, value in (os.environ if environ is None else environ).items() if name.startswith(PREFIX)
    }
    problems: list[str] = list(unknown(cls, given))
    values: dict[str, Any] = {}
    hints = get_type_hints(cls)
    for one in fields(cls):  # type: ignore[arg-type]
        variable = variable_of(one, hints)
        if variable in given:
            try:
                values[one.name] = value_of(hints[one.name], given[variable])
            except (ValueError, OSError) as problem:
                problems.append(f"{variable} {reason(problem)}")
        elif one.default is MISSING and one.default_factory is MISSING:
            problems.append(f"{variable} is not set; {cls.__name__} cannot do without it.")
    if problems:
        raise SettingsError("\n".join(problems))
    return cls(**values)


def shown(settings: object) -> str:
    """The settings as `--check` prints them: a variable a line, and of a secret only whether there is one."""
    hints = get_type_hints(type(settings))
    lines = []
    for one in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, one.name)
        text = ("(set)" if value.value else "(empty)") if isinstance(value, Secret) else value
        lines.append(f"{variable_of(one, hints)}={text}")
    return "\n".join(lines)


def variable_of(one: Field[Any], hints: Mapping[str, Any]) -> str:
    return f"{PREFIX}{one.name.upper()}{'_FILE' if hints[one.name] is Secret else ''}"


def value_of(kind: Any, text: str) -> Any:
    if kind is Secret:
        return Secret(Path(text).read_text(encoding="utf-8").rstrip("\r\n"))
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise ValueError(f"must be one of {', '.join(get_args(kind))}.")
        return text
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError("must be true or false.")
        return text == "true"
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            raise ValueError("must be a number.") from None
    if kind is str and "://" in text and re.search(r"://[^/@]*:[^/@]*@", text):
        raise ValueError("holds a password, which belongs in a file of its own.")
    return kind(text)


def reason(problem: ValueError | OSError) -> str:
    if isinstance(problem, UnicodeDecodeError):
        return "names a file that is not text."
    if isinstance(problem, OSError):
        return f"names a file that cannot be read ({problem.strerror})."
    return str(problem)


def unknown(cls: type, given: Mapping[str, str]) -> Iterator[str]:
    hints = get_type_hints(cls)
    known = {variable_of(one, hints) for one in fields(cls)}
    for name in sorted(given.keys() - known):
        if SERVICE_LINK.fullmatch(name) or (name.endswith("_PORT") and LINK_URL.match(given[name])):
            continue
        if f"{name}_FILE" in known:
            yield f"{name} is a secret: write it to a file, and name that in {name}_FILE."
            continue
        near = difflib.get_close_matches(name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known], n=1)
        yield f"{name} is no setting here: {f'did you mean {PREFIX}{near[0]}?' if near else 'unset it.'}"
