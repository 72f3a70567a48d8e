"""The agent server: runs inside a sandbox, hosts an agent over ACP, and pushes everything that happens to the control plane."""

AGENT_SERVER_VERSION = "1"  # of the interface in the sandbox: health, events, command, session
