"""The OpenAPI document's word on access: how a key is sent, and what wants none."""

from __future__ import annotations

from typing import Any

from veracity_gateway.access.guard import is_public
from veracity_gateway.access.sessions import CSRF_HEADER

SCHEMES: dict[str, dict[str, str]] = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "vk_ID_SECRET", "description": "an API key"},
    "header": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "an API key"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-veracity",
        "description": f"the page's session; what changes anything wants {CSRF_HEADER} as well. Over http: `veracity`",
    },
}


def declare_access(document: dict[str, Any]) -> dict[str, Any]:
    """Add the security schemes, and take them off what is public."""
    document["components"]["securitySchemes"] = SCHEMES
    document["security"] = [{name: []} for name in SCHEMES]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if is_public(method.upper(), path):
                operation["security"] = []
    return document
