"""What hedgerow speaks to beside agents and git hosts: one file per service."""
