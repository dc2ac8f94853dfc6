"""What the agent's app needs from the outside, as protocols."""
