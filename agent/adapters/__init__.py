"""The outside: files and sockets behind the ports, no decision of the domain."""
