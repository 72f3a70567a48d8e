"""How the secret of a clone URL reaches git: through its environment, never through an argument, a file or a URL."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hedgerow.repositories.git import configured
from hedgerow.repositories.urls import CloneUrl, Transport

_HELPER = '!f() { test "$1" != get || printf "username=%s\\npassword=%s\\n" "$HEDGEROW_GIT_USERNAME" "$HEDGEROW_GIT_PASSWORD"; }; f'


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """User name and password for the repositories of one place, such as https://github.com."""

    place: str  # scheme, host and port
    username: str
    password: str = field(repr=False)

    def lent_to(self, url: CloneUrl) -> CloneUrl:
        """The URL with this login, where it is one of an http repository of the place and has none of its own."""
        within = url.transport is Transport.HTTP and url.clean.startswith(f"{self.place}/")
        return replace(url, username=self.username, password=self.password) if within and not url.secrets else url


def with_credentials(environment: Mapping[str, str], url: CloneUrl) -> dict[str, str]:
    """The environment for a git that speaks to `url`: with the URL's own user and password, and only for the URL's own host.

    A URL with a password overrides the operator's credential helpers. One with a user name alone asks them for the password of that
    user first; where they know none, the name goes out with an empty password, as hosts that take a token for a name expect it.
    """
    if url.transport is not Transport.HTTP or (url.username is None and url.password is None):
        return dict(environment)
    scheme, _, rest = url.clean.partition("://")
    key = f"credential.{scheme}://{rest.partition('/')[0]}"
    settings = [(f"{key}.helper", _HELPER)]
    if url.password is None:
        settings.append((f"{key}.username", url.username or ""))
    else:
        settings.insert(0, (f"{key}.helper", ""))
    secrets = {"HEDGEROW_GIT_USERNAME": url.username or "", "HEDGEROW_GIT_PASSWORD": url.password or ""}
    return configured({**environment, **secrets}, settings)
