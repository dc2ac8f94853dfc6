"""What both programs need around their cores, and nothing of the domain."""
