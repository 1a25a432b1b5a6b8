"""Reading and writing blocks on datanodes."""
