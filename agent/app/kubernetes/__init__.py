"""Makes a cluster match what Git says: applies, prunes, and says what became of each object."""
