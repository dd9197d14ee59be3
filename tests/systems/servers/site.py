"""A WordPress that is reached over REST: an application password, a proxy for bad days, and registered comment meta."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from connectors.contract import FaultProxy
from tests.systems.servers.wordpress import WordPress

USER = "owner"
PLUGIN = """<?php
// Comment meta that REST shows and takes, as plug-ins register theirs.
foreach (explode(' ', '%s') as $name) {
    register_meta('comment', $name, ['single' => true, 'type' => 'string', 'show_in_rest' => true]);
}
"""


@dataclass(frozen=True, slots=True)
class Rest:
    """The way in. password -- an application password of the site's owner, who may do everything."""

    site: WordPress
    proxy: FaultProxy
    password: str

    def url(self, password: str | None = None, user: str = USER, *, straight: bool = False) -> str:
        """Return the address with user and password, through the proxy unless it is to be `straight`."""
        address = self.site.url if straight else self.proxy.url
        return address.replace("://", f"://{user}:{self.password if password is None else password}@")


@contextmanager
def rest(site: WordPress, meta: tuple[str, ...] = ()) -> Iterator[Rest]:
    """Yield the way into a site; meta -- names of comment meta that are registered for REST."""
    if meta:
        plugins = site.folder / "wp-content" / "mu-plugins"
        plugins.mkdir(exist_ok=True)
        (plugins / "meta.php").write_text(PLUGIN % " ".join(meta))
    password = site.php("echo WP_Application_Passwords::create_new_application_password(1, ['name' => 'retention'])[0];")
    with FaultProxy(site.url).running() as proxy:
        yield Rest(site, proxy, password)
