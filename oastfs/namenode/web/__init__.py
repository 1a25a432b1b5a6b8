"""WebHDFS as a namenode serves it: each operation is a call of ClientProtocol, with JSON around it.

A request becomes the protobuf request that an HDFS client would have sent, the very same function carries it
out, and its answer is rendered as WebHDFS has it. Who reads or writes contents is sent to a datanode.
"""
