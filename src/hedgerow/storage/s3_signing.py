"""What is signed for S3: forms and addresses for others, and the requests that the library for objects does not make.

Signing is a computation on this machine. botocore takes a third of a second to import, so that is left to the first who needs it.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote
from xml.sax.saxutils import escape

from hedgerow.domain.errors import UnavailableError
from hedgerow.storage.base import UploadForm

_SERVICE = "s3"
_LONGEST_URL_SECONDS = 7 * 24 * 3600


class Keys(NamedTuple):
    """An access key at one moment. Its text shows nothing."""

    access_key: str
    secret_key: str
    token: str | None

    def __repr__(self) -> str:
        return "Keys(hidden)"


@dataclass(frozen=True, slots=True)
class Request:
    """A signed request, to be sent as it is."""

    method: str
    url: str
    body: bytes
    headers: Mapping[str, str]


class S3Signer:
    """Signs for one bucket with whatever key is valid at that moment. None of its methods waits for anybody but `keys`."""

    def __init__(self, keys: Callable[[], Keys], *, bucket: str, region: str, address: str, public_address: str) -> None:
        """`address` and `public_address` are those of the bucket, for hedgerow and for everybody else."""
        self._keys = keys
        self._bucket = bucket
        self._region = region
        self._address = address
        self._public_address = public_address

    def form(self, key: str, *, content_type: str, largest_bytes: int, expires_at: datetime) -> UploadForm:
        """A form that the store itself takes."""
        from botocore.auth import S3SigV4PostAuth

        fields = {"key": key} | ({"Content-Type": content_type} if content_type else {})
        conditions: list[Any] = [{"bucket": self._bucket}, *({name: value} for name, value in fields.items())]
        conditions.append(["content-length-range", 0, largest_bytes])
        policy = {"expiration": expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "conditions": conditions}
        request = self._request("POST", f"{self._public_address}/")
        request.context.update({"s3-presign-post-fields": fields, "s3-presign-post-policy": policy})
        S3SigV4PostAuth(self._keys(), _SERVICE, self._region).add_auth(request)
        return UploadForm(url=f"{self._public_address}/", fields=fields)

    def url(self, key: str, expires_at: datetime) -> str:
        """An address that the store itself answers; it is valid for a week at most, as S3 wants it."""
        from botocore.auth import S3SigV4QueryAuth

        seconds = int((expires_at - datetime.now(UTC)).total_seconds())
        request = self._request("GET", self._url(self._public_address, key))
        S3SigV4QueryAuth(self._keys(), _SERVICE, self._region, expires=min(max(seconds, 0), _LONGEST_URL_SECONDS)).add_auth(request)
        return str(request.url)

    def tagging(self, key: str, tags: Mapping[str, str]) -> Request:
        """The request that puts tags on an object, in place of those it had."""
        pairs = "".join(f"<Tag><Key>{escape(name)}</Key><Value>{escape(value)}</Value></Tag>" for name, value in tags.items())
        body = f'<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet>{pairs}</TagSet></Tagging>'.encode()
        return self._signed("PUT", f"{self._url(self._address, key)}?tagging", body)

    def _signed(self, method: str, url: str, body: bytes) -> Request:
        from botocore.auth import S3SigV4Auth

        request = self._request(method, url)
        request.data = body
        request.headers["Content-Type"] = "application/xml"
        request.headers["Content-MD5"] = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        S3SigV4Auth(self._keys(), _SERVICE, self._region).add_auth(request)
        return Request(method, url, body, dict(request.headers.items()))

    def _request(self, method: str, url: str) -> Any:
        from botocore.awsrequest import AWSRequest

        return AWSRequest(method=method, url=url)

    def _url(self, address: str, key: str) -> str:
        return f"{address}/{quote(key, safe='/-_.~')}"


def find_keys() -> tuple[Callable[[], Keys], str | None]:
    """Where this machine keeps its access key (the standard AWS_* variables, files and services), and the region beside it if any.

    May wait for such a service. Raises UnavailableError where there is no key.
    """
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        session = Session()
        credentials = session.get_credentials()
        region = session.get_config_variable("region")
    except BotoCoreError as error:
        raise UnavailableError(f"The credentials of the object store cannot be read: {error}") from error
    if credentials is None:
        raise UnavailableError("There are no credentials for the object store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")

    def keys() -> Keys:
        try:
            return Keys(*credentials.get_frozen_credentials()[:3])
        except BotoCoreError as error:
            raise UnavailableError("The credentials of the object store cannot be renewed.") from error

    return keys, region
