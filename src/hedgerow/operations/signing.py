"""Signing keys in memory: decrypted once, kept for the life of the process."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from hedgerow.operations import sealing


@dataclass(slots=True)
class KeyRing:
    """The private keys that this process has decrypted, by name."""

    private: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict, repr=False)


def new_key() -> rsa.RSAPrivateKey:
    """A new RSA key of 2048 bits."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def seal(secret: bytes, name: str, key: rsa.RSAPrivateKey) -> bytes:
    """A key as it is stored, bound to the key's name."""
    plain = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return sealing.seal(secret, name, plain)


def unseal(operator_secrets: Sequence[bytes], name: str, sealed: bytes) -> rsa.RSAPrivateKey:
    """The key again, with whichever secret it was sealed under. Raises UnavailableError where none fits."""
    key = serialization.load_der_private_key(sealing.unseal(operator_secrets, name, sealed), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key
