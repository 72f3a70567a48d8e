"""hedgerow runs coding agents as tasks, in sandboxes, on your own machines."""
