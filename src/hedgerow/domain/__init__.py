"""Nouns, rules and errors of hedgerow. Nothing here reads a clock, a file, a socket or the environment."""
