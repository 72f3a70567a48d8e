"""The scripted agent: an ACP agent without a model, which plays a script that stands in its prompt."""
