"""What breaks the original, carried out against real nodes over real WebSockets."""
