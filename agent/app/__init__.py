"""The running agent: inbox loop, reconciler, life cycle."""
