"""What every request passes first and every answer carries: hosts, origins, sizes, headers.

Plain ASGI. Without a Host allow-list any web page could reach a service on localhost by
rebinding its own name (DNS rebinding); without the Origin check it could post forms to it.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import respond

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
MAX_BODY_BYTES = 16 * 2**20  # a CSV of a few hundred thousand runs
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer our own forms come with Origin: null
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Refuses foreign hosts (421), foreign origins (403) and huge bodies (413)."""

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str], max_body_bytes: int = MAX_BODY_BYTES
    ) -> None:
        self.app, self.max_body_bytes = app, max_body_bytes
        self.hosts = frozenset(map(_as_named, hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        target = self._refusal(scope["method"], Headers(scope=scope)) or self.app
        await target(scope, self._limited(receive), _with_headers(send))

    def _refusal(self, method: str, headers: Headers) -> Response | None:
        host = _host_name(headers.get("host", ""))
        if "*" not in self.hosts and host not in self.hosts:
            return respond(
                421, f"host {host!r} is not served here; ISOFLOP_HOSTS lists the allowed names"
            )
        origin = headers.get("origin")
        if method not in {"GET", "HEAD", "OPTIONS"} and origin and not _same(origin, headers):
            return respond(403, f"requests from pages of {origin} are not accepted")
        size = headers.get("content-length", "0")
        if not size.isdigit():
            return respond(400, f"Content-Length must be a number; got {size!r}")
        return self._too_large() if int(size) > self.max_body_bytes else None

    def _too_large(self) -> Response:
        return respond(413, self._limit_text())

    def _limit_text(self) -> str:
        return f"a request body may have {self.max_body_bytes} bytes; split the file"

    def _limited(self, receive: Receive) -> Receive:
        """Counts a body that came without a Content-Length."""
        n_bytes = 0

        async def counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > self.max_body_bytes:
                raise HTTPException(413, self._limit_text())
            return message

        return counted


def _host_name(host: str) -> str:
    """`localhost` of `localhost:8080`, `::1` of `[::1]:8080`."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return host


def _as_named(host: str) -> str:
    """As `_host_name` reads it in a request: lower case, no port, no brackets."""
    bare_ipv6 = host.count(":") > 1 and not host.startswith("[")
    return _host_name(f"[{host}]" if bare_ipv6 else host)


def _same(origin: str, headers: Headers) -> bool:
    try:
        return urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        return False


def _with_headers(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sender
