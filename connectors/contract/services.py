"""What a connector to a web service promises on bad days; the days are made by a `FaultProxy` in front of the real service."""

from __future__ import annotations

import json
import logging
import time
import traceback
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import pytest

from connectors.contract.harness import CANARY, Contract, Harness, everything, read, record
from connectors.contract.proxy import FaultProxy, Request
from worker.core.select import EVERYTHING
from worker.errors import ConfigurationError, RetentionError, Retriable, SourceFailed
from worker.ports import Changes, Key, Left, OpenSource, Undone, Update


class ServiceHarness(Harness):
    """A real service behind a proxy. `open` connects through the proxy; the rest of the harness goes around it.

    proxy -- what stands between; password -- what may be seen nowhere; renews -- whether the connector gets a new token by itself when one
    has expired; page_at -- how many reading requests lead up to the second page of a listing, that one not counted.
    The connector is opened with little patience: the first pause a few hundredths of a second, three attempts or more.
    """

    proxy: FaultProxy
    password: str
    renews = False
    page_at = 1
    selections = 20

    @abstractmethod
    def open_as_stranger(self) -> OpenSource:
        """Open the source with a password that is wrong."""

    @abstractmethod
    def is_about(self, request: Request, key: Key) -> bool:
        """Whether a request writes to this record."""


