"""Connection tokens: who may speak to this agent server (contract 5.7). RS256, one audience, one run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

AUDIENCE = "posthog:sandbox_connection"


class TokenError(Exception):
    """The caller is not let in. `code` is invalid_token, expired or invalid_signature."""

    def __init__(self, message: str, code: str) -> None:
        self.code = code
        super().__init__(message)


class OtherRunError(Exception):
    """The token is good, and for another run."""


class TokenCheck:
    """Checks tokens against one public key; the key is read, and its library imported, at the first check."""

    def __init__(self, public_key: str, run_id: UUID) -> None:
        self._pem = public_key
        self._run_id = str(run_id)
        self._key: RSAPublicKey | None = None

    def warm_up(self) -> None:
        """Do beforehand what the first check would have to do. May run in a thread. ValueError or TypeError for a key that is none."""
        import jwt  # noqa: F401

        self._public_key()

    def _public_key(self) -> "RSAPublicKey":
        if self._key is not None:
            return self._key
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        key = load_pem_public_key(self._pem.encode())
        if not isinstance(key, RSAPublicKey):
            raise TypeError("JWT_PUBLIC_KEY must hold an RSA public key.")
        self._key = key
        return key

    def __call__(self, authorization: str | None) -> Mapping[str, Any]:
        """The claims of the Bearer token in an Authorization header; TokenError, or OtherRunError."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise TokenError("Missing or malformed Authorization header", "invalid_token")
        claims = self._claims(token.strip())
        if claims.get("run_id") != self._run_id:
            raise OtherRunError("No active session for this run")
        return claims

    def _claims(self, token: str) -> Mapping[str, Any]:
        import jwt

        try:
            claims: Mapping[str, Any] = jwt.decode(
                token, self._public_key(), algorithms=["RS256"], audience=AUDIENCE, options={"require": ["exp", "aud", "run_id"]}
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenError("Token expired", "expired") from error
        except jwt.InvalidSignatureError as error:
            raise TokenError("Invalid token signature", "invalid_signature") from error
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise TokenError("Invalid token", "invalid_token") from error
        return claims
