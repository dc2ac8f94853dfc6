"""The running gateway: listeners, wiring, life cycle."""
