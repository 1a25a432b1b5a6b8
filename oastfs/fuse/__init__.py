"""The mount: a POSIX view of a filesystem. Stands on the client; knows no store and no datanode."""
