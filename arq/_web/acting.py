"""Doing things: the question before, the deed, and the answer that says what happened."""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.responses import Response

from .._printable import printable
from ..admin import ListedJob
from .access import Access
from .actions import ACTIONS, ALSO, Action, counted, told
from .answers import SERVER, Answers, wants_json
from .chosen import Filtered, named, named_jobs
from .doing import FEW, Doing, Outcome, counted_jobs, first_clock, require_some
from .forms import Form, read_form
from .guards import client_of
from .job_pages import wanted_of
from .json_form import as_json_bytes
from .view import Look, Page

if TYPE_CHECKING:
    from starlette.requests import Request

logger = logging.getLogger("arq.web")

#: Questions of which is remembered that they were answered.
_MOST_ANSWERED = 1000
#: Fields of a form that the question hands on.
_KEPT = ("action", "queue", SERVER, "state", "function", "id_prefix", "arg", "older_than", "note", "back")
_FILTER = "filter:"


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
        doing = Doing(look.servers.chosen(look.asked(SERVER)), who, asked, look.queue)
        self._remember(once)
        try:
            outcome = await self._do(doing, asked, chosen, form)
        except BaseException:  # whatever it was, it may be tried again
            self._answered.pop(once, None)
            raise
        finally:
            look.servers.forget()
        return self._told(request, look, asked, outcome, form, who)

    def _look(self, request: Request, access: Access, form: Form) -> Look:
        """The filter stands in the form as it does in the address of a list."""
        look = self._answers.look(request, access)
        pairs = [(name, form.get(name, "")) for name in (*_KEPT, "before") if form.get(name)]
        query = QueryParams(pairs)
        lookups = look.servers.looking(query.get(SERVER, ""))
        return Look(look.servers, lookups, query, access, look.links, look.mask)

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
        names: list[str] = []
        servers = look.servers.chosen(look.asked(SERVER))
        now_ms, away = await first_clock(servers)
        if isinstance(chosen, Filtered):
            # what is counted is what the answer will be about
            count, is_least, away = await counted_jobs(servers, replace(chosen, before_ms=now_ms), action)
        else:
            count, is_least = len(chosen), False
            names = [one.job_id if isinstance(one, ListedJob) else one for one in chosen[:FEW]]
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
        page = Page("question", question, facts, json, is_live=False, now_ms=now_ms, away=away)
        return self._page(request, look, page)

    # --- the deed -----------------------------------------------------------------------------------------------

    async def _do(
        self,
        doing: Doing,
        action: Action,
        chosen: Filtered | list[ListedJob] | list[str],
        form: Form,
    ) -> Outcome:
        if isinstance(chosen, Filtered):
            await self._do_filtered(doing, chosen, form)
        elif action.of == "job":
            await doing.do_jobs([one for one in chosen if isinstance(one, ListedJob)])
        else:
            names = [one for one in chosen if isinstance(one, str)]
            await doing.do_named(names, form.get("note", ""))
        require_some(doing.outcome)
        return doing.outcome

    async def _do_filtered(self, doing: Doing, chosen: Filtered, form: Form) -> None:
        if self._is_busy:
            raise HTTPException(429, "somebody is just doing something with many jobs: try again in a moment")
        self._is_busy = True
        try:
            await doing.do_filtered(
                chosen, int(form.get("count", "0")) if form.get("count", "").isdigit() else 0
            )
        finally:
            self._is_busy = False

    # --- the answer ---------------------------------------------------------------------------------------------

    def _told(
        self, request: Request, look: Look, action: Action, outcome: Outcome, form: Form, who: str
    ) -> Response:
        done, summary = sum(outcome.counts.values()), _summary(action, outcome)
        logger.info("%s by %s: %s", action.trail, printable(who), summary)
        kept = [(name, form.get(name, "")) for name in _KEPT if form.get(name)]
        facts = {
            "action": action,
            "summary": summary,
            "each": [(name, told(action, deed), detail) for name, deed, detail in outcome.deeds]
            if done <= FEW
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
        if look.servers.names:
            json |= {"left": outcome.left, "away": outcome.away}
        page = Page("answer", "Done", facts, json, is_live=False, away=outcome.away)
        return self._page(request, look, page)

    def _page(self, request: Request, look: Look, page: Page) -> Response:
        if wants_json(request):
            return Response(as_json_bytes(page.json), page.status, media_type="application/json")
        return Response(self._answers.render(request, page, look.access), page.status, media_type="text/html")


def _summary(action: Action, outcome: Outcome) -> str:
    """What has happened, in a line."""
    lines = [f"{count:,} {told(action, deed)}" for deed, count in outcome.counts.items()]
    if outcome.left:
        lines.append(f"{counted(action, outcome.left)} not found where it could be looked for")
    summary = "; ".join(lines) if lines else f"No {action.of} fits any more: nothing was done"
    if outcome.away:
        summary += f". Nothing was done on {', '.join(outcome.away)}: away"
    return f"{summary}. There are more: time was up" if outcome.is_cut else summary


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
