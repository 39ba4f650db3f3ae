"""The job of an agency: export the customers of many box offices to files, even if workers are killed.

This module needs no task queue. A box office is exported in chunks. A chunk reads page by page. It writes each page to
a new file, and then the number of the next page: the checkpoint. Only these files have the state of an export: a
message has only the name of the box office. If a message comes twice, the second worker looks again later, and goes on
where the first one stopped. A killed worker loses no written page. All workers need the same folder, on a file system
with `flock`.

If a customer is deleted while the box office is read, another customer can move to a page that was read already, and
is missed. If nobody may be missed, read the box office in one run: `customers.list(verify=True)`.
"""

import asyncio
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import aiohttp

from ticketsource_async import (
    AccessBlocked,
    APIError,
    LimiterUnavailable,
    LocalRateLimiter,
    RateLimit,
    RateLimited,
    RateLimiter,
    RetryPolicy,
    ServerError,
    TicketSource,
    TransportError,
)
from ticketsource_async.ratelimit.redis import RedisRateLimiter


class Agency:
    """The resources of a worker process: one session, one limiter, and a client with both for each box office.

    BOX_OFFICES is a file of their settings: {"old-mill": {"api_key": "skl-..."}, ...}
    """

    def __init__(self) -> None:
        self._settings = json.loads(Path(os.environ["BOX_OFFICES"]).read_text())
        self._clients: dict[str, TicketSource] = {}
        self._opened = AsyncExitStack()

    async def open(self) -> None:
        self._session = await self._opened.enter_async_context(aiohttp.ClientSession())
        self._limiter: RateLimiter
        if redis := os.environ.get("REDIS_URL"):
            # While Redis is down, tasks fail and are retried. The number of workers need not be known.
            shared = RedisRateLimiter(redis, on_unavailable="raise")
            self._limiter = await self._opened.enter_async_context(shared)
        else:
            self._limiter = LocalRateLimiter(RateLimit(share=int(os.environ["WORKERS"])))

    async def close(self) -> None:
        await self._opened.aclose()

    async def export_chunk(self, name: str) -> float | None:
        """Export the next chunk of a box office, with EXPORT_FOLDER and CHUNK_SECONDS. See `export_chunk` below."""
        seconds = float(os.environ.get("CHUNK_SECONDS", "300"))
        return await export_chunk(self.box_office(name), name, Path(os.environ["EXPORT_FOLDER"]), seconds)

    def box_office(self, name: str) -> TicketSource:
        if name not in self._clients:
            self._clients[name] = TicketSource(
                **self._settings[name],
                session=self._session,
                limiter=self._limiter,
                retry=RetryPolicy(max_retry_after=5),  # for a longer wait, the task is queued again
            )
        return self._clients[name]


async def export_chunk(ts: TicketSource, name: str, folder: Path, seconds: float) -> float | None:
    """Export the next chunk of a box office, for this number of seconds.

    Return the seconds until the next chunk is due, or None if the file is complete. While another worker exports this
    box office, they are LOOK_AGAIN_SECONDS (60), since that worker may be killed.
    """
    whole, pages = folder / f"{name}.jsonl", folder / f"{name}.pages"
    with _taken(folder / f"{name}.lock") as ours:
        if not ours:
            return None if whole.exists() else float(os.environ.get("LOOK_AGAIN_SECONDS", "60"))
        pages.mkdir(exist_ok=True)
        if not whole.exists():
            if not await _read(ts, pages, time.monotonic() + seconds):
                return 0
            await asyncio.to_thread(_assemble, pages, whole)
        shutil.rmtree(pages)
        return None


async def _read(ts: TicketSource, pages: Path, end: float) -> bool:
    """Read pages from the checkpoint until this time; return whether all pages are written."""
    checkpoint = pages / "next"
    start = checkpoint.read_text() if checkpoint.exists() else "1"
    if start == "none":
        return True
    async for page in ts.customers.list(start_page=int(start)).pages():
        lines = [json.dumps(customer.to_dict(), ensure_ascii=False) for customer in page.items]
        _write(pages / f"{page.number:06}.jsonl", "".join(f"{line}\n" for line in lines))
        _write(checkpoint, "none" if page.next_url is None else str(page.number + 1))
        if page.next_url is not None and time.monotonic() > end:
            return False
    return True


def wait_before_retry(error: BaseException, tries: int) -> float | None:
    """Return the seconds until the next try of a task after this number of tries, or None to give it up.

    It is given up after about three hours. If the export is queued again, it goes on where it stopped.
    """
    for_now = (RateLimited, ServerError, TransportError, AccessBlocked, LimiterUnavailable)
    if tries >= 45 or not isinstance(error, for_now):
        return None
    asked = error.retry_after if isinstance(error, APIError) else None
    return min(2.0**tries, 300) if asked is None else asked + 1


@contextmanager
def _taken(lock: Path) -> Iterator[bool]:
    """Hold a lock, and yield true; yield false if another worker has it. The system frees it if a worker is killed."""
    lock.parent.mkdir(0o700, parents=True, exist_ok=True)  # not for other users: the files have people's addresses
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _part_of(path: Path) -> Path:
    """Return a unique name for a file that is not complete yet."""
    return path.with_name(f"{path.name}.{uuid4().hex}.part")


def _write(path: Path, text: str) -> None:
    """Write a file atomically."""
    part = _part_of(path)
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _assemble(pages: Path, whole: Path) -> None:
    """Make one file of the pages, without rows that came twice."""
    part, seen = _part_of(whole), set()
    with part.open("w", encoding="utf-8") as target:
        for page in sorted(pages.glob("*.jsonl")):
            with page.open(encoding="utf-8") as lines:
                for line in lines:
                    if (customer_id := json.loads(line)["id"]) not in seen:
                        seen.add(customer_id)
                        target.write(line)
    part.replace(whole)
