"""The gateway: webhook in, event out. It holds no cluster credential and no Git credential."""
