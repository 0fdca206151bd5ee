"""A simulated B2B world with a known true probability per lead and as-of time.

>>> from intentcast.simulation import simulate
>>> world = simulate(n_leads=20, seed=1)
>>> world.leads.height
20
"""

from intentcast.simulation.folder import write_world
from intentcast.simulation.world import World, simulate

__all__ = ["World", "simulate", "write_world"]
