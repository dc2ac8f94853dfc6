"""The agent: event in, reconciled target out. It only dials out."""
