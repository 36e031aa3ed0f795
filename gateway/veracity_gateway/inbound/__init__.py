"""How media come in: in a request's body, in pieces, from an address."""
