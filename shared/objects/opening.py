"""The object store that the settings name: every service opens it here."""

from pathlib import Path

from shared.domain.errors import BlotterError
from shared.objects.address import S3Address, parse_objects_url
from shared.objects.local import LocalObjectStore
from shared.objects.store import ObjectStore
from shared.settings import Settings


class S3NotInstalled(BlotterError):
    """The settings name a bucket, and this installation has been made without the library for it."""

    code = "s3_not_installed"


def open_store(settings: Settings) -> ObjectStore:
    """Return the store; it need not be reachable yet. Raises WrongObjectsUrl and S3NotInstalled.

    What is put is recorded in the log within half of the grace: that is what a store of copies counts on.
    """
    if not settings.objects_url:
        return LocalObjectStore(settings.objects_folder)
    match parse_objects_url(settings.objects_url):
        case Path() as folder:
            return LocalObjectStore(folder)
        case S3Address() as address:
            return _s3(address, settings)


def _s3(address: S3Address, settings: Settings) -> ObjectStore:
    try:
        from shared.objects.s3 import S3ObjectStore
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        raise S3NotInstalled(
            f"BLOTTER_OBJECTS_URL names {address}, and the library for S3 is missing here: install the extra `s3`."
        ) from error
    return S3ObjectStore(address, refresh_after=settings.object_grace / 2)
