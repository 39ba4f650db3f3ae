"""Faults on demand, and the queue in which they wait for a request."""

import threading
from collections.abc import Mapping
from typing import Literal, get_args
from urllib.parse import urlsplit

from attrs import define, field, frozen

Cut = Literal["before", "after_write", "body"]
Next = Literal["cross-origin", "loop", "back", "cursor", "missing", "no-links", "relative"]


@define
class RecordedRequest:
    """A request to the sandbox. Header names are in lower case. `status` is None until the request is answered."""

    method: str
    path: str
    query: dict[str, str]
    """The parameters of the query."""
    headers: dict[str, str] = field(repr=False)
    """The headers, the key included."""
    body: bytes = field(repr=False)
    """The bytes of the body."""
    status: int | None = None


@frozen
class Fault:
    """A fault for the requests that match `method`, `path` and `page`. The first `after` of them have no fault.

    It happens `times` times, or always if `times` is None.

    - `status`: the status of the answer, which has a JSON error, an HTML page (`html=True`) or `body`, and `headers`
    - `cut`: break the connection "before" the request is carried out, "after_write" when it was carried out but not
      answered, or in the "body" of the answer
    - `slow`: how many seconds to wait between two pieces of the body
    - `next`: a wrong link to the next page: "cross-origin", "loop" (the same page again), "back" (the first), "cursor"
      (a page without a number, the same each time), "missing" (no `next`), "no-links" (neither links nor meta),
      "relative"
    - `insert`, `delete`: how many new customers to add at the front of the list, and how many to remove from there,
      before the usual answer
    """

    times: int | None = 1
    after: int = 0
    method: str | None = None
    path: str | None = None
    page: int | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(factory=dict)
    body: str | bytes | None = None
    html: bool = False
    cut: Cut | None = None
    slow: float | None = None
    next: Next | None = None
    insert: int = 0
    delete: int = 0

    def __attrs_post_init__(self) -> None:
        nothing = not (
            self.has_own_answer or self.cut or self.next or self.insert or self.delete or self.slow is not None
        )
        for wrong, message in (
            (nothing, "a fault needs an effect: status, html, body, cut, slow, next, insert or delete"),
            (min(self.after, self.insert, self.delete, self.slow or 0) < 0, "no number may be less than 0"),
            (self.times is not None and self.times < 1, "times must be 1 or more, or None for no limit"),
            (self.status is not None and not 200 <= self.status <= 599, "status must be from 200 to 599"),
            (self.cut not in (None, *get_args(Cut)), f"cut must be one of {get_args(Cut)}"),
            (self.next not in (None, *get_args(Next)), f"next must be one of {get_args(Next)}"),
            (self.method is not None and not self.method.isupper(), "method must be in upper case"),
            (
                self.path is not None and (self.path[:1] != "/" or "?" in self.path),
                "path must begin with / and have no query",
            ),
            (
                self.cut in ("before", "after_write") and self.has_own_answer,
                "this cut allows no status, html or body",
            ),
            (self.cut and self.slow is not None, "pass cut or slow, not both"),
            (self.html and self.body is not None, "pass html or body, not both"),
            (
                self.next and (self.has_own_answer or self.cut),
                "next allows no status, html, body or cut",
            ),
            (self.headers and not self.has_own_answer, "headers needs status, html or body"),
        ):
            if wrong:
                raise ValueError(message)

    @property
    def has_own_answer(self) -> bool:
        """Whether the fault has an answer of its own."""
        return self.status is not None or self.html or self.body is not None

    def matches(self, request: RecordedRequest) -> bool:
        """Say whether the fault is for this request."""
        is_list = request.method == "GET" and "-" not in request.path.rpartition("/")[2]  # else it ends in an id
        return (
            (is_list or not (self.next or self.page))
            and self.method in (None, request.method)
            and self.path in (None, request.path)
            and (self.page is None or request.query.get("page", "1") == str(self.page))
        )


class Faults:
    """The queue of faults. Another thread may add faults."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, dict[str, int]]] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Put a fault at the end of the queue."""
        with self._lock:
            self._waiting.append((fault, {"seen": 0, "used": 0}))

    def take(self, request: RecordedRequest) -> Fault | None:
        """Remove one use of the first fault for this request, and return it."""
        with self._lock:
            for place, (fault, count) in enumerate(self._waiting):
                if not fault.matches(request):
                    continue
                count["seen"] += 1
                if count["seen"] <= fault.after:
                    continue
                count["used"] += 1
                if fault.times is not None and count["used"] >= fault.times:
                    del self._waiting[place]
                return fault
        return None


def wrong_links(links: Mapping[str, object], kind: Next, url: str, page: str) -> dict[str, object] | None:
    """Return wrong links for a list, None to send neither links nor meta. The request was for `page` of `url`."""
    if kind == "no-links":
        return None
    kept = {name: link for name, link in links.items() if name != "next"}
    if kind == "missing":
        return kept
    after = f"?page={int(page) + 1}"
    return kept | {
        "next": {
            "cross-origin": f"http://elsewhere.example{urlsplit(url).path}{after}",
            "loop": f"{url}?page={page}",
            "back": f"{url}?page=1",
            "cursor": "?cursor=x",
            "relative": after,
        }[kind]
    }
