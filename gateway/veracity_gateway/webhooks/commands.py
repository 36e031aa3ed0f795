"""``veracity gateway webhooks``: what is left to do where the key of webhooks' secrets is lost."""

from __future__ import annotations

import sys

from veracity_gateway.gateway import Gateway
from veracity_gateway.settings import Settings
from veracity_gateway.webhooks.secrets import forget


def forget_webhooks(settings: Settings) -> int:
    """Delete every webhook; the next start makes a new key."""
    gateway = Gateway(settings)
    try:
        count = forget(gateway.database)
    finally:
        gateway.database.close()
    sys.stdout.write(f"webhooks deleted, with their messages: {count}\n")
    return 0
