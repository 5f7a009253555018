"""Who may see and do what, and what must not come through: other sites, other hosts, markup, pickles."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from arq._web.access import Token
from arq._web.alone import for_everybody
from arq.connections import ArqRedis, RedisSettings
from arq.utils import timestamp_ms
from arq.web import Access, dashboard
from tests.arq.web.conftest import ORIGIN, browsing

Open = Callable[..., Any]
TOKEN = "0123456789abcdef0123456789abcdef-x"
JSON = {"Accept": "application/json"}


def alone(settings: RedisSettings, host: str = "127.0.0.1", **options: Any) -> Any:
    """The dashboard of `arq web` with these options."""
    defaults: dict[str, Any] = {
        "queues": (),
        "token": None,
        "allow": "",
        "hide_args": False,
        "redact": "",
        "title": "",
        "origins": (),
        "refresh_s": 5.0,
    }
    return for_everybody(settings, host, **{**defaults, **options})


# ---------------------------------------------------------------- who may


async def test_nothing_is_allowed_by_itself(open_dashboard: Open, arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f", "confidential", _job_id="one")
    web = await open_dashboard(authorize=None)
    assert "confidential" not in (await web.get("/jobs")).text + (await web.get("/jobs/one")).text
    assert "confidential" not in (await web.get("/jobs.json")).text + (await web.get("/jobs/one.json")).text
    for action in (
        "delete",
        "filter:delete",
        "run_now",
        "abort",
        "requeue",
        "pause",
        "cron_run",
        "worker_stop",
    ):
        answer = await web.post("/act", data={"action": action, "job": "one", "name": "x", "confirm": "yes"})
        assert answer.status_code == 403, action
    assert '<form method="post"' not in (await web.get("/jobs")).text
    assert await arq_redis.zcard("arq:queue") == 1


@pytest.mark.parametrize(
    ("answer", "status", "may"),
    [
        (None, 403, False),
        ("read", 200, False),
        ({"delete"}, 200, True),
        ({"retry", "see_args"}, 200, False),
        ("all", 200, True),
        (Access(frozenset({"delete"}), "anna"), 200, True),
    ],
)
async def test_authorize(
    open_dashboard: Open, arq_redis: ArqRedis, answer: Any, status: int, may: bool
) -> None:
    async def authorize(request: Any) -> Any:
        return answer

    await arq_redis.enqueue_job("f", _job_id="one")
    web = await open_dashboard(authorize=authorize)
    assert (await web.get("/jobs")).status_code == status
    done = await web.post("/act", data={"action": "delete", "job": "one", "confirm": "yes"}, headers=JSON)
    assert (done.status_code == 200) is may
    if isinstance(answer, Access):
        assert (await web.get("/audit.json")).json()["notes"][0]["by"] == "anna (dashboard)"


async def test_authorize_that_fails_lets_nobody_in(open_dashboard: Open) -> None:
    def authorize(request: Any) -> Any:
        raise KeyError("session")

    web = await open_dashboard(authorize=authorize)
    answer = await web.get("/jobs")
    assert (answer.status_code, "session" in answer.text) == (500, False)


async def test_the_token(redis_settings: RedisSettings) -> None:
    app = alone(redis_settings, token=TOKEN, allow="all")
    async with browsing(app) as web:
        assert (await web.get("/jobs")).status_code == 401
        assert (await web.get("/jobs.json")).json() == {"error": "log in first"}
        for wrong in ("", "x", TOKEN[:-1], TOKEN + "x", "\u00e9" * 40):
            assert (await web.post("/login", data={"token": wrong})).status_code == 401
        for cookie in ("", "x", "9999999999.x", f"9999999999.{'0' * 64}", TOKEN):
            assert (await web.get("/jobs", headers={"Cookie": f"arq_dashboard={cookie}"})).status_code == 401
        assert (
            await web.post("/act", data={"action": "pause", "name": "q", "confirm": "yes"})
        ).status_code == 401
        answer = await web.post("/login", data={"token": TOKEN, "next": "/jobs?state=done"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/jobs?state=done")
        cookie = answer.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        assert TOKEN not in cookie
        assert (await web.get("/jobs")).status_code == 200
        await web.post("/logout")
        assert (await web.get("/jobs")).status_code == 401
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert (await web.get("/jobs", headers=bearer)).status_code == 200
    await app.aclose()


@pytest.mark.parametrize(
    "following",
    ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/\t/evil"],
)
async def test_a_login_leads_nowhere_else(redis_settings: RedisSettings, following: str) -> None:
    async with browsing(alone(redis_settings, token=TOKEN)) as web:
        answer = await web.post("/login", data={"token": TOKEN, "next": following})
        assert answer.headers["location"] == "/"


def test_a_cookie_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    token = Token(TOKEN)
    cookie = token.new_cookie()
    assert token.accepts(cookie)
    assert not Token(TOKEN + "y").accepts(cookie)
    monkeypatch.setattr("arq._web.access.SESSION_S", -1)
    assert not token.accepts(token.new_cookie())


@pytest.mark.parametrize(
    ("host", "options", "reason"),
    [
        ("0.0.0.0", {}, "needs --token"),
        ("::", {}, "needs --token"),
        ("10.0.0.1", {}, "needs --token"),
        ("127.0.0.1", {"allow": "delete"}, "--allow needs --token"),
        ("127.0.0.1", {"token": "short"}, "it must have 32"),
        ("127.0.0.1", {"token": ""}, "it must have 32"),
        ("127.0.0.1", {"token": TOKEN, "allow": "destroy"}, "no right 'destroy'"),
        ("127.0.0.1", {"origins": ("evil",)}, "is no origin"),
    ],
)
def test_options_that_are_not_safe_are_refused(
    redis_settings: RedisSettings, host: str, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        alone(redis_settings, host, **options)


# ---------------------------------------------------------------- other sites and hosts


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8801"},
        {"Origin": "http://[broken"},
        {},
    ],
)
async def test_other_sites_can_do_nothing(
    open_dashboard: Open, arq_redis: ArqRedis, headers: dict[str, str]
) -> None:
    await arq_redis.enqueue_job("f", _job_id="one")
    web = await open_dashboard()
    del web.headers["sec-fetch-site"]
    answer = await web.post(
        "/act", data={"action": "delete", "job": "one", "confirm": "yes"}, headers=headers
    )
    assert answer.status_code == 403
    assert await arq_redis.zcard("arq:queue") == 1


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        ({}, {"Sec-Fetch-Site": "same-origin"}),
        ({}, {"Origin": ORIGIN}),
        ({"origins": ["https://ops.example.com"]}, {"Origin": "https://ops.example.com"}),
    ],
)
async def test_its_own_pages_can(
    open_dashboard: Open, options: dict[str, Any], headers: dict[str, str]
) -> None:
    web = await open_dashboard(**options)
    del web.headers["sec-fetch-site"]
    answer = await web.post(
        "/act", data={"action": "delete", "job": "one", "confirm": "yes"}, headers=headers
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_other_methods_do_nothing(web: httpx.AsyncClient, method: str) -> None:
    assert (await web.request(method, "/jobs")).status_code == 405


async def test_looking_changes_nothing(web: httpx.AsyncClient, arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f", _job_id="one")
    answer = await web.get("/act?action=delete&job=one&confirm=yes")
    assert answer.status_code in (404, 405)
    assert await arq_redis.zcard("arq:queue") == 1


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8800", 200),
        ("localhost", 200),
        ("[::1]:8800", 200),
        ("127.1.2.3", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:8800", 403),
        ("10.0.0.1", 403),
        ("", 403),
        ("[::1", 403),
    ],
)
async def test_a_name_that_was_made_to_lead_here(
    redis_settings: RedisSettings, host: str, status: int
) -> None:
    """DNS rebinding: the browser takes the dashboard for a page of the other name."""
    app = alone(redis_settings)
    async with browsing(app) as web:
        assert (await web.get("/about", headers={"Host": host})).status_code == status
    await app.aclose()


async def test_headers_of_all_answers(web: httpx.AsyncClient) -> None:
    for path in ("/", "/jobs.json", "/nothing", "/static/dashboard.js", "/jobs?state=nonsense"):
        headers = (await web.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


async def test_no_page_has_inline_code(web: httpx.AsyncClient, arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f", _job_id="one")
    for path in (
        "/",
        "/queues",
        "/jobs",
        "/jobs/one",
        "/dead",
        "/crons",
        "/workers",
        "/functions",
        "/audit",
        "/about",
    ):
        text = (await web.get(path)).text
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", text), path
        assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", text), path


# ---------------------------------------------------------------- what is in Redis

ODD = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\x1b[31mred\x07",
    "\u202egnp.exe",
    "a/b/../c",
    "x.json",
    "%2e%2e/%00",
    "-",
    "..",
    "{{ 7*7 }}",
    "a?b#c&d=e",
    " ",
    "j\u00f6b \U0001f600",
]


@pytest.mark.parametrize("odd", ODD)
async def test_odd_ids_and_texts(web: httpx.AsyncClient, arq_redis: ArqRedis, odd: str) -> None:
    await arq_redis.enqueue_job(odd, odd, key=odd, _job_id=odd)
    page = await web.get("/jobs")
    assert page.status_code == 200
    (link,) = re.findall(r'class="id" href="([^"]+)"', page.text)
    page = await web.get(link.replace("&amp;", "&"))
    assert page.status_code == 200, link
    for raw in ("<script>alert", "<img", "\x1b", "\x07", "\u202e", ">49<"):
        assert raw not in page.text
    found = (await web.get("/jobs.json")).json()["jobs"][0]
    assert (found["job_id"], found["args"]) == (odd, [odd])
    if odd.strip():
        done = await web.post("/act", data={"action": "delete", "job": odd, "confirm": "yes"}, headers=JSON)
        assert done.json()["outcomes"] == {"done": 1}


async def test_an_id_that_is_no_text(web: httpx.AsyncClient, arq_redis: ArqRedis) -> None:
    await arq_redis.zadd("arq:queue", {b"\xff\xfe": timestamp_ms()})
    await arq_redis.set(
        b"arq:job:\xff\xfe", pickle.dumps({"t": 1, "f": "f", "a": (b"\xff",), "k": {}, "et": 1}), ex=60
    )
    page = await web.get("/jobs")
    (link,) = re.findall(r'class="id" href="([^"]+)"', page.text)
    assert (await web.get(link.replace("&amp;", "&"))).status_code == 200
    (word,) = re.findall(r'name="job" value="([^"]+)"', page.text)
    done = await web.post("/act", data={"action": "delete", "job": word, "confirm": "yes"}, headers=JSON)
    assert done.json()["outcomes"] == {"done": 1}


LOADED: list[str] = []


class Payload:
    """Sets a flag when somebody unpickles it."""

    def __reduce__(self) -> Any:
        return LOADED.append, ("unpickled",)


async def test_nothing_is_unpickled(web: httpx.AsyncClient, arq_redis: ArqRedis) -> None:
    job = pickle.dumps({"t": 1, "f": "f", "a": (Payload(),), "k": {}, "et": timestamp_ms()})
    result = pickle.dumps(
        {
            "t": 1,
            "f": "f",
            "a": (Payload(),),
            "k": {},
            "et": 1,
            "s": False,
            "r": Payload(),
            "st": 1,
            "ft": 1,
            "q": "arq:queue",
        }
    )
    await arq_redis.zadd("arq:queue", {"evil": timestamp_ms()})
    await arq_redis.set("arq:job:evil", job, ex=60)
    await arq_redis.set("arq:result:over", result, ex=60)
    await arq_redis.zadd("arq:queue:dead", {"dead": timestamp_ms()})
    await arq_redis.hset("arq:dead:dead", mapping={"payload": job, "entry": job, "queue": "arq:queue"})
    for key in ("arq:queue:dead", "arq:dead:dead"):
        await arq_redis.expire(key, 60)
    for path in (
        "/",
        "/jobs",
        "/jobs?arg=x",
        "/jobs/evil",
        "/jobs?state=done",
        "/jobs/over",
        "/dead",
        "/jobs/dead",
        "/workers",
    ):
        assert (await web.get(path)).status_code == 200, path
    for form in (
        {"action": "filter:delete", "state": ""},
        {"action": "requeue", "job": "dead"},
        {"action": "abort", "job": "dead"},
    ):
        assert (await web.post("/act", data={**form, "confirm": "yes"})).status_code == 200
    assert LOADED == []


async def test_redaction(open_dashboard: Open, arq_redis: ArqRedis) -> None:
    def redact(function: str | None, name: str, value: Any) -> Any:
        if name == "broken":
            raise ValueError
        return "***" if name in ("password", "0") else value

    await arq_redis.enqueue_job(
        "f", "first-secret", 2, password="hunter2", user="anna", broken="oops", _job_id="one"
    )
    web = await open_dashboard(redact=redact)
    for path in ("/jobs", "/jobs/one", "/jobs.json", "/jobs/one.json"):
        text = (await web.get(path)).text
        assert "anna" in text
        for secret in ("first-secret", "hunter2", "oops"):
            assert secret not in text, path
    assert (await web.get("/jobs?arg=hunter2")).status_code == 403


async def test_names_to_redact_and_hidden_arguments(
    redis_settings: RedisSettings, arq_redis: ArqRedis
) -> None:
    await arq_redis.enqueue_job(
        "f", {"Password": "hunter2", "user": "anna"}, password="hunter3", _job_id="one"
    )
    for options, shown in (({"redact": "password,token"}, True), ({"hide_args": True}, False)):
        app = alone(redis_settings, **options)
        async with browsing(app) as web:
            text = (await web.get("/jobs/one")).text + (await web.get("/jobs.json")).text
            assert "hunter" not in text
            assert ("anna" in text) is shown
        await app.aclose()


# ---------------------------------------------------------------- bounded work


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/jobs?limit=100000000", 200),
        ("/jobs?limit=-1", 200),
        ("/jobs?limit=nan", 200),
        ("/jobs?limit=x", 200),
        ("/jobs?older_than=1e999", 200),
        ("/functions?hours=1e999", 200),
        ("/functions?hours=0", 200),
        ("/jobs?state=nonsense", 400),
        ("/jobs?cursor=nonsense", 400),
        ("/jobs?queue=arq:leases", 400),
        ("/jobs?queue=" + "x" * 20_000, 414),
        ("/jobs?" + "&".join(f"a{n}=1" for n in range(200)), 400),
        ("/audit?before=x", 400),
        ("/jobs/" + "x" * 50_000, 404),
        ("/static/../access.py", 404),
        ("/static/%2e%2e%2faccess.py", 404),
        ("/nothing", 404),
    ],
)
async def test_odd_addresses(web: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await web.get(path)
    assert answer.status_code == status, answer.text
    assert "Traceback" not in answer.text


async def test_what_is_no_queue(web: httpx.AsyncClient, arq_redis: ArqRedis) -> None:
    await arq_redis.set("text", "x", ex=60)
    await arq_redis.lpush("lookalike", "x")
    await arq_redis.expire("lookalike", 60)
    for path in ("/jobs?queue=text", "/dead?queue=text", "/jobs/one?queue=text", "/crons?queue=text"):
        assert (await web.get(path)).status_code in (200, 404), path
    assert (await web.get("/jobs?queue=text")).status_code == 404
    assert (await web.get("/jobs?queue=lookalike&state=queued")).status_code == 404


async def test_many_viewers_cost_one_look(
    web: httpx.AsyncClient, arq_redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask within a second, Redis is asked once."""
    monkeypatch.setattr("arq._web.application._PAGE_LIFE_S", 60)
    first = await web.get("/jobs")
    before = (await arq_redis.info("commandstats"))["cmdstat_zrange"]["calls"]
    for _ in range(20):
        again = await web.get("/jobs")
        assert again.text == first.text
    unchanged = await web.get("/jobs", headers={"If-None-Match": first.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert (await arq_redis.info("commandstats"))["cmdstat_zrange"]["calls"] == before


async def test_a_redis_that_is_away(redis_settings: RedisSettings) -> None:
    app = dashboard(
        RedisSettings(host="127.0.0.1", port=1, conn_retries=0, conn_timeout=1), authorize=lambda _: "all"
    )
    async with browsing(app) as web:
        answer = await web.get("/jobs")
        assert (answer.status_code, "Redis can&#39;t be used" in answer.text) == (503, True)
        assert (await web.get("/jobs.json")).status_code == 503
    await app.aclose()
