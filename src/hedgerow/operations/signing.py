"""Signing keys in memory: decrypted once, kept for the life of the process."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hedgerow.domain.errors import UnavailableError

_NONCE_BYTES = 12


@dataclass(slots=True)
class KeyRing:
    """The private keys that this process has decrypted, by name."""

    private: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict, repr=False)


def new_key() -> rsa.RSAPrivateKey:
    """A new RSA key of 2048 bits."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def seal(secret: bytes, name: str, key: rsa.RSAPrivateKey) -> bytes:
    """A key as it is stored: AES-256-GCM under a key derived from the operator's secret, bound to the key's name."""
    plain = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher(secret).encrypt(nonce, plain, name.encode())


def unseal(operator_secrets: Sequence[bytes], name: str, sealed: bytes) -> rsa.RSAPrivateKey:
    """The key again, with whichever secret it was sealed under. Raises UnavailableError where none fits."""
    for secret in operator_secrets:
        try:
            plain = _cipher(secret).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        except InvalidTag:
            continue
        key = serialization.load_der_private_key(plain, password=None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key
    raise UnavailableError("The signing key in the database was encrypted with another HEDGEROW_SECRET_KEY: start with that one.")


def _cipher(secret: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=b"hedgerow signing keys").derive(secret))
