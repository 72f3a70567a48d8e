"""The client for programs that wait: made from `hedgerow.client.asynchronous` by scripts/blocking-client."""
