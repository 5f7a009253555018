"""Doing things: the question before, the deed, and the answer that says what happened."""

from __future__ import annotations

import logging
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.responses import Response

from .._admin.running import now_ms as redis_now_ms
from .._printable import printable
from ..admin import Admin, Deed, ListedJob
from .access import Access
from .actions import ACTIONS, ALSO, Action, counted, told
from .answers import Answers, wants_json
from .chosen import Filtered, named, named_jobs
from .forms import Form, read_form
from .guards import client_of
from .job_pages import wanted_of
from .json_form import as_json_bytes
from .view import Look, Page

if TYPE_CHECKING:
    from starlette.requests import Request

logger = logging.getLogger("arq.web")

#: Seconds for which jobs of a filter are acted on in one go, jobs of one step, and those that are told one by one.
_LONGEST_S, _STEP, _FEW = 20.0, 100, 20
#: Questions of which is remembered that they were answered.
_MOST_ANSWERED = 1000
#: Fields of a form that the question hands on.
_KEPT = ("action", "queue", "state", "function", "id_prefix", "arg", "older_than", "note", "back")
_FILTER = "filter:"


@dataclass
class Outcome:
    """What became of it.

    Attributes:
        deeds: of the first ones.
        counts: of all.
        is_cut: there are more: time was up.
    """

    deeds: list[tuple[str, Deed, str]] = field(default_factory=list)
    counts: Counter[Deed] = field(default_factory=Counter)
    is_cut: bool = False

    def add(self, names: Sequence[str], deeds: Sequence[Deed], detail: str = "") -> None:
        """Some more."""
        room = max(0, _FEW - len(self.deeds))
        self.deeds += [(name, deed, detail) for name, deed in zip(names[:room], deeds, strict=False)]
        self.counts.update(deeds)


