"""Where a client finds its server, its project and its key."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from hedgerow.client.errors import ClientError


@dataclass(frozen=True, slots=True)
class Credentials:
    """An address, a key and the project to work in (a number, or @current)."""

    url: str
    api_key: str = field(repr=False)
    project: str = "@current"


def read_credentials(environment: Mapping[str, str] = os.environ, file: Path | None = None) -> Credentials:
    """HEDGEROW_URL, HEDGEROW_API_KEY and HEDGEROW_PROJECT where they are set, for the rest the credentials file, if one is named.

    A key of the environment goes with no address of the file's unless HEDGEROW_URL is unset. Raises ClientError with what to do.
    """
    url, key = environment.get("HEDGEROW_URL"), environment.get("HEDGEROW_API_KEY")
    stored = {} if file is None or (url and key) else _stored(file)
    url = url or stored.get("url")
    key = key or stored.get("api_key")
    if not url or not key:
        missing = "HEDGEROW_API_KEY" if url else "HEDGEROW_URL and HEDGEROW_API_KEY"
        if file is None:
            raise ClientError(f"Set {missing}.", code="no_credentials")
        raise ClientError(f"There are no credentials in {file}: start hedgerow on this machine, or set {missing}.", code="no_credentials")
    if not url.startswith(("http://", "https://")):
        raise ClientError(f"HEDGEROW_URL must begin with http:// or https://, not {url!r}.")
    project = environment.get("HEDGEROW_PROJECT") or stored.get("project_id") or "@current"
    return Credentials(url.rstrip("/"), key, str(project))


def _stored(file: Path) -> dict[str, Any]:
    try:
        content = orjson.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ClientError(f"The credentials in {file} cannot be read: {error.strerror}.") from error
    except orjson.JSONDecodeError as error:
        raise ClientError(f"The credentials in {file} are not JSON; start hedgerow again to have them written anew.") from error
    return content if isinstance(content, dict) else {}
