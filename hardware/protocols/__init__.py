"""Pure bytes to messages and back, and control tables as data."""
