"""What the gateway decides, as functions of bytes and values. No I/O, no clock."""
