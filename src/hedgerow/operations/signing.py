"""Signing keys in memory: decrypted once, kept for the life of the process."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey


@dataclass(slots=True)
class KeyRing:
    """The private keys that this process has decrypted, by name."""

    private: dict[str, RSAPrivateKey] = field(default_factory=dict, repr=False)
