"""Is the bundle in use still right: what comes in, what was told, what came of it.

monitor(bundle, folder, dataset, as_of=…)   every check with its light, and the figures
render_page(monitored)                      the traffic-light page
read_runs, with_run                         what earlier runs said, to tell what has changed
"""

from intentcast.monitoring.run import Monitored, monitor
from intentcast.monitoring.state import read_runs, with_run

__all__ = ["Monitored", "monitor", "read_runs", "with_run"]
