"""What goes over the wire: the fields of requests, checked by pydantic, and the fields of answers, in the contract's order."""
