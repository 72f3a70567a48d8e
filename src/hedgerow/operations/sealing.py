"""Secrets as they lie in the database: AES-256-GCM under a key derived from the operator's secret, bound to what they are for."""

import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hedgerow.domain.errors import UnavailableError

_NONCE_BYTES = 12


def seal(secret: bytes, purpose: str, plain: bytes) -> bytes:
    """`plain` as it is stored. Only `unseal` with the same purpose opens it, so that one row's secret cannot be put into another."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher(secret).encrypt(nonce, plain, purpose.encode())


def unseal(operator_secrets: Sequence[bytes], purpose: str, sealed: bytes) -> bytes:
    """The plain bytes again, with whichever operator's secret they were sealed under. Raises UnavailableError where none fits."""
    for secret in operator_secrets:
        try:
            return _cipher(secret).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose.encode())
        except InvalidTag:
            continue
    raise UnavailableError(f"The {purpose} in the database was encrypted with another HEDGEROW_SECRET_KEY: start with that one.")


def _cipher(secret: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=b"hedgerow signing keys").derive(secret))
