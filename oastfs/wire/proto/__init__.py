"""Protocol buffer messages and the code generated from them by ``make protobuf``. Edit the .proto only."""
