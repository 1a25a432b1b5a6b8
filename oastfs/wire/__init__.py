"""What goes over sockets, without the sockets: framing, messages, encodings."""