class ServiceContract(Contract):
    """Whatever the network and the service do: what is said to be done is done, what is not is said, and nothing is done twice."""

    @pytest.fixture(autouse=True)
    def _healed(self, harness: ServiceHarness) -> None:
        harness.proxy.heal()

    def _six(self, harness: ServiceHarness) -> list[Key]:
        """Fill the source with six records and return their keys."""
        keys = [harness.key(number) for number in range(6)]
        harness.fill({key: record(number) for number, key in enumerate(keys)})
        return keys

    @pytest.mark.parametrize("status", [429, 500, 502, 503, None])
    def test_reading_is_patient(self, harness: ServiceHarness, source: OpenSource, status: int | None) -> None:
        """A request that reads is sent again when the service is busy, fails, or hangs up, and then nothing is missing."""
        keys = self._six(harness)
        harness.proxy.reading(status, times=2)
        assert keys == everything(source)[0]

    def test_retry_after_is_honoured(self, harness: ServiceHarness, source: OpenSource) -> None:
        """When the service says how long to wait, so long is waited."""
        keys = self._six(harness)
        harness.proxy.reading(429, headers={"Retry-After": "1"}, times=1)
        began = time.monotonic()
        assert keys == everything(source)[0]
        assert time.monotonic() - began >= 1

    def test_a_wait_that_is_too_long_is_not_waited(self, harness: ServiceHarness, source: OpenSource) -> None:
        """A service that wants to be left alone for a day is: the error says that a later run may do it."""
        self._six(harness)
        harness.proxy.reading(429, headers={"Retry-After": "86400"})
        with pytest.raises(Retriable):
            everything(source)

    @pytest.mark.parametrize("fault", [{"status": 503}, {"status": None}, {"status": 200, "body": b"<html>Back soon</html>"}])
    def test_a_service_that_is_down_is_a_source_that_failed(
        self, harness: ServiceHarness, source: OpenSource, fault: dict[str, Any]
    ) -> None:
        """A service that never answers rightly is an error, never an empty source: neither for a reader nor for a batch."""
        _, whole = self._six(harness), everything(source)[1]
        harness.proxy.any(**fault)
        with pytest.raises(SourceFailed):
            everything(source)
        with pytest.raises(SourceFailed), source.batch("b", whole, EVERYTHING, ()):
            pass

    def test_what_may_not_be_read_is_an_error(self, harness: ServiceHarness, source: OpenSource) -> None:
        """A service that refuses to show its records (403) is an error that a person can mend, never an empty source."""
        self._six(harness)
        harness.proxy.reading(403, body=b"{}")
        with pytest.raises((ConfigurationError, SourceFailed)):
            everything(source)

    def test_a_wrong_password_is_noticed(self, harness: ServiceHarness) -> None:
        """With a wrong password nothing is read and nothing looks empty; the error says what to change and shows no password."""
        self._six(harness)
        stranger = harness.open_as_stranger()
        try:
            with pytest.raises(ConfigurationError) as caught:
                read(stranger, EVERYTHING, ())
        finally:
            stranger.close()
        assert harness.password not in "".join(traceback.format_exception(caught.value))

    def test_a_sign_in_that_expires_between_two_pages(self, harness: ServiceHarness, source: OpenSource) -> None:
        """When the sign-in expires in the middle of a listing it is renewed, or the listing fails; it never just ends."""
        keys = [harness.key(number) for number in range(harness.more_than_a_page)]
        harness.fill({key: record(number) for number, key in enumerate(keys)})
        fault = harness.proxy.reading(401, body=b"{}", after=harness.page_at, times=1 if harness.renews else 10**9)
        if harness.renews:
            assert keys == everything(source)[0]
        else:
            with pytest.raises(ConfigurationError):
                everything(source)
        assert fault.met > harness.page_at

    @pytest.mark.parametrize("write", ["delete", "update"])
    @pytest.mark.parametrize(
        "fault",
        [
            {"status": 429, "headers": {"Retry-After": "0"}},
            {"status": 429},
            {"status": 500},
            {"status": 502, "applied": True},
            {"status": None},
            {"status": None, "applied": True},
            {"status": 200, "body": b"<html>Cached</html>", "applied": True},
        ],
        ids=["429 with wait", "429", "500", "502 applied", "lost", "lost applied", "no answer of its own"],
    )
    def test_every_change_is_done_once(self, harness: ServiceHarness, source: OpenSource, write: str, fault: dict[str, Any]) -> None:
        """Whatever happens to the answer of a change, in the end it is done, it is said to be done, and it was done only once."""
        keys = self._six(harness)
        _, whole = everything(source)
        harness.proxy.writing(after=1, times=1, **fault)
        with source.batch("b", whole, EVERYTHING, ("name",)) as batch:
            batch.write(_changes(write, keys[:3]))
            undone = batch.commit()
        assert list(undone) == []
        left = harness.dump()
        if write == "delete":
            assert keys[3:] == sorted(left)
        else:
            assert [left[key]["note"] for key in keys[:3]] == ["new"] * 3
            assert all(left[key]["note"] != "new" for key in keys[3:])
        assert harness.proxy.writes() == 3

    def test_what_the_service_refuses_is_said(self, harness: ServiceHarness, source: OpenSource) -> None:
        """One record that the service refuses is named, with what the service said, and all others are done."""
        keys = self._six(harness)
        _, whole = everything(source)
        harness.proxy.about(lambda request: harness.is_about(request, keys[1]), 403, body=json.dumps({"code": "not_allowed"}).encode())
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(delete=keys[:3]))
            undone = list(batch.commit())
        assert [(keys[1], Left.FAILED)] == [(each.key, each.why) for each in undone]
        assert undone[0].answer.startswith("HTTP 403")
        assert [keys[1], *keys[3:]] == sorted(harness.dump())

    def test_a_record_that_always_breaks_the_service_is_left(self, harness: ServiceHarness, source: OpenSource) -> None:
        """One record at which the service always fails (500) is named as refused; it stops nothing."""
        keys = self._six(harness)
        _, whole = everything(source)
        harness.proxy.about(lambda request: harness.is_about(request, keys[1]), 500)
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(delete=keys[:3]))
            undone = list(batch.commit())
        assert [(keys[1], Left.FAILED)] == [(each.key, each.why) for each in undone]
        assert [keys[1], *keys[3:]] == sorted(harness.dump())

    @pytest.mark.parametrize("status", [429, 401])
    def test_a_service_that_stops_in_the_middle(self, harness: ServiceHarness, source: OpenSource, status: int) -> None:
        """When no more changes are taken (too many requests, sign-in withdrawn), what was done is done and the rest is left for later."""
        keys = self._six(harness)
        _, whole = everything(source)
        harness.proxy.writing(status, after=2)
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(delete=keys[:5]))
            undone = list(batch.commit())
        left = sorted(harness.dump())
        assert sorted([*left]) == sorted([*{each.key for each in undone}, keys[5]])
        assert len(left) == 4
        assert {Left.BUSY} == {each.why for each in undone}

    def test_what_nobody_knows_is_an_error(self, harness: ServiceHarness, source: OpenSource) -> None:
        """When a change gets no answer and the service can't be read either, the commit says neither that it is done nor that it isn't."""
        keys = self._six(harness)
        _, whole = everything(source)
        harness.proxy.dies(after=1)
        with source.batch("b", whole, EVERYTHING, ()) as batch:
            batch.write(Changes(delete=keys[:5]))
            with pytest.raises((Retriable, SourceFailed)):
                batch.commit()
        harness.proxy.heal()
        assert len(harness.dump()) == 5
        assert source.resolve("b", {}) is None

    def test_nothing_personal_or_secret_is_said(
        self, harness: ServiceHarness, source: OpenSource, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither errors, however they are printed, nor what is logged hold a value of a record, a password or an address with one."""
        keys = self._six(harness)
        _, whole = everything(source)
        said: list[str] = []
        with caplog.at_level(logging.DEBUG):
            for fault in ({"status": 500, "body": CANARY.encode()}, {"status": None}, {"status": 401}, {"status": 404, "body": b"{}"}):
                for act in self._acts(source, keys, lambda: source.batch("b", whole, EVERYTHING, ("name", "note"))):
                    harness.proxy.heal()
                    harness.proxy.any(**fault)
                    try:
                        act()
                    except RetentionError as error:
                        said += [str(error), repr(error), "".join(traceback.format_exception(error))]
        said += [repr(undone) for undone in self._refused(harness, source, keys)]
        # What the tests' own libraries log is not the connector's; its own and those of what it uses are.
        said += [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
        assert said
        assert [text for text in said if CANARY in text or harness.password in text] == []

    @staticmethod
    def _acts(source: OpenSource, keys: list[Key], batch: Callable[[], object]) -> list[Callable[[], object]]:
        def write() -> None:
            with batch() as opened:  # type: ignore[attr-defined]
                opened.write(Changes(delete=keys[:1]))

        return [lambda: read(source, EVERYTHING, ("name", "note")), write]

    @staticmethod
    def _refused(harness: ServiceHarness, source: OpenSource, keys: list[Key]) -> list[Undone]:
        harness.proxy.heal()
        _, whole = everything(source)
        refusal = json.dumps({"code": f"no {CANARY}", "message": CANARY}).encode()
        harness.proxy.writing(400, body=refusal)
        with source.batch("b", whole, EVERYTHING, ("name", "note")) as batch:
            batch.write(Changes(delete=keys[:1], updates=[Update(("note",), [(*keys[1], CANARY)])]))
            return list(batch.commit())


def _changes(write: str, keys: list[Key]) -> Changes:
    """Return changes that delete records, or give them another note."""
    return Changes(delete=keys) if write == "delete" else Changes(updates=[Update(("note",), [(*key, "new") for key in keys])])
