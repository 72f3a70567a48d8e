"""What hedgerow answers, as far as a client reads it. `raw` keeps the whole JSON object, unknown fields included."""
