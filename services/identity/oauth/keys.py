"""Public keys that programs show us or registered: what is taken for one, and which algorithm goes with which.

P-256 with ES256, RSA with PS256, Ed25519 with itself (FAPI 2.0, 5.4): each key has its algorithms, whatever a token's
header says (RFC 8725, 3.1).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from services.identity import base64url

Key: TypeAlias = ECKey | RSAKey | OKPKey
# EdDSA is what Ed25519 was called before RFC 9864, and is by most libraries.
ALGORITHMS: Mapping[str, Sequence[str]] = {"EC": ("ES256",), "RSA": ("PS256",), "OKP": ("Ed25519", "EdDSA")}
TAKEN = [one for algorithms in ALGORITHMS.values() for one in algorithms]
CURVES = {"EC": "P-256", "OKP": "Ed25519"}
KINDS: Mapping[str, type[Key]] = {"EC": ECKey, "RSA": RSAKey, "OKP": OKPKey}
PARTS = {"EC": ("kty", "crv", "x", "y"), "RSA": ("kty", "n", "e"), "OKP": ("kty", "crv", "x")}
BITS = range(2_048, 4_097)  # of an RSA key: shorter ones can be broken, longer ones keep us busy


class Reader(JWSRegistry):
    """Reads what programs sign: as long as an RSA key in the header makes it, with fields that mean nothing to us."""

    max_header_length = 2_048
    max_payload_length = 8_192

    def __init__(self, algorithms: Sequence[str]) -> None:
        super().__init__(algorithms=algorithms, strict_check_header=False)

    def get_alg(self, name: str) -> Any:
        return super().get_alg("Ed25519" if name == "EdDSA" else name)


READERS = {kind: Reader(algorithms) for kind, algorithms in ALGORITHMS.items()}
ANY = Reader(TAKEN)


class Unfit(Exception):  # noqa: N818 - says what is the matter with a key
    """That is no key that we take. Its text is for the developer."""


def read(said: Mapping[str, Any]) -> Key:
    """The key in a JWK (RFC 7517), of which only the public parts are read."""
    kind = said.get("kty")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Unfit("The kty is one of EC, RSA and OKP.")
    if "d" in said:
        raise Unfit("That is a private key. Whoever was sent it has it: make another, and send its public parts.")
    parts = {name: said.get(name) for name in PARTS[kind]}
    if not all(isinstance(value, str) and value for value in parts.values()):
        raise Unfit(f"A key of that kty has {', '.join(parts)}.")
    if kind in CURVES and parts["crv"] != CURVES[kind]:
        raise Unfit(f"Of {kind} keys, those of {CURVES[kind]} are taken.")
    if kind == "RSA" and bits_of(parts["n"]) not in BITS:
        raise Unfit(f"An RSA key has {BITS.start} to {BITS.stop - 1} bits.")
    try:
        key = KINDS[kind].import_key(parts)  # type: ignore[arg-type]
        key.public_key  # noqa: B018 - read now, so that a broken one is missed at once
    except (JoseError, ValueError, TypeError):
        raise Unfit("That key cannot be read.") from None
    return key


def bits_of(number: Any) -> int:
    try:
        return int.from_bytes(base64url.decode(number)).bit_length()
    except ValueError:
        return 0


def wrong(keys: Sequence[Mapping[str, str]]) -> Iterator[tuple[int, str]]:
    """Which keys of a client cannot be registered, and why."""
    for place, said in enumerate(keys):
        try:
            read(said)
        except Unfit as unfit:
            yield place, str(unfit)
            continue
        if not said.get("kid") or said["kid"] in [one.get("kid") for one in keys[:place]]:
            yield place, "A key has a kid of its own."
        fit = ALGORITHMS[said["kty"]]
        if said.get("use", "sig") != "sig" or said.get("alg", fit[0]) not in fit:
            yield place, f"A key of that kty signs with {fit[0]}."


def unproven(text: str) -> tuple[Mapping[str, Any], bytes]:
    """Header and payload of a signed text, before anything of it is proven; or Unfit."""
    try:
        found = jws.extract_compact(text.encode(), registry=ANY)
        header, payload = found.headers(), found.payload
    except (JoseError, ValueError, TypeError):
        raise Unfit("That is no signed JWT.") from None
    if not isinstance(header, dict) or payload is None:
        raise Unfit("That is no signed JWT.")
    return header, payload


def signed(text: str, said: Mapping[str, Any]) -> Mapping[str, Any]:
    """The claims of a JWT that the key in this JWK signed, as that key does; or Unfit."""
    key = read(said)
    try:
        return jwt.decode(text, key, registry=READERS[said["kty"]]).claims
    except (JoseError, ValueError, TypeError):
        raise Unfit("That is not signed with the key, or not as we take it.") from None
