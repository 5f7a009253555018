"""The dashboard beside a Django application, for those whom Django's session knows as operators.

In a project this stands in `asgi.py`, and sessions are wherever the project has them.

python examples/dashboard_django.py           # http://127.0.0.1:8000/enter, then http://127.0.0.1:8000/arq/
"""

import os
import secrets
from importlib import import_module

import django
import uvicorn
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from arq.web import Access, dashboard

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_urlsafe(),
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)
django.setup()


def enter(request: HttpRequest) -> HttpResponse:
    """Stands for the login of a project."""
    request.session["operator"] = "anna"
    return HttpResponseRedirect("/arq/")


urlpatterns = [path("", lambda request: HttpResponse("the shop")), path("enter", enter)]


def authorize(request: Request) -> Access | None:
    """Does the session of Django's know an operator?"""
    sessions = import_module(settings.SESSION_ENGINE)
    session = sessions.SessionStore(request.cookies.get(settings.SESSION_COOKIE_NAME))
    operator = session.get("operator")
    return Access(frozenset({"retry", "requeue", "see_args"}), operator) if operator else None


board = dashboard(os.environ.get("REDIS_DSN", "redis://localhost:6379"), authorize=authorize)
application = Starlette(routes=[Mount("/arq", board), Mount("/", get_asgi_application())])

if __name__ == "__main__":
    uvicorn.run(application, port=int(os.environ.get("PORT", "8000")))
