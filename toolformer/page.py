"""What a report's page may run: only the very style and script that were written into it."""

import base64
import hashlib


def policy_hash(text: str) -> str:
    """How a content security policy names a style or a script by what it says."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
