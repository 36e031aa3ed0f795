"""The page for people: static files without a framework, and the route that serves them."""
