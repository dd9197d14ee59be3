"""Dossiers in a bucket of S3: every version and every mark of deletion counts, goes, and is looked for afterwards.

Threat model. A plain deletion in a versioned bucket deletes nothing: it puts a mark on top. So objects are only ever listed, read and
deleted as versions (in a bucket without versions each has one, `null`), and somebody who puts an object in between makes a version that
stays. A lock on an object (object lock) is looked for before the first part of a dossier goes, and governance is never bypassed. What
writes is sent once and judged by its answer: the library's own repetition is off. Only a PUT may be sent again by what lies below it when
a connection breaks off; it carries a condition (`If-Match`), so the second one does nothing.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from operator import attrgetter
from typing import Any, Final, TypeVar
from urllib.parse import quote

import aiohttp
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from fsspec.asyn import sync
from s3fs import S3FileSystem

from connectors.patience import Again, InDoubt, Limits, asked_for, repeated
from connectors.remote_files.bucketcheck import check_bucket
from connectors.remote_files.storage import LARGEST_SIDECAR, Gone, Refused, Stored
from worker.core.model import Policy
from worker.errors import ConfigurationError, Problem, RetentionError, Retriable, SourceFailed
from worker.ports import Level

PAGE: Final = 1000
"""The most that S3 lists, or deletes, in one request."""
_AT_ONCE = 8
_LETTERS = 20
"""About how many different letters may stand in one place of a name."""

T = TypeVar("T")

_SIGN_IN = {
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidSecurity", "RequestTimeTooSkewed",
    "AuthorizationHeaderMalformed", "TokenRefreshRequired", "AccountProblem",
}  # fmt: skip
_TOO_MANY = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "BandwidthLimitExceeded"}
_NOT_THERE = {"NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "PreconditionFailed", "ConditionalRequestConflict"}
_TWICE = {*_TOO_MANY, "InternalError", "ServiceUnavailable", "OperationAborted"}
_KEPT = (
    "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "Metadata", "SSEKMSKeyId",
    "ServerSideEncryption", "StorageClass",
)  # fmt: skip
"""What a sidecar keeps when it is rewritten."""

# What the libraries say by themselves names buckets, keys of objects and addresses.
for _name in ("botocore", "aiobotocore", "s3fs", "fsspec"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class Bucket:
    """A part of a bucket in which every folder is a dossier. prefix -- '' or ending in a slash."""

    level = Level.PERMANENT
    at_once = _AT_ONCE

    def __init__(self, source: str, bucket: str, prefix: str, options: Mapping[str, str], limits: Limits) -> None:
        self._source = source
        self._bucket = bucket
        self._prefix = prefix
        self._limits = limits
        self._locking: bool | None = None
        # How many letters the names of dossiers have to have in common so that a page holds all of them; found out while reading.
        self._alike = 1
        self._filesystem = self._opened(options)

    def dossiers(self, take: Callable[[Iterator[str]], T]) -> T:
        """Return what `take` makes of the names of all folders; the least that S3 lists is a page of them."""
        pages = self._pages(Prefix=self._prefix, Delimiter="/")
        return take(self._told(each, "Prefix").removeprefix(self._prefix)[:-1] for page in pages for each in page.get("CommonPrefixes", ()))

    def several(self, dossiers: Sequence[str]) -> Mapping[str, list[Stored]]:
        """Return what those dossiers hold that fit on one page of a listing together with their neighbours, which begin alike.

        A page that is not the last one is thrown away, and fewer are asked for: not every server that speaks S3 goes on where a page ended
        (SeaweedFS leaves out objects when a page ends in a folder `a-b` and there is a folder `a`).
        """
        found: dict[str, list[Stored]] = {}
        left = sorted(dossiers)
        while left:
            beginning = left[0][: self._alike]
            some = [each for each in left if each.startswith(beginning)]
            shared = _shared(some[0], some[-1])
            page = next(self._pages(Prefix=f"{self._prefix}{shared}")) if len(some) > 1 else {}
            if page.get("IsTruncated"):
                self._alike = len(shared) + 1
                # A name with which others begin can't be told from them by its letters.
                left = left[1:] if left[0] == shared else left
                continue
            # Reckoned with ten or twenty times as many when one letter fewer has to be alike.
            met = self._sorted_out(page, {f"{self._prefix}{each}/": each for each in some}, found)
            if page and met < PAGE // _LETTERS and self._alike > 1:
                self._alike -= 1
            left = left[len(some) :]
        return {name: sorted(stored, key=_path_of) for name, stored in found.items()}

    def _sorted_out(self, page: Mapping[str, Any], folders: Mapping[str, str], found: dict[str, list[Stored]]) -> int:
        """Add what stands on a page to the dossiers in whose folders it is; return how much there was."""
        met = 0
        for key, stored in self._stored(page):
            met += 1
            folder = key[: key.find("/", len(self._prefix)) + 1]
            if folder in folders:
                found.setdefault(folders[folder], []).append(replace(stored, path=key.removeprefix(folder)))
        return met

    def contents(self, dossier: str) -> list[Stored]:
        """Return every version and every mark of deletion under a dossier's prefix."""
        within = f"{self._prefix}{dossier}/"
        found = []
        for page in self._pages(Prefix=within):
            for key, stored in self._stored(page):
                if not key.startswith(within):
                    raise self._no_s3()
                found.append(replace(stored, path=key.removeprefix(within)))
        # Sorting keeps the order of what is equal; S3 lists the newest version first.
        return sorted(found, key=_path_of)

    def _stored(self, page: Mapping[str, Any]) -> Iterator[tuple[str, Stored]]:
        """Yield every version and every mark of deletion on a page of a listing with its key, which is its path for now."""
        for kind in ("Versions", "DeleteMarkers"):
            for each in page.get(kind, ()):
                key, version, changed = (self._told(each, name) for name in ("Key", "VersionId", "LastModified"))
                is_file = kind == "Versions"
                tag = f"{self._told(each, 'ETag')} {self._told(each, 'Size')}" if is_file else ""
                current = is_file and bool(self._told(each, "IsLatest"))
                yield key, Stored(key, version, tag, changed, is_file, current)

    def read(self, dossier: str, stored: Stored) -> bytes:
        """Return the content of one version."""
        answer = self._call("get_object", **self._version(dossier, stored))
        if self._told(answer, "ETag") != stored.tag.partition(" ")[0]:
            raise Gone
        content: bytes = self._told(answer, "Body")
        return content

    def obstacle(self, dossier: str, some: Sequence[Stored]) -> str:
        """Return which lock keeps one of these from being deleted; where a bucket can lock, each is asked for."""
        if not self._can_lock():
            return ""
        for each in some:
            if not each.readable:
                continue
            with suppress(Gone, Refused):
                about = self._call("head_object", **self._version(dossier, each))
                if about.get("ObjectLockLegalHoldStatus") == "ON":
                    return "object lock legal hold"
                until = about.get("ObjectLockRetainUntilDate")
                if until is not None and until > self._now(about):
                    return f"object lock {about.get('ObjectLockMode', '')} until {until:%Y-%m-%d}"
        return ""

    def remove(self, dossier: str, some: Sequence[Stored]) -> None:
        """Delete these versions and marks for good."""
        refused: list[str] = []
        for start in range(0, len(some), PAGE):
            objects = [{"Key": f"{self._prefix}{dossier}/{each.path}", "VersionId": each.version} for each in some[start : start + PAGE]]
            try:
                answer = self._call("delete_objects", writes=True, Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
            except Gone:
                raise InDoubt(f"{self._source}: the answer to a change is not one of S3.") from None
            except RetentionError:
                if start:
                    raise InDoubt(f"{self._source}: only some parts of a dossier were deleted.") from None
                raise
            refused += [_word(each.get("Code")) for each in answer.get("Errors", ()) if each.get("Code") not in _NOT_THERE]
        if refused and all(each in _TWICE for each in refused):
            raise InDoubt(f"{self._source}: the service did not get around to delete everything.")
        if refused:
            raise Refused(next(each for each in refused if each not in _TWICE) or "refused")

    def replace(self, dossier: str, stored: Stored, content: bytes) -> None:
        """Put a sidecar's new content on top, with everything that is kept beside a content; the earlier version stays for now."""
        place = self._version(dossier, stored)
        about = self._call("head_object", **place)
        kept = {name: about[name] for name in _KEPT if about.get(name)}
        if about.get("TagCount"):
            tags = self._told(self._call("get_object_tagging", **place), "TagSet")
            pairs = ([quote(self._told(each, name), safe="") for name in ("Key", "Value")] for each in tags)
            kept["Tagging"] = "&".join(map("=".join, pairs))
        where = {name: place[name] for name in ("Bucket", "Key")}
        answer = self._call("put_object", writes=True, **where, Body=content, IfMatch=self._told(about, "ETag"), **kept)
        if not answer.get("ETag"):
            raise InDoubt(f"{self._source}: the answer to a change is not one of S3.")

    def check(self, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:
        """Return (what makes the source unusable, what a person should know) about the account and the bucket."""
        return check_bucket(self._source, self, policy)

    def rights(self, account: str, *, writes: bool) -> list[str]:
        """Return the actions of S3 that an account needs, for a policy of the bucket or the account."""
        of_bucket = "ListBucket, ListBucketVersions, GetBucketVersioning, GetBucketObjectLockConfiguration, ListBucketMultipartUploads"
        of_objects = "GetObject, GetObjectVersion, GetObjectRetention, GetObjectLegalHold, GetObjectTagging"
        more = ", DeleteObject, DeleteObjectVersion, PutObject, PutObjectTagging" if writes else ""
        return [
            f"S3: {account} needs {of_bucket} on arn:aws:s3:::{self._bucket},",
            f"and {of_objects}{more} on arn:aws:s3:::{self._bucket}/{self._prefix}*.",
        ]

    def close(self) -> None:
        """Let go of the connections."""
        sync(self._filesystem.loop, _closed, self._filesystem)

    def versioning(self) -> str:
        """Return `Enabled`, `Suspended`, or an empty text for a bucket that keeps no versions; Refused when that may not be asked."""
        return str(self._call("get_bucket_versioning", Bucket=self._bucket).get("Status", ""))

    def locking(self) -> Mapping[str, Any] | None:
        """Return how the bucket locks objects, None when it can't; Refused when that may not be asked."""
        try:
            said = self._call("get_object_lock_configuration", Bucket=self._bucket).get("ObjectLockConfiguration", {})
        except Gone:
            return None
        return said if said.get("ObjectLockEnabled") == "Enabled" else None

    def uploads(self) -> int:
        """Return how many uploads under the prefix were begun and not finished (up to a page); their parts are in no listing of objects."""
        found = self._call("list_multipart_uploads", Bucket=self._bucket, Prefix=self._prefix)
        return len(found.get("Uploads", ()))

    def beside(self) -> int:
        """Return how many objects, of any version, lie beside the dossiers on the first page of a listing."""
        page = next(self._pages(Prefix=self._prefix, Delimiter="/"))
        return len({self._told(each, "Key") for each in page.get("Versions", ())} - {self._prefix})

    def may_delete(self) -> bool:
        """Whether the account may delete a version; what is deleted to find out has never been there."""
        place = {"Key": f"{self._prefix}.retention-never-there", "VersionId": "null"}
        try:
            answer = self._call("delete_objects", writes=True, Bucket=self._bucket, Delete={"Objects": [place], "Quiet": True})
        except Refused:
            return False
        return not any(each.get("Code") == "AccessDenied" for each in answer.get("Errors", ()))

    def _can_lock(self) -> bool:
        """Whether objects of the bucket may be locked; when that may not be asked, what is locked is refused later."""
        if self._locking is None:
            try:
                self._locking = self.locking() is not None
            except Refused:
                self._locking = False
        return self._locking

    def _version(self, dossier: str, stored: Stored) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": f"{self._prefix}{dossier}/{stored.path}", "VersionId": stored.version}

    def _pages(self, **asked: Any) -> Iterator[Mapping[str, Any]]:
        """Yield the pages of a listing of versions; an answer that is none is an error and never an empty page."""
        markers: dict[str, Any] = {}
        while True:
            try:
                page = self._call("list_object_versions", Bucket=self._bucket, MaxKeys=PAGE, **asked, **markers)
            except Gone:
                raise self._no_bucket() from None
            except Refused as error:
                raise ConfigurationError(
                    f"{self._source}: the account may not list the versions of objects ({error.answer}). Give it ListBucketVersions."
                ) from None
            if page.get("Name") != self._bucket or "IsTruncated" not in page:
                raise self._no_s3()
            yield page
            if not page["IsTruncated"]:
                return
            after = {ours: page[said] for ours, said in _MARKERS if page.get(said)}
            if not after or after == markers:
                raise SourceFailed(f"{self._source}: the service breaks its listing off and doesn't say where it goes on.")
            markers = after

    def _call(self, operation: str, *, writes: bool = False, **asked: Any) -> dict[str, Any]:
        """Ask for something, as often as it takes, or have something done once."""
        return repeated(self._source, self._limits, lambda: self._once(operation, asked, writes=writes))

    def _once(self, operation: str, asked: Mapping[str, Any], *, writes: bool) -> dict[str, Any]:
        """Send a request once."""
        source = self._source
        try:
            answer: dict[str, Any] = sync(self._filesystem.loop, _send, self._filesystem, operation, asked)
        except boto.ClientError as error:
            raise self._judged(error.response, writes=writes) from None
        except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError):
            raise ConfigurationError(f"{source}: there are no keys to sign in with. Set the source's options KEY and SECRET.") from None
        except (boto.EndpointConnectionError, boto.ConnectTimeoutError) as error:
            raise Again(SourceFailed(f"{source}: the service can't be reached ({type(error).__name__}).")) from None
        except (boto.ParamValidationError, boto.InvalidRegionError, boto.UnknownEndpointError) as error:
            raise ConfigurationError(f"{source}: bucket, region or endpoint can't be right ({type(error).__name__}).") from None
        except (boto.BotoCoreError, ResponseParserError, aiohttp.ClientError, TimeoutError, OSError) as error:
            what = f"{source}: the service gave no answer ({type(error).__name__})"
            raise (InDoubt(f"{what} to a change.") if writes else Again(SourceFailed(f"{what}."))) from None
        except _TooLarge:
            raise Refused("larger than a sidecar can be") from None
        return answer

    def _judged(self, response: Mapping[str, Any], *, writes: bool) -> Exception:
        """Return what an error of the service means."""
        source = self._source
        code = _word(response.get("Error", {}).get("Code"))
        about = response.get("ResponseMetadata", {})
        status, headers = int(about.get("HTTPStatusCode", 0)), about.get("HTTPHeaders", {})
        said = f"HTTP {status} {code}" if code and not code.isdigit() else f"HTTP {status}"
        if status == 401 or code in _SIGN_IN:
            return ConfigurationError(f"{source}: the service refused the sign-in ({said}). Set the source's options KEY and SECRET anew.")
        if status == 429 or code in _TOO_MANY:
            asked = asked_for(headers)
            return Again(Retriable(f"{source}: the service asks for fewer requests ({said}); try again later.", retry_after=asked), asked)
        if status >= 500 and code != "NotImplemented":
            what = f"{source}: the service answered with an error of its own ({said})"
            return InDoubt(f"{what} to a change.") if writes else Again(SourceFailed(f"{what}."), asked_for(headers))
        if 300 <= status < 400:
            return ConfigurationError(f"{source}: the bucket is elsewhere ({said}). Set the source's options REGION and ENDPOINT.")
        if code == "NoSuchBucket":
            return self._no_bucket()
        return Gone() if status in (404, 412) or code in _NOT_THERE else Refused(said)

    def _no_bucket(self) -> ConfigurationError:
        return ConfigurationError(f"{self._source}: there is no such bucket. Correct the source's address.")

    def _told(self, said: Mapping[str, Any], name: str) -> Any:
        """Return what S3 always says about an object; SourceFailed when it is left out."""
        if said.get(name) is None:
            raise SourceFailed(f"{self._source}: the service doesn't tell {name!r} of an object, so nobody can tell what may go.")
        return said[name]

    def _now(self, about: Mapping[str, Any]) -> dt.datetime:
        """Return the time by the service's own clock."""
        headers = about.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        try:
            return parsedate_to_datetime(self._told(headers, "date"))
        except ValueError:
            raise self._no_s3() from None

    def _no_s3(self) -> SourceFailed:
        return SourceFailed(f"{self._source}: what answers there is not S3 (a notice, a cache, another service?).")

    def _opened(self, options: Mapping[str, str]) -> S3FileSystem:
        """Return the library's way to the service, which repeats and remembers nothing."""
        seconds = self._limits.timeout
        return S3FileSystem(
            key=options.get("key"),
            secret=options.get("secret"),
            token=options.get("token"),
            endpoint_url=options.get("endpoint"),
            client_kwargs={"region_name": options.get("region") or ("us-east-1" if "endpoint" in options else None)},
            config_kwargs={
                "retries": {"total_max_attempts": 1},
                "connect_timeout": seconds,
                "read_timeout": seconds,
                "s3": {"addressing_style": "path" if "endpoint" in options else "auto"},
                "user_agent": "retention-worker",
            },
            use_listings_cache=False,
            skip_instance_cache=True,
        )


_path_of = attrgetter("path")
_MARKERS = (("KeyMarker", "NextKeyMarker"), ("VersionIdMarker", "NextVersionIdMarker"))


class _TooLarge(Exception):
    """A sidecar is larger than one can be."""


async def _send(filesystem: S3FileSystem, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Send a request and return its answer; a body as its content."""
    client = await filesystem.set_session()
    answer: dict[str, Any] = await getattr(client, operation)(**asked)
    body = answer.get("Body")
    if body is not None:
        async with body:
            if int(answer.get("ContentLength", 0)) > LARGEST_SIDECAR:
                raise _TooLarge
            answer["Body"] = await body.read()
    return answer


async def _closed(filesystem: S3FileSystem) -> None:
    """Close the connections, if there were any."""
    client = await filesystem.set_session()
    await client.__aexit__(None, None, None)


def _shared(first: str, last: str) -> str:
    """Return what two texts, and all that stand between them in order, begin with."""
    return first[: next((number for number, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))]


def _word(said: object) -> str:
    """Return the service's own word for an error, when it is one."""
    text = str(said or "")
    return text if text.replace("_", "").replace("-", "").isalnum() and text.isascii() and len(text) <= 40 else ""
