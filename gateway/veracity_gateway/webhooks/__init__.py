"""Tells other services that jobs ended, as https://www.standardwebhooks.com says."""
