"""The client for programs that await. `hedgerow.client.blocking` is made from this room by scripts/blocking-client: change it here."""
