"""Upload forms and read addresses that hedgerow serves itself, signed so that whoever holds one may do exactly what it says.

They promise what those of S3 promise: one key, one type, a largest size, a moment of expiry.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from hedgerow.domain.artifacts import is_media_type
from hedgerow.domain.errors import ForbiddenError, InvalidError
from hedgerow.storage.base import UploadForm

PATH = "/api/objects/"
"""Where forms are posted to and objects are read from."""


@dataclass(frozen=True, slots=True)
class Permit:
    """What a form that was signed here lets its holder store."""

    key: str
    content_type: str
    largest_bytes: int


class Signer:
    """Signs with the first secret of the operator, and knows what any of them has signed."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        """`secrets`: the present one first, then those that still count."""
        self._keys = [hmac.new(secret, b"hedgerow objects", hashlib.sha256).digest() for secret in secrets]

    def form(self, permit: Permit, expires_at: datetime, public_url: str) -> UploadForm:
        """The form of a permit."""
        policy = {
            "key": permit.key,
            "content_type": permit.content_type,
            "largest_bytes": permit.largest_bytes,
            "expires": int(expires_at.timestamp()),
        }
        encoded = base64.b64encode(json.dumps(policy, separators=(",", ":")).encode()).decode()
        fields = {"key": permit.key} | ({"Content-Type": permit.content_type} if permit.content_type else {})
        return UploadForm(url=public_url + PATH, fields={**fields, "policy": encoded, "signature": self._sign("form", encoded)})

    def permit(self, fields: Mapping[str, str], now: datetime) -> Permit:
        """What the fields of a posted form permit.

        Raises InvalidError (attr: the field) where one is missing or its type is none; ForbiddenError where the form was not signed
        here, has expired, or is filled in with another key or type.
        """
        for name in ("key", "policy", "signature"):
            if name not in fields:
                raise InvalidError(f"The form lacks the field {name}, which must stand before the file.", attr=name, detail_code="required")
        self._check("form", fields["policy"], fields["signature"])
        policy = _policy(fields["policy"])
        if now.timestamp() >= policy["expires"]:
            raise ForbiddenError("This form has expired: ask for a new one.")
        if fields["key"] != policy["key"]:
            raise ForbiddenError("This form was signed for another key.")
        given = fields.get("Content-Type", "")
        if policy["content_type"] and given != policy["content_type"]:
            raise ForbiddenError("This form was signed for another Content-Type.")
        if not is_media_type(given):
            raise InvalidError("A Content-Type has at most 255 printable ASCII characters.", attr="Content-Type")
        return Permit(policy["key"], given, policy["largest_bytes"])

    def url(self, key: str, expires_at: datetime, public_url: str) -> str:
        """The address of an object."""
        expires = str(int(expires_at.timestamp()))
        query = {"key": key, "expires": expires, "signature": self._sign("read", f"{expires} {key}")}
        return f"{public_url}{PATH}?{urlencode(query)}"

    def check_url(self, query: Mapping[str, str], now: datetime) -> str:
        """The key that an address was signed for. Raises ForbiddenError where it was not signed here, or has expired."""
        key, expires = query.get("key", ""), query.get("expires", "")
        self._check("read", f"{expires} {key}", query.get("signature", ""))
        if now.timestamp() >= int(expires):
            raise ForbiddenError("This address has expired: ask for a new one.")
        return key

    def _sign(self, purpose: str, text: str) -> str:
        return _signature(self._keys[0], purpose, text)

    def _check(self, purpose: str, text: str, signature: str) -> None:
        given = signature.encode("utf-8", "replace")
        if not any(hmac.compare_digest(_signature(key, purpose, text).encode(), given) for key in self._keys):
            raise ForbiddenError("This was not signed here, or was changed since.")


def _signature(key: bytes, purpose: str, text: str) -> str:
    return hmac.new(key, f"{purpose} {text}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _policy(encoded: str) -> dict[str, Any]:
    """Its signature was checked: it is one of ours."""
    policy: dict[str, Any] = json.loads(base64.b64decode(encoded))
    return policy
