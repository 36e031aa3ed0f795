"""What the routes have in common: the gateway and the caller of a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from veracity_gateway.access.caller import Caller, Scope
from veracity_gateway.access.limits import check_quota
from veracity_gateway.errors import Forbidden
from veracity_gateway.gateway import Gateway


def gateway_of(request: Request) -> Gateway:
    """Return the gateway that answers."""
    gateway: Gateway = request.app.state.gateway
    return gateway


def caller_of(request: Request) -> Caller:
    """Return who asks, as the guard found."""
    caller: Caller = request.state.caller
    return caller


def caller_with(scope: Scope) -> Callable[[Request], Caller]:
    """Return what gives a route its caller; raises Unauthorized, or Forbidden without the scope."""

    def caller(request: Request) -> Caller:
        found = caller_of(request)
        if scope not in found.scopes:
            raise Forbidden(f"this needs the scope {scope}; the key has {', '.join(sorted(found.scopes))}")
        return found

    return caller


TheGateway = Annotated[Gateway, Depends(gateway_of)]
Analyst = Annotated[Caller, Depends(caller_with("analyze"))]
Anyone = Annotated[Caller, Depends(caller_of)]
Reader = Annotated[Caller, Depends(caller_with("read"))]
Reviewer = Annotated[Caller, Depends(caller_with("review"))]
Admin = Annotated[Caller, Depends(caller_with("admin"))]


def submitter(gateway: TheGateway, caller: Analyst) -> Caller:
    """Return who may make a job now, so that no file is sent for one that would be refused."""
    with gateway.database.reading() as session:
        check_quota(session, caller.id)
    return caller


Submitter = Annotated[Caller, Depends(submitter)]
