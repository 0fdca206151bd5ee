"""Tables in, a validated `Dataset` out."""

from intentcast.sources.dataset import Dataset, load_dataset

__all__ = ["Dataset", "load_dataset"]
