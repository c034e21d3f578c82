"""The pages: one to chat on, one that compares. What they may load is of this server alone."""

from collections.abc import Mapping
from importlib.resources import files

from fastapi.responses import Response

_POLICY = (
    "default-src 'none'; img-src data:; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
PAGES: Mapping[str, tuple[str, str]] = {
    "/": ("chat.html", "text/html"),
    "/compare": ("compare.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/chat.js": ("chat.js", "text/javascript"),
    "/compare.js": ("compare.js", "text/javascript"),
}
"""By path, which file it is and of what kind. They need no key: a page asks for one."""


async def page(path: str) -> Response:
    """One of these files."""
    file, kind = PAGES[path]
    text = (files("toolformer.serve") / "page" / file).read_text("utf-8")
    head = {"content-security-policy": _POLICY, "referrer-policy": "no-referrer", "cache-control": "no-cache"}
    return Response(text, media_type=kind, headers=head)
