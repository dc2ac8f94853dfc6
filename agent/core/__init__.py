"""What the agent decides, as functions of values. No I/O, no clock."""
