"""What one can do with hedgerow: one async function per verb, `backends` first. An operation owns its transaction."""
