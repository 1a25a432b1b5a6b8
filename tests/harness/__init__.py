"""What tests share: real processes on free loopback ports, waiting with deadlines, logs that are read."""
