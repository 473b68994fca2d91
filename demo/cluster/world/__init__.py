"""Which objects the sample cluster has: a small shop on three nodes, with a release that went wrong.

`checkout` 4.2.0 crash-loops because a setting was renamed, `recommender` waits for an image that doesn't
exist, and `report-2026` fits on no node. All else is well.
"""

from demo.cluster.store import Store
from demo.cluster.world import nodes, shop, system
from demo.cluster.world.build import World


def sample_world() -> Store:
    """The objects, with ages counted from now."""
    world = World()
    nodes.add(world)
    system.add(world)
    shop.add(world)
    return Store(world.objects, world.logs)
