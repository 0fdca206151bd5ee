"""Tables in, a validated `Dataset` out."""

from intentcast.sources.dataset import Dataset, load_dataset
from intentcast.sources.typing import as_text

__all__ = ["Dataset", "as_text", "load_dataset"]
