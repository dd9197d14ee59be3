"""What every connector to a web service rests on, against a small real server: waiting, signing in again, doubt, and silence."""

from __future__ import annotations

import gzip
import itertools
import json
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from connectors import patience
from connectors.http import Answer, InDoubt, Limits, Service, Token, _trusted, address_of, trusted
from connectors.patience import limits_of
from worker.errors import ConfigurationError, RetentionError, Retriable, SourceFailed

SECRET = "Canary-secret"
FAST = Limits(attempts=3, wait=0.01, longest_wait=2, timeout=5)


@dataclass
class Server:
    """Answers as a function of the request says: (status, headers, body), or None for no answer at all."""

    url: str = ""
    answer: Callable[[BaseHTTPRequestHandler], tuple[int, Mapping[str, str], bytes] | None] = lambda _: (200, {}, b"{}")
    met: list[float] = field(default_factory=list)
    opened: list[Service] = field(default_factory=list)

    def service(
        self, limits: Limits = FAST, auth: Token | None = None, url: str = "", is_busy: Callable[[Answer], bool] | None = None
    ) -> Service:
        self.opened.append(Service("people", url or self.url, limits=limits, auth=auth, is_busy=is_busy))
        return self.opened[-1]


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a server on a free port."""
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Or each answer waits 40 milliseconds for the acknowledgement of its first half.
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            made.met.append(time.monotonic())
            answer = made.answer(self)
            if answer is None:
                self.close_connection = True
                return
            status, headers, body = answer
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            # Who has had enough of it hangs up.
            with suppress(ConnectionError):
                self.wfile.write(body)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    made.url = f"http://127.0.0.1:{listening.server_address[1]}"
    yield made
    for each in made.opened:
        each.close()
    listening.shutdown()
    listening.server_close()
    thread.join()


def test_a_token_that_expired_is_renewed_once(server: Server) -> None:
    """A refused token is replaced and the same request sent again; a new one that is refused too is an error of the settings."""
    tokens = iter(["old", "new", "newer"])
    server.answer = lambda request: (200, {}, b"[]") if request.headers["Authorization"] == "Bearer new" else (401, {}, b"")
    service = server.service(auth=Token(lambda: next(tokens)))
    assert 200 == service.read("/x").status
    assert 200 == service.write("POST", "/x", body={"a": 1}).status
    assert 3 == len(server.met)
    server.answer = lambda _: (401, {}, b"")
    with pytest.raises(ConfigurationError):
        service.read("/x")


@pytest.mark.parametrize("form", ["seconds", "a moment by the service's own clock"])
def test_retry_after(server: Server, form: str) -> None:
    """The wait that a service asks for is waited, whether in seconds or as a moment; its clock may be years off."""
    wait = {"Retry-After": "1"}
    if form != "seconds":
        wait = {"Retry-After": "Mon, 01 Jan 2001 00:00:01 GMT"}

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, Mapping[str, str], bytes]:
        request.date_time_string = lambda timestamp=None: "Mon, 01 Jan 2001 00:00:00 GMT"  # type: ignore[method-assign]
        return (429, wait, b"") if len(server.met) == 1 else (200, {}, b"{}")

    server.answer = answer
    server.service().read("/x")
    assert server.met[1] - server.met[0] >= 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((429, {}, b""), Retriable),
        ((429, {"Retry-After": "3600"}, b""), Retriable),
        ((500, {}, b""), SourceFailed),
        (None, SourceFailed),
        ((302, {"Location": "http://elsewhere.example/"}, b""), ConfigurationError),
    ],
)
def test_patience_ends(server: Server, answer: tuple[int, Mapping[str, str], bytes] | None, error: type[RetentionError]) -> None:
    """After so many attempts the error says who has to do something: wait, look at the service, or change a setting."""
    server.answer = lambda _: answer
    with pytest.raises(error) as caught:
        server.service().read("/x")
    assert not isinstance(caught.value, InDoubt)
    once = answer is not None and (answer[0] == 302 or "Retry-After" in answer[1])
    assert (1 if once else 3) == len(server.met)


@pytest.mark.parametrize("answer", [(500, {}, b""), (503, {"Retry-After": "0"}, b""), (408, {}, b""), None])
def test_a_change_in_doubt_is_not_sent_again(server: Server, answer: tuple[int, Mapping[str, str], bytes] | None) -> None:
    """What may have been carried out is never repeated blindly."""
    server.answer = lambda _: answer
    with pytest.raises(InDoubt):
        server.service().write("DELETE", "/x")
    assert 1 == len(server.met)


def test_a_change_that_was_certainly_not_made_is_sent_again(server: Server) -> None:
    """A busy service (429) has not carried it out; neither has one that can't be reached."""
    server.answer = lambda _: (429, {}, b"") if len(server.met) < 3 else (200, {}, b"")
    assert 200 == server.service().write("DELETE", "/x").status
    with pytest.raises(SourceFailed) as caught:
        server.service(url="http://127.0.0.1:1").write("DELETE", "/x")
    assert not isinstance(caught.value, InDoubt)


