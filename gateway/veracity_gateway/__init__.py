"""Veracity for people and for other services: jobs over HTTP, a page, reports that hold up."""
