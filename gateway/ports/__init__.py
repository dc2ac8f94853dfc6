"""What the gateway's app needs from the outside, as protocols."""
