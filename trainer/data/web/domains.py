"""The domain of a page by its host: a table of host suffixes, the longest that fits wins.

`wikipedia.org` fits en.wikipedia.org and not mywikipedia.org; `edu` fits every host under .edu.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from fitting.errors import InputError

OTHER = "web"

# A start, to be replaced by a table of one's own: kinds that a registry assigns, and large sites.
SUFFIXES = {
    "ac.jp": "academic",
    "ac.uk": "academic",
    "edu": "academic",
    "edu.au": "academic",
    "arxiv.org": "academic",
    "gc.ca": "government",
    "gov": "government",
    "gov.au": "government",
    "gov.uk": "government",
    "europa.eu": "government",
    "mil": "government",
    "blogspot.com": "blog",
    "medium.com": "blog",
    "substack.com": "blog",
    "wordpress.com": "blog",
    "reddit.com": "forum",
    "stackexchange.com": "forum",
    "stackoverflow.com": "forum",
    "readthedocs.io": "docs",
    "wikibooks.org": "encyclopedia",
    "wikipedia.org": "encyclopedia",
}

HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")
DOMAIN = re.compile(r"[a-z0-9][a-z0-9_-]*")  # becomes part of a shard's file name


def domain_of(url: str, table: Mapping[str, str]) -> str:
    """The label of the longest suffix in `table` that the URL's host ends with, else "web"."""
    try:
        parts = (urlsplit(url).hostname or "").rstrip(".").split(".")
    except ValueError:  # such as "http://[broken"
        return OTHER
    suffixes = (".".join(parts[i:]) for i in range(len(parts)))
    return next((table[s] for s in suffixes if s in table), OTHER)


def read_table(path: Path) -> dict[str, str]:
    """A YAML mapping from host suffix to domain. Raises InputError where it is none."""
    if not path.is_file():
        raise InputError(f"domains must be a YAML file; {path} does not exist", field="domains")
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise InputError(f"domains must be a YAML file; {path}: {e}", field="domains") from e
    if not isinstance(table, dict) or not table:
        raise InputError(
            f"domains must map host suffixes to domains, such as 'wikipedia.org: encyclopedia'; "
            f"{path} holds {'nothing' if table is None else type(table).__name__}",
            field="domains",
        )
    for host, domain in table.items():
        _check_row(path, host, domain)
    return table


def _check_row(path: Path, host: Any, domain: Any) -> None:
    if not isinstance(host, str) or not HOST.fullmatch(host):
        raise InputError(
            f"domains: a key must be the end of a host name in lower case, such as "
            f"'wikipedia.org' or 'edu'; {path} has {host!r}",
            field="domains",
        )
    if not isinstance(domain, str) or not DOMAIN.fullmatch(domain):
        raise InputError(
            f"domains: a value must be a name of a-z, 0-9, - and _; {path} has {domain!r} "
            f"for {host}",
            field="domains",
        )
