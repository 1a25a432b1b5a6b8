"""WebHDFS's contents over HTTP: what a datanode serves of it, by the client library.

A namenode answers for metadata itself and sends who reads or writes contents to a datanode. There this
package carries the request out: permissions and leases by calls of HDFS's ClientProtocol to the namenode,
as the user who asks; then the bytes by inode id, as OastFS's own clients do.
"""

from oastfs.webgateway.gateway import WebGateway

__all__ = ["WebGateway"]
