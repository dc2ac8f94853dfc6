"""Kubernetes, as far as the agent speaks to it."""
