"""The Sync."""