class Acting:
    """Answers forms that want something done."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._answered: OrderedDict[str, None] = OrderedDict()
        self._is_busy = False

    async def endpoint(self, request: Request) -> Response:
        """Answer a form."""
        return await self._answers.answer(request, self._answer)

    async def _answer(self, request: Request, access: Access) -> Response:
        try:
            return await self._act(request, access)
        except ValueError as exc:  # no id, no name of a queue, too long
            raise HTTPException(400, str(exc)) from exc

    async def _act(self, request: Request, access: Access) -> Response:
        form = await read_form(request)
        asked, is_filter = _asked(form)
        if not access.may(asked.right):
            raise HTTPException(403, f"this is not allowed here: it needs the right {asked.right!r}")
        look = self._look(request, access, form)
        chosen: Filtered | list[ListedJob] | list[str]
        if is_filter:
            chosen = Filtered(
                look.queue, look.asked("state"), wanted_of(look), int(look.number("before", 0, 0, 1e15))
            )
        else:
            chosen = named_jobs(form, look.queue) if asked.of == "job" else named(form)
            if not chosen:
                raise HTTPException(400, f"choose a {asked.of} first")
        if form.get("confirm") != "yes":
            return await self._question(request, look, asked, chosen, form)
        who, once = self._who(request, access), form.get("once", "")
        admin = Admin((await look.lookups.admin()).redis, by=who)
        self._remember(once)
        try:
            outcome = await self._do(admin, look, asked, chosen, form)
        except BaseException:  # whatever it was, it may be tried again
            self._answered.pop(once, None)
            raise
        finally:
            look.lookups.forget()
        return self._told(request, look, asked, outcome, form, who)

    def _look(self, request: Request, access: Access, form: Form) -> Look:
        """The filter stands in the form as it does in the address of a list."""
        look = self._answers.look(request, access)
        pairs = [(name, form.get(name, "")) for name in (*_KEPT, "before") if form.get(name)]
        return Look(look.lookups, QueryParams(pairs), access, look.links, look.mask)

    @staticmethod
    def _who(request: Request, access: Access) -> str:
        """Who acts: by name if there is one."""
        user = access.user
        if not user and "user" in request.scope:
            user = str(getattr(request.scope["user"], "display_name", "") or request.scope["user"])
        return f"{user or client_of(request.scope)} (dashboard)"

    def _remember(self, once: str) -> None:
        """A question is answered once: not again by a second click, or when the answer is loaded anew."""
        if not once:
            return
        if once in self._answered:
            raise HTTPException(409, "this was done already: go back and choose anew")
        self._answered[once] = None
        while len(self._answered) > _MOST_ANSWERED:
            self._answered.popitem(last=False)

    # --- the question -------------------------------------------------------------------------------------------

    async def _question(
        self,
        request: Request,
        look: Look,
        action: Action,
        chosen: Filtered | list[ListedJob] | list[str],
        form: Form,
    ) -> Response:
        admin = await look.lookups.admin()
        names: list[str] = []
        now_ms = await redis_now_ms(admin.redis)
        if isinstance(chosen, Filtered):
            # what is counted is what the answer will be about
            count, is_least = await replace(chosen, before_ms=now_ms).count(admin, action)
        else:
            count, is_least = len(chosen), False
            names = [one.job_id if isinstance(one, ListedJob) else one for one in chosen[:_FEW]]
        kept = [(name, form.get(name, "")) for name in _KEPT if form.get(name)]
        kept += [("before", str(now_ms)), ("count", str(count)), ("once", secrets.token_urlsafe(12))]
        kept += [(name, value) for name in ("job", "name") for value in form.getlist(name)]
        question = action.question(counted(action, count, at_least=is_least))
        facts = {
            "action": action,
            "question": question,
            "kept": kept,
            "names": names,
            "count": count,
            "is_filter": isinstance(chosen, Filtered),
            "back": _back(look, form),
        }
        json = {"question": question, "count": count, "at_least": is_least, "say": "confirm=yes"}
        return self._page(
            request, look, Page("question", question, facts, json, is_live=False, now_ms=now_ms)
        )

    # --- the deed -----------------------------------------------------------------------------------------------

    async def _do(
        self,
        admin: Admin,
        look: Look,
        action: Action,
        chosen: Filtered | list[ListedJob] | list[str],
        form: Form,
    ) -> Outcome:
        if isinstance(chosen, Filtered):
            return await self._do_filtered(admin, action, chosen, form)
        outcome = Outcome()
        for one in chosen:
            if isinstance(one, ListedJob):
                break
            deed, detail = await _do_named(admin, action, one, look.queue, form.get("note", ""))
            outcome.add([one], [deed], detail)
        jobs = [one for one in chosen if isinstance(one, ListedJob)]
        if jobs:
            async with admin.as_one(action.trail, look.queue, len(jobs)):
                outcome.add([job.job_id for job in jobs], await _do_jobs(admin, action, jobs, look.queue))
        return outcome

    async def _do_filtered(self, admin: Admin, action: Action, chosen: Filtered, form: Form) -> Outcome:
        if self._is_busy:
            raise HTTPException(429, "somebody is just doing something with many jobs: try again in a moment")
        self._is_busy = True
        outcome, until_s = Outcome(), time.monotonic() + _LONGEST_S
        planned = int(form.get("count", "0")) if form.get("count", "").isdigit() else 0
        try:
            async with admin.as_one(action.trail, chosen.queue, planned, "all that a filter fits"):
                async for found in chosen.pages(admin):
                    jobs = [job for job in found if action.fits(job.state)]
                    for first in range(0, len(jobs), _STEP):
                        part = jobs[first : first + _STEP]
                        outcome.add(
                            [job.job_id for job in part], await _do_jobs(admin, action, part, chosen.queue)
                        )
                        if time.monotonic() > until_s:
                            outcome.is_cut = True
                            return outcome
        finally:
            self._is_busy = False
        return outcome

    # --- the answer ---------------------------------------------------------------------------------------------

    def _told(
        self, request: Request, look: Look, action: Action, outcome: Outcome, form: Form, who: str
    ) -> Response:
        lines = [f"{count:,} {told(action, deed)}" for deed, count in outcome.counts.items()]
        done = sum(outcome.counts.values())
        summary = "; ".join(lines) if lines else f"No {action.of} fits any more: nothing was done"
        if outcome.is_cut:
            summary += ". There are more: time was up"
        logger.info("%s by %s: %s", action.trail, printable(who), summary)
        kept = [(name, form.get(name, "")) for name in _KEPT if form.get(name)]
        facts = {
            "action": action,
            "summary": summary,
            "each": [(name, told(action, deed), detail) for name, deed, detail in outcome.deeds]
            if done <= _FEW
            else [],
            "is_cut": outcome.is_cut,
            "kept": kept,
            "queue": look.queue,
            "back": _back(look, form),
        }
        json = {
            "action": action.name,
            "count": done,
            "outcomes": {deed.value: count for deed, count in outcome.counts.items()},
            "is_cut": outcome.is_cut,
            "deeds": [
                {"of": name, "outcome": deed.value, "detail": detail} for name, deed, detail in outcome.deeds
            ],
        }
        return self._page(request, look, Page("answer", "Done", facts, json, is_live=False))

    def _page(self, request: Request, look: Look, page: Page) -> Response:
        if wants_json(request):
            return Response(as_json_bytes(page.json), page.status, media_type="application/json")
        return Response(self._answers.render(request, page, look.access), page.status, media_type="text/html")


def _asked(form: Form) -> tuple[Action, bool]:
    """What is wanted, and whether with all that a filter fits."""
    word = form.get("action", "")
    name = word.removeprefix(_FILTER)
    action = ACTIONS.get(ALSO.get(name, name))
    if action is None or (word.startswith(_FILTER) and action.of != "job"):
        raise HTTPException(400, f"there is no action {word[:40]!r}: {', '.join(ACTIONS)}")
    return action, word.startswith(_FILTER)


def _back(look: Look, form: Form) -> str:
    """Where one came from: a page of ours."""
    back = form.get("back", "")
    is_ours = back.startswith(look.links.to("")) and not back.startswith(("//", "/\\")) and back.isprintable()
    return back if is_ours else look.links.to("")


async def _do_jobs(admin: Admin, action: Action, jobs: list[ListedJob], queue: str) -> list[Deed]:
    if action.name == "abort":
        return [await admin.abort(job, queue) for job in jobs]
    if action.name in ("requeue", "requeue_once"):
        return await admin.requeue(jobs, queue, tries=1 if action.name == "requeue_once" else None)
    act = {"run_now": admin.run_now, "delete": admin.delete, "delete_dead": admin.delete_dead}[action.name]
    return await act(jobs, queue)


async def _do_named(admin: Admin, action: Action, name: str, queue: str, note: str) -> tuple[Deed, str]:
    """With a queue, a schedule or a worker; and more about it."""
    if action.of == "worker":
        word = cast("Literal['quiet', 'resume', 'stop']", action.name.removeprefix("worker_"))
        return await admin.tell(name, word, wait=0), ""
    if action.name == "pause":
        await admin.pause(name, note=note)
        return Deed.done, ""
    if action.name == "resume":
        return (Deed.done if await admin.resume(name) else Deed.over), ""
    if action.name == "cron_run":
        job_id = await admin.run_cron(name, queue)
        return (Deed.unknown, "") if job_id is None else (Deed.done, f"as {job_id}")
    act: Any = {"cron_pause": admin.pause_cron, "cron_resume": admin.resume_cron}[action.name]
    return await act(name, queue), ""
