"""The binding that speaks the kernel's FUSE protocol on ``/dev/fuse`` itself, without libfuse."""
