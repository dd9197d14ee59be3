"""Records that a service keeps and gives out over its own API: what all such sources share, whatever the service is."""

from connectors.hosted.service import Barring, Gone, HalfGone, Halved, Item, Records, Refused, Related, Relating, Stale
from connectors.hosted.source import HostedSource

__all__ = ["Barring", "Gone", "HalfGone", "Halved", "HostedSource", "Item", "Records", "Refused", "Related", "Relating", "Stale"]
