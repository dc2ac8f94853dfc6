"""What to make of manifests and of an API server's answers: pure, JSON in and JSON out."""
