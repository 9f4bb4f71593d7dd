"""The object store: DataFrames, figures and large values, kept outside the log under their SHA-256."""

from shared.objects.address import WrongObjectsUrl
from shared.objects.local import LocalObjectStore
from shared.objects.memory import MemoryObjectStore
from shared.objects.opening import open_store
from shared.objects.store import ObjectCorrupt, ObjectMissing, ObjectStore, StoredObject, StoreUnavailable

__all__ = [
    "LocalObjectStore",
    "MemoryObjectStore",
    "ObjectCorrupt",
    "ObjectMissing",
    "ObjectStore",
    "StoreUnavailable",
    "StoredObject",
    "WrongObjectsUrl",
    "open_store",
]
