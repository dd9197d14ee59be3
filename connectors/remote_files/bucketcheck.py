"""What is wrong, or worth knowing, about a bucket before anything is done to it: what the account may do, versions, locks, leftovers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from connectors.remote_files.storage import Gone, Refused
from worker.core.model import Policy
from worker.errors import Problem


class Asked(Protocol):
    """What the check asks of a bucket; see `connectors.remote_files.s3.Bucket`."""

    def versioning(self) -> str: ...  # noqa: D102
    def locking(self) -> Mapping[str, Any] | None: ...  # noqa: D102
    def uploads(self) -> int: ...  # noqa: D102
    def beside(self) -> int: ...  # noqa: D102
    def may_delete(self) -> bool: ...  # noqa: D102


def check_bucket(source: str, bucket: Asked, policy: Policy | None) -> tuple[list[Problem], list[Problem]]:  # noqa: ARG001
    """Return (what makes the source unusable, what a person should know)."""
    beside = bucket.beside()
    return [*_rights(source, bucket)], [*_versions(source, bucket), *_locks(source, bucket), *_leftovers(source, bucket, beside)]


def _rights(source: str, bucket: Asked) -> Iterator[Problem]:
    """Find out what the account may not do."""
    if not bucket.may_delete():
        hint = "Give it DeleteObject and DeleteObjectVersion; and PutObject too where fields are treated."
        yield Problem(source, "the account may not delete versions of objects.", hint)


def _versions(source: str, bucket: Asked) -> Iterator[Problem]:
    """Say what the bucket keeps of what is deleted."""
    try:
        state = bucket.versioning()
    except Refused as error:
        hint = "Give the account GetBucketVersioning."
        yield Problem(source, f"whether the bucket keeps versions may not be asked ({error.answer}).", hint)
        return
    if state == "Enabled":
        yield Problem(source, "the bucket keeps versions; a dossier goes with every version in it, and treating removes earlier ones.")
    elif state:
        yield Problem(source, "the bucket kept versions once; deleting a dossier deletes every version in it.")


def _locks(source: str, bucket: Asked) -> Iterator[Problem]:
    """Say whether the bucket may keep what is to be deleted."""
    try:
        locking = bucket.locking()
    except Refused as error:
        hint = "Give the account GetBucketObjectLockConfiguration; without it a locked dossier may be deleted by half."
        yield Problem(source, f"whether the bucket locks objects may not be asked ({error.answer}).", hint)
        return
    if locking is None:
        return
    yield Problem(
        source,
        "the bucket can lock objects; a dossier with a locked object in it is left as it is and reported as failed.",
        "Give the account GetObjectRetention and GetObjectLegalHold, so that locks are seen before anything is deleted.",
    )
    default = locking.get("Rule", {}).get("DefaultRetention", {})
    if default:
        lasts = f"{default['Days']} days" if "Days" in default else f"{default.get('Years', '?')} years"
        what = f"the bucket locks every new object for {lasts} ({default.get('Mode', 'unknown')}); nothing younger can be deleted."
        yield Problem(source, what, "A purpose that ends sooner can't be kept in this bucket.")


def _leftovers(source: str, bucket: Asked, beside: int) -> Iterator[Problem]:
    """Find what no policy reaches."""
    if beside:
        hint = "Put them into a dossier or remove them."
        yield Problem(source, f"{beside} objects lie beside the dossiers (of the first 1000 names); no policy reaches them.", hint)
    try:
        uploads = bucket.uploads()
    except (Refused, Gone):
        hint = "Give the account ListBucketMultipartUploads."
        yield Problem(source, "whether unfinished uploads hold parts of files may not be asked.", hint)
        return
    if uploads:
        hint = "Let a lifecycle rule of the bucket end them (AbortIncompleteMultipartUpload)."
        yield Problem(source, f"{uploads} uploads were begun and not finished; their parts are in no dossier, and stay.", hint)
