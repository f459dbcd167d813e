"""Parameters as the protocol takes them, and errors as it tells them (RFC 6749, 5.2 and 4.1.2.1)."""

from collections.abc import Iterable, Mapping


class ProtocolError(Exception):
    """What a client did wrong: an error code of the RFCs, and a sentence for its developer."""

    def __init__(self, error: str, description: str, *, status: int = 400, challenge: str = "") -> None:
        super().__init__(error)
        self.error, self.description, self.status, self.challenge = error, description, status, challenge


def invalid(description: str) -> ProtocolError:
    return ProtocolError("invalid_request", description)


def single(given: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Each parameter once (RFC 6749, 3.1); one without a value is as if it had not been sent."""
    found: dict[str, str] = {}
    for name, value in given:
        if name in found:
            raise invalid(f"The parameter {shown(name)} was sent twice.")
        if value:
            found[name] = value
    return found


def shown(name: str) -> str:
    """A parameter's name, as far as a description may hold it (RFC 6749, 4.1.2.1)."""
    return "".join(one for one in name if one.isascii() and (one.isalnum() or one in "_-"))[:40]
