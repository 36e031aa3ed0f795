"""The page's session: an API key becomes a cookie that no script can read."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from veracity_gateway.access.caller import Scope
from veracity_gateway.access.sessions import cookie_of, csrf_of, give_cookie, take_cookie
from veracity_gateway.routes.parts import Anyone, TheGateway

router = APIRouter(tags=["session"])


class Login(BaseModel):
    """What begins a session."""

    model_config = ConfigDict(extra="forbid")

    api_key: SecretStr = Field(min_length=1, max_length=512)


class SessionShown(BaseModel):
    """Who is logged in. ``csrf`` goes back as X-CSRF-Token with what changes anything; empty where none is needed."""

    name: str
    scopes: list[Scope]
    csrf: str


@router.post("/session", status_code=204)
def log_in(request: Request, response: Response, gateway: TheGateway, login: Login) -> None:
    """Begin a session, which lasts until it is unused for an hour, and half a day at most."""
    key = gateway.identity.by_key(login.api_key.get_secret_value(), request)
    give_cookie(request, response, gateway.sessions.begin(key))


@router.get("/session")
def session(request: Request, caller: Anyone) -> SessionShown:
    """Say who asks."""
    cookie = cookie_of(request)
    return SessionShown(name=caller.name, scopes=sorted(caller.scopes), csrf=csrf_of(cookie) if cookie else "")


@router.delete("/session", status_code=204)
def log_out(request: Request, response: Response, gateway: TheGateway, _caller: Anyone) -> None:
    """End the session."""
    if cookie := cookie_of(request):
        gateway.sessions.end(cookie)
        take_cookie(request, response)
