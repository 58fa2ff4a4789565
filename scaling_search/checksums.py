"""Checksums of what is written as plain data: records, manifests and tables."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

DAMAGED = "its content does not match its checksum"


def checksum_of(tree: Any) -> str:
    """A hash of plain data, as it is after it was written as JSON and read back."""
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


def is_damaged(record: Mapping[str, Any]) -> bool:
    """Whether a record has another content than it was written with. Those of earlier versions do not say."""
    return "checksum" in record and record["checksum"] != checksum_of(unsigned(record))


def signed(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data with its checksum."""
    content = unsigned(tree)
    return {**content, "checksum": checksum_of(content)}


def unsigned(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data without its checksum."""
    return {name: value for name, value in tree.items() if name != "checksum"}
