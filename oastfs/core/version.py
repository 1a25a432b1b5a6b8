"""The version, in the one place that everything below the package's top may import."""

VERSION = "0.1.0"