def test_no_more_requests_a_second_than_allowed(server: Server) -> None:
    """Requests keep their distance, from several threads too."""
    service = server.service(Limits(per_second=20))
    threads = [threading.Thread(target=lambda: [service.read("/x") for _ in range(3)]) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert 6 == len(server.met)
    assert server.met[-1] - server.met[0] >= 4 / 20


def test_requests_keep_their_distance_when_processes_take_turns(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Services of one source that take turns, each in another process, stay below the limit together, however long a request takes."""
    clock = SimpleNamespace(at=100.0, monotonic=lambda: clock.at, sleep=lambda seconds: setattr(clock, "at", clock.at + seconds))
    monkeypatch.setattr(patience, "time", clock)
    sent: list[float] = []

    def answer(_: BaseHTTPRequestHandler) -> tuple[int, Mapping[str, str], bytes]:
        sent.append(clock.at)
        clock.at += 0.01 * (len(sent) % 4)
        return 200, {}, b"{}"

    server.answer = answer
    services = [server.service(Limits(per_second=20)) for _ in range(3)]
    for turn in range(30):
        for _ in range(2 + turn % 3):
            services[turn % 3].read("/x")
    assert min(later - sooner for sooner, later in itertools.pairwise(sent)) > 1 / 20 - 1e-9


def test_no_error_shows_address_body_or_password(server: Server) -> None:
    """However an error is printed, nothing of the request or the answer is in it."""
    url = server.url.replace("://", f"://{SECRET}:{SECRET}@")
    said = [repr(address_of("people", url)).replace(f"user='{SECRET}'", "")]
    for answer in ((500, {}, SECRET.encode()), (302, {"Location": f"/{SECRET}"}, b""), (401, {}, SECRET.encode()), None):
        server.answer = lambda _, answer=answer: answer  # type: ignore[misc]
        for send in (lambda s: s.read(f"/{SECRET}", {"q": SECRET}), lambda s: s.write("POST", f"/{SECRET}", body={"a": SECRET})):
            with pytest.raises(RetentionError) as caught:
                send(server.service())
            said += [str(caught.value), repr(caught.value)]
            said += [line for line in traceback.format_exception(caught.value) if "Error" in line.partition("\n")[0]]
            assert caught.value.__cause__ is None
    assert [] == [each for each in said if SECRET in each]
    assert SECRET not in repr(Answer(200, {"x": SECRET}, SECRET.encode()))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"code": "rest_no"}', "HTTP 403 rest_no"),
        (b'{"code": "Jan Jansen <jan@example.example>"}', "HTTP 403"),
        (b'{"code": {"deep": 1}}', "HTTP 403"),
        (b"<html>", "HTTP 403"),
        (b'{"code": 203}', "HTTP 403 203"),
        (json.dumps({"code": "a" * 61}).encode(), "HTTP 403"),
    ],
)
def test_the_answer_in_words(body: bytes, expected: str) -> None:
    """Of what a service says when it refuses only a plain word is kept: a sentence may name somebody."""
    assert expected == Answer(403, {}, body).in_words("code")


@pytest.mark.parametrize(
    ("url", "base", "user", "password", "encrypted"),
    [
        ("https://ann:a%20b%40c@www.example.com/blog/", "https://www.example.com/blog", "ann", "a b@c", True),
        ("http://localhost:8080", "http://localhost:8080", "", "", True),
        ("http://www.example.com", "http://www.example.com", "", "", False),
        ("https://[::1]:8443/x", "https://[::1]:8443/x", "", "", True),
    ],
)
def test_addresses(url: str, base: str, user: str, password: str, encrypted: bool) -> None:
    """An address is taken apart; user and password are never part of where requests go."""
    found = address_of("people", url)
    assert (base, user, password, encrypted) == (found.base, found.user, found.password, found.encrypted)


@pytest.mark.parametrize("url", [None, "", "ftp://x", "www.example.com", "https://", "https://x/?a=b", "https://x/#y"])
def test_what_is_no_address(url: str | None) -> None:
    """What can't be one is refused, by the name of the setting."""
    with pytest.raises(ConfigurationError, match="RETENTION_SOURCES__PEOPLE__URL"):
        address_of("people", url)


def test_a_service_may_say_in_its_own_way_that_it_is_busy(server: Server) -> None:
    """What a service takes for "fewer requests" is sent again, a change too, and is Retriable when patience ends."""
    answers = iter([(403, {}, b""), (200, {}, b"{}")])
    server.answer = lambda _: next(answers)
    service = server.service(is_busy=lambda answer: answer.status == 403 and not answer.body)
    assert 200 == service.write("POST", "/", body={}).status
    server.answer = lambda _: (403, {}, b"")
    with pytest.raises(Retriable, match="HTTP 403"):
        service.read("/")
    server.answer = lambda _: (403, {}, b"{}")
    assert 403 == service.read("/").status


def test_a_long_answer_is_read_piece_by_piece(server: Server) -> None:
    """What takes the pieces gets all of them, may stop early, and is not called for an answer that is no success."""
    server.answer = lambda _: (200, {}, b"x" * 300_000)
    service = server.service()
    assert 300_000 == service.streamed("/", None, lambda pieces: sum(map(len, pieces)))
    assert b"x" == service.streamed("/", None, lambda pieces: next(pieces)[:1])
    server.answer = lambda _: (404, {}, b"nothing")
    answer = service.streamed("/", None, lambda _: pytest.fail("it is no success"))
    assert (404, b"nothing") == (answer.status, answer.body)


def test_a_long_answer_that_breaks_off_is_asked_for_anew(server: Server) -> None:
    """When the connection breaks in the middle everything is taken again from the beginning, and never what came so far."""

    def broken(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "900")
        request.end_headers()
        request.wfile.write(b"abc")

    answers = iter([lambda _: (503, {}, b""), broken, lambda _: (200, {}, b"abcdef")])
    server.answer = lambda request: next(answers)(request)
    assert b"abcdef" == server.service().streamed("/", None, lambda pieces: b"".join(pieces))
    assert 3 == len(server.met)
    server.answer = broken
    with pytest.raises(SourceFailed):
        server.service().streamed("/", None, lambda pieces: b"".join(pieces))


def test_a_service_may_name_its_wait_in_a_header_of_its_own(server: Server) -> None:
    """Where the header has another name it counts when Retry-After is missing, and only then."""
    server.answer = lambda _: (429, {"X-Reset": "500"}, b"")
    server.opened.append(Service("people", server.url, limits=FAST, waits="x-reset"))
    with pytest.raises(Retriable) as caught:
        server.opened[-1].read("/")
    assert 500 == caught.value.retry_after
    server.answer = lambda _: (429, {"X-Reset": "500", "Retry-After": "700"}, b"")
    with pytest.raises(Retriable) as caught:
        server.opened[-1].read("/")
    assert 700 == caught.value.retry_after


@pytest.mark.parametrize(
    ("name", "said"),
    [("attempts", "0"), ("attempts", "-1"), ("timeout", "0"), ("timeout", "nan"), ("wait", "-1"), ("wait", "inf"), ("per_second", "-1")],
)
def test_patience_that_makes_no_sense(name: str, said: str) -> None:
    """A limit below nothing would be none at all, so it is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match=name):
        limits_of("people", {name: said}, 300)
    assert 0 == limits_of("people", {"per_second": "0", "wait": "0"}, 300).per_second


def test_certificates_are_read_once_and_again_when_they_were_renewed() -> None:
    """Sources share what the machine trusts; a worker that lives for months reads it again when its files are of another time."""
    assert trusted() is trusted()
    assert (ssl.CERT_REQUIRED, True) == (trusted().verify_mode, trusted().check_hostname)
    first = _trusted((("/etc/trusted.pem", 1),))
    assert first is _trusted((("/etc/trusted.pem", 1),))
    assert first is not _trusted((("/etc/trusted.pem", 2),))


@pytest.mark.parametrize(("writes", "kind"), [(False, SourceFailed), (True, InDoubt)])
def test_an_answer_that_unpacks_to_more_than_it_may_is_refused(server: Server, *, writes: bool, kind: type[RetentionError]) -> None:
    """A small packed answer can't fill the memory: reading fails, and of a change nobody knows what became."""
    packed = gzip.compress(bytes(65 * 1024 * 1024), compresslevel=1)
    server.answer = lambda _: (200, {"Content-Encoding": "gzip"}, packed)
    service = server.service()
    with pytest.raises(kind, match="more than 64 MiB"):
        service.write("DELETE", "/1") if writes else service.read("/1")


def test_an_answer_that_is_nested_without_end_is_no_json(server: Server) -> None:
    """It is like any other answer that is none of the service's: no object, and no word."""
    server.answer = lambda _: (200, {}, b"[" * 100_000)
    answer = server.service().read("/")
    assert (None, "HTTP 200") == (answer.object(), answer.in_words("code"))


@pytest.mark.parametrize("key", [f"{SECRET}\u2013x", f"{SECRET}\n"])
def test_a_key_that_was_copied_badly_is_a_setting_to_correct(key: str) -> None:
    """What can't be sent as a header is said at once, and without the key."""
    with pytest.raises(ConfigurationError, match="Set it anew") as caught:
        Service("people", "https://service.example", headers={"api-key": key})
    assert SECRET not in "".join(traceback.format_exception(caught.value))
