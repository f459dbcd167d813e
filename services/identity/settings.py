"""What the identity service is told."""

from dataclasses import dataclass

from chassis.settings import UNSET, Secret, ServiceSettings, SettingsError
from services.identity.social import providers


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """As every service, and what passwords and tokens cost."""

    public_url: str  # where people reach the store's help centre: links in mails begin with it
    signing_key: Secret  # Ed25519 keys in PEM, the same in all replicas: the first signs, all are published
    id_token_key: Secret  # RSA keys in PEM, likewise, and P-256 keys where clients want ES256
    # Keys of codes, refresh tokens and nonces, the same in all replicas: hex, 32 bytes or more, a line each, the first
    # in use.
    oauth_key: Secret
    # Keys that seal what apps with codes share with us and tokens of payments, the same in all replicas: hex, 32 bytes,
    # a line each, the first in use.
    factor_key: Secret
    # What a guess costs (Argon2id): as much as two cores bear that take twenty sign-ins a second. What other machines
    # bear says services.identity.calibration; stored hashes follow as people sign in.
    password_memory_kib: int = 30_720
    password_passes: int = 4
    password_lanes: int = 1
    # Characters, at the least: what NIST SP 800-63B-4 asks of a password that is the only factor. 8 is its least beside
    # a second factor, which no store can demand of all. Who has a shorter one keeps it.
    password_shortest: int = 15
    breached_passwords: str = ""  # a file that services.identity.blocklists wrote; a new one is heeded at once
    # Passwords hashed at once, each with the memory above, and how many more may wait for their turn.
    hashing_at_once: int = 2
    hashing_waiting: int = 32
    # Days in which who deleted their account can take it back; 0 erases at once. The GDPR gives us a month in all.
    deletion_cooling_off_days: int = 7
    # Days after which people are asked whether their address, name and postal addresses are still right.
    contact_check_days: int = 365
    # Where people have accounts that they may come by: Google, Facebook ... (docs/add-a-provider.md). None by default.
    social_providers: Secret = UNSET
    payment_providers: str = ""  # the store's words for those that take its payments, parted by commas: paypal, stripe

    def __post_init__(self) -> None:
        if not 0 <= self.deletion_cooling_off_days <= 21:
            raise SettingsError("RAPPORT_DELETION_COOLING_OFF_DAYS must be from 0 to 21: an erasure takes time, too.")
        providers.read(self.social_providers.value)  # so that what is wrong is told before anything starts

    @property
    def payments_by(self) -> frozenset[str]:
        """The providers that take the store's payments."""
        return frozenset(filter(None, map(str.strip, self.payment_providers.split(","))))
