"""Calls that datanodes make on a namenode's own port, not on its control port.

``control.proto`` says what they mean and has their messages. They come with every small file that is written,
and gRPC takes several times as long over a call as what the call is about.
"""

from __future__ import annotations

from typing import Final

PROTOCOL: Final = "oastfs.Datanode"
STORE_INLINE: Final = "storeInline"
"""StoreInlineRequest to StoreInlineResponse, as by gRPC's StoreInline."""
