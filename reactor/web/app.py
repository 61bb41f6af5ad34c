"""The page's paths: the one document, its files, and what it asks for as JSON and as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from importlib.resources import files
from typing import Any, Final

import msgspec
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from journal.judge import page
from journal.judge.explain import explain
from journal.ledger import run as runs
from journal.refusal import Refusal
from journal.store import JournalAway, Store
from lanes.registry import LANES
from reactor.web.poller import Poller, Viewer, stream

VIEWERS: Final = 8  # browsers at once
KINDS: Final = {  # of the files of the folder `static`, by how their names end
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
PAGES: Final = ("/", "/lane/{lane}", "/scan/{scan}", "/run/{run}", "/run/{run}/lane/{lane}", "/run/{run}/scan/{scan}")
_EXACT: Final = 1 << 53  # beyond it a browser's numbers have holes


# Long since it is the table of routes and what answers each, over one shared reader.
def application(poller: Poller) -> Starlette:
    """The page over one journal."""
    there = [(file, KINDS.get(file.name.rpartition(".")[2])) for file in (files("reactor.web") / "static").iterdir()]
    static = {file.name: (file.read_bytes(), kind) for file, kind in there if kind}
    names = [lane.name for lane in LANES]
    whole = static["page.html"][0].replace(b"{{lanes}}", " ".join(names).encode())
    viewers = 0

    def document(request: Request) -> Response:
        if (lane := request.path_params.get("lane", names[0])) not in names:
            return Response(f"no lane {lane[:40]!r}; the lanes are {', '.join(names)}\n", 404, media_type="text/plain")
        return Response(whole, media_type=static["page.html"][1])

    def file(request: Request) -> Response:
        body, kind = static.get(request.path_params["name"], (b"no such file\n", ""))
        return Response(body, 200 if kind else 404, media_type=kind or "text/plain")

    async def answer(call: Callable[[Store], Any]) -> Response:
        try:
            return _json(await asyncio.to_thread(poller.ask, call))
        except Refusal as error:
            return _json({"error": str(error)[:300]}, 503 if isinstance(error, JournalAway) else 404)

    async def listed(_: Request) -> Response:
        return await answer(page.listed)

    async def explained(request: Request) -> Response:
        asked = request.query_params
        partition = asked.get("partition")
        if partition is not None and not (partition.isascii() and partition.isdigit() and len(partition) < 10):
            return _json({"error": f"partition must be a number, was {partition[:20]!r}"}, 404)

        def call(store: Store) -> Any:
            run = runs.pick(store, asked.get("run"))
            number = None if partition is None else int(partition)
            return explain(store, run.run_id, asked.get("what", ""), asked.get("stream"), number)

        return await answer(call)

    async def beside(request: Request) -> Response:
        return await answer(lambda s: page.beside(s, runs.pick(s, request.query_params.get("run")).run_id))

    async def live(request: Request) -> Response:
        last = request.query_params.get("last", "")
        if viewers >= VIEWERS:
            return _json({"error": f"{VIEWERS} browsers look already"}, 503)
        records = int(last) if last in map(str, page.WINDOWS) else page.WINDOWS[1]
        viewer = Viewer(poller.data, request.query_params.get("run") or None, records)
        return EventSourceResponse(events(viewer), send_timeout=30)

    async def events(viewer: Viewer) -> AsyncGenerator[dict[str, str]]:
        nonlocal viewers
        viewers += 1
        try:
            async for name, told in stream(poller, viewer):
                wide = {part: each if part == "series" else _wide(each) for part, each in told.items()}
                yield {"event": name, "data": _encode(wide).decode()}
        finally:
            viewers -= 1

    return Starlette(
        routes=[
            *(Route(path, document) for path in PAGES),
            Route("/static/{name}", file),
            Route("/api/runs", listed),
            Route("/api/explain", explained),
            Route("/api/blue", beside),
            Route("/api/stream", live),
        ]
    )


def _json(value: Any, status: int = 200) -> Response:
    return Response(_encode(_wide(value)), status, media_type="application/json")


def _encode(value: Any) -> bytes:
    """JSON; NaN and infinities are null, times ISO 8601."""
    return msgspec.json.encode(value)


def _wide(value: Any) -> Any:
    """The value with integers that a browser would round as text."""
    if isinstance(value, dict):
        return {name: _wide(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_wide(each) for each in value]
    return str(value) if isinstance(value, int) and abs(value) >= _EXACT else value
