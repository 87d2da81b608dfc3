"""`edgedistill capture prune`."""

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.capture.options import STORE, MaxAgeOption, MaxSizeOption, StoreOption, retention_from
from edgedistill.cli.output import document, say
from edgedistill.errors import InputError


def prune(
    *,
    store: StoreOption = STORE,
    max_age: MaxAgeOption = None,
    max_size: MaxSizeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete what is older or more than a store may keep, and what interrupted programs left in it."""
    from edgedistill.capture.retention import prune as prune_store
    from edgedistill.capture.store import open_store

    retention = retention_from(max_age, max_size)
    if not retention.is_limited:
        raise InputError("limits", found="none", wanted="--max-age-days or --max-size")
    with open_store(store) as opened:
        deleted = prune_store(opened, retention)
        size_bytes = opened.size_bytes()
    if as_json:
        document({"deleted": deleted.completions, "wiped": deleted.wiped, "size_bytes": size_bytes})
    else:
        say(f"deleted {deleted.completions} completions; the store has {size_bytes / 1e6:.1f} MB")
