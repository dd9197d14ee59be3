"""One site's comments over REST: paging that misses nothing while comments go, and what each answer means.

WordPress can only page by an offset, so `hosted.paging` reads the pages. `status=any` holds comments of every status; without it spam,
trash, and the comments of a post in the trash would be missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.hosted.paging import Offsets
from connectors.http import Answer, InDoubt, Service
from connectors.wordpress.columns import ID, STATUS, Comment, untold
from worker.errors import ConfigurationError, SourceFailed

PAGE = 100
"""The most that WordPress gives in one answer."""

COMMENT_GONE, POST_GONE = "rest_comment_invalid_id", "rest_post_invalid_id"
_PATIENCE = 5
_NOT_FOUND = 404


class Site:
    """The comments of one site, of one type (`comment` unless told otherwise, `all` for all)."""

    def __init__(self, source: str, service: Service, *, api: str = "/wp-json", kind: str = "comment") -> None:
        self._source = source
        self._service = service
        self._path = f"{api.rstrip('/')}/wp/v2"
        self._kind = kind

    def comments(self, fields: str, *, first: int = 0, last: int | None = None) -> Iterator[list[Comment]]:
        """Yield pages of comments in the order of their ids, from `first` through `last`, each once."""

        def listed(offset: int, most: int) -> tuple[list[Comment], int]:
            return self._listed({"orderby": ID, "order": "asc", "offset": offset, "per_page": most, "_fields": fields})

        remedy = "Give the account the rights of an editor, and look for a plug-in that changes WordPress' lists."
        return Offsets(self._source, listed, lambda comment: int(comment[ID]), PAGE, remedy).pages(first=first, last=last)

    def count(self, **narrowed: str) -> int:
        """Return how many comments there are, of every status unless `status` says which."""
        _, total = self._listed({"per_page": 1, "_fields": ID, **narrowed})
        return total

    def replies(self, fields: str, parents: Sequence[int]) -> Iterator[Comment]:
        """Yield the comments that answer these comments directly."""
        for start in range(0, len(parents), PAGE):
            asked = ",".join(map(str, parents[start : start + PAGE]))
            found: dict[int, Comment] = {}
            for _ in range(_PATIENCE):
                found, total = {}, 1
                while len(found) < total:
                    page, total = self._listed({"parent": asked, "offset": len(found), "per_page": PAGE, "_fields": fields})
                    before = len(found)
                    found.update((each[ID], each) for each in page)
                    if len(found) == before:
                        break
                if len(found) == total:
                    break
            else:
                raise SourceFailed(f"{self._source}: not all replies can be read; give the account the right to edit every post.")
            yield from found.values()

    def get(self, key: int, fields: str) -> tuple[Comment | None, Answer]:
        """Return a comment (None when it can't be had; then the answer says why)."""
        answer = self._service.read(f"{self._path}/comments/{key}", {"context": "edit", "_fields": fields})
        return (self._comment(self._object(answer), fields) if answer.is_success else None), answer

    def update(self, key: int, body: Mapping[str, Any]) -> Answer:
        """Set fields of a comment."""
        return self._service.write("POST", f"{self._path}/comments/{key}", params={"context": "edit"}, body=body)

    def delete(self, key: int, *, force: bool) -> Answer:
        """Delete a comment, for good or into the trash."""
        return self._service.write("DELETE", f"{self._path}/comments/{key}", params={"force": "true" if force else "false"})

    def post_state(self, comment: Comment) -> str | None:
        """Return whether a comment's post is present, in the trash or gone; None when the site doesn't let us know."""
        if comment[STATUS] == "post-trashed":
            return "trash"
        up = _first(_part(comment.get("_links"), "up"))
        kind, address = _part(up, "post_type"), str(_part(up, "href") or "")
        if not kind:
            # No link: the post is gone, or of a kind that REST doesn't show. Asked for alone, WordPress says which.
            _, answer = self.get(comment[ID], ID)
            return "gone" if is_about(answer, POST_GONE) else None
        path = address.rpartition("/wp/v2/")[2].partition("?")[0]
        answer = self._service.read(f"{self._path}/{path}", {"context": "edit", "_fields": "id,status"})
        if answer.is_success:
            return "trash" if self._object(answer).get("status") == "trash" else "present"
        return "gone" if is_about(answer, POST_GONE) else None

    def meta(self) -> tuple[str, ...]:
        """Return the names of the comment meta that plugins have registered for REST."""
        answer = self._service.read(f"{self._path}/comments", method="OPTIONS")
        found: Any = self._object(answer) if answer.is_success else {}
        for name in ("schema", "properties", "meta", "properties"):
            found = _part(found, name)
        return tuple(sorted(found)) if isinstance(found, dict) else ()

    def capabilities(self) -> frozenset[str]:
        """Return what the account may do."""
        answer = self._service.read(f"{self._path}/users/me", {"context": "edit", "_fields": "capabilities"})
        said = self._object(answer).get("capabilities") if answer.is_success else None
        return frozenset(name for name, granted in said.items() if granted) if isinstance(said, dict) else frozenset()

    def _listed(self, asked: Mapping[str, Any]) -> tuple[list[Comment], int]:
        """Return comments, and how many there are in all."""
        answer = self._service.read(f"{self._path}/comments", {"context": "edit", "status": "any", "type": self._kind, **asked})
        if not answer.is_success:
            raise self._refused(answer)
        try:
            page, total = answer.json(), int(answer.headers["x-wp-total"])
        except (ValueError, KeyError):
            page, total = None, 0
        if not isinstance(page, list) or not all(isinstance(each, dict) and isinstance(each.get(ID), int) for each in page):
            raise SourceFailed(f"{self._source}: what answers there is not WordPress' list of comments (a cache, a notice, another site?).")
        return [self._comment(each, str(asked["_fields"])) for each in page], total

    def _comment(self, said: Comment, fields: str) -> Comment:
        """Return a comment; SourceFailed when the site no longer tells what the worker goes by."""
        name = untold(said, fields)
        if name is not None:
            what = f"the site doesn't tell {name!r} of comments, or not as WordPress does, so nobody can tell what may go"
            raise SourceFailed(f"{self._source}: {what}. Look for a plug-in that changes WordPress' answers.")
        return said

    def _refused(self, answer: Answer) -> ConfigurationError | SourceFailed:
        """Return the error for a list that WordPress doesn't give."""
        said = answer.in_words("code")
        if answer.status == _NOT_FOUND:
            what = "there is no REST API at this address; set the site's own, and the option `api` when it lies elsewhere"
            return ConfigurationError(f"{self._source}: {what} ({said}).")
        return ConfigurationError(f"{self._source}: the account may not read comments ({said}). Give it the rights of an editor.")

    def _object(self, answer: Answer) -> dict[str, Any]:
        """Return the object that an answer holds; SourceFailed when it holds none."""
        said = answer.object()
        if said is None:
            raise SourceFailed(f"{self._source}: what answers there is not WordPress (a cache, a notice, another site?).")
        return said


def _part(said: object, name: str) -> Any:
    """Return a member of an object; None when there is none, or no object."""
    return said.get(name) if isinstance(said, dict) else None


def _first(said: object) -> object:
    """Return the first of a list; None when it is empty, or no list."""
    return said[0] if isinstance(said, list) and said else None


def is_about(answer: Answer, code: str) -> bool:
    """Whether an answer says `not found` for this reason; any other 404 may come from anything on the way."""
    return answer.status == _NOT_FOUND and answer.in_words("code").endswith(code)


def confirmed(answer: Answer, source: str) -> dict[str, Any]:
    """Return what WordPress said when it did what it was asked to; InDoubt when something else speaks in its place."""
    said = answer.object()
    if said is None:
        raise InDoubt(f"{source}: the answer to a change is not WordPress' own.")
    return said
