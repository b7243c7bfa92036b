"""What may stand in a log line: an allow list, a deny list, and a scan of everything between."""

import re
from collections.abc import Mapping

REDACTED = "[redacted]"
_DEPTH_MAX = 6
_PAN_DIGITS_MIN = 13
_PAN_DIGITS_MAX = 19

_SAFE_KEYS = frozenset({
    "attempt", "code", "currency", "event", "exit_code", "id", "level", "logger", "offset",
    "partition", "pid", "port", "reason", "schema", "seq", "service", "signal", "state", "status",
    "tenant", "time", "topic", "version",
})  # fmt: skip
_SAFE_ENDINGS = ("_at", "_code", "_count", "_id", "_ids", "_minor", "_ms", "_ns", "_s", "_us")

_PERSONAL_KEY = re.compile(
    r"(^|_)(account_number|account_no|address|address_line\d?|authorization|bban|birth_date"
    r"|birthdate|body|card|card_number|certificate|contact|cookie|credential|credentials|cvv|cvc"
    r"|date_of_birth|dob|dsn|email|emails|family_name|first_name|full_name|given_name|headers"
    r"|holder|holder_name|iban|key|last_name|mail|national_id|pan|passphrase|passport|password"
    r"|payload|payee_name|payer_name|beneficiary_name|person_name|phone|phone_number|postal_code"
    r"|private_key|routing_number|secret|session|sort_code|ssn|street|tax_id|tin|token)$",
    re.IGNORECASE,
)

_URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.\-]*://[^\s:/@]*:)[^\s@]+(?=@)", re.IGNORECASE)
_ASSIGNED_SECRET = re.compile(
    r"(?P<head>\b(?:password|passwd|secret|token|api[_-]?key)\b\s*[=:]\s*)[^\s,;&]+", re.IGNORECASE
)
_BEARER = re.compile(r"(?P<head>\b(?:bearer|basic)\s+)[A-Za-z0-9+/=._~\-]{8,}", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+'\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63})+")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_DIGITS = re.compile(r"(?<![0-9A-Za-z])\d(?:[ \-]?\d){12,18}(?![0-9A-Za-z])")
# Postgres repeats row values in the detail of a constraint error.
_ROW_DETAIL = re.compile(r"(?P<head>Failing row contains |Key \([^)]*\)=)\([^\n]*\)")


def redact(key: str, value: object, depth: int = 0) -> object:
    """Return what a log line may show of `value` under `key`; never raises."""
    lowered = key.lower()
    is_safe = lowered in _SAFE_KEYS or lowered.endswith(_SAFE_ENDINGS)
    if _PERSONAL_KEY.search(lowered):
        return value if value is None or isinstance(value, bool) else REDACTED
    if isinstance(value, bool | float) or value is None:
        return value
    if isinstance(value, int):
        return value if is_safe or not looks_like_card(str(value)) else REDACTED
    if isinstance(value, str):
        return value if is_safe and "@" not in value else redact_text(value)
    return _redact_nested(key, value, depth)


def redact_text(text: str) -> str:
    """Hide e-mail addresses, card and bank numbers, and secrets inside free text."""
    text = _URL_PASSWORD.sub(rf"\g<head>{REDACTED}", text)
    text = _ASSIGNED_SECRET.sub(rf"\g<head>{REDACTED}", text)
    text = _BEARER.sub(rf"\g<head>{REDACTED}", text)
    text = _ROW_DETAIL.sub(rf"\g<head>({REDACTED})", text)
    text = _EMAIL.sub(REDACTED, text)
    text = _IBAN.sub(REDACTED, text)
    return _DIGITS.sub(lambda m: REDACTED if looks_like_card(m.group()) else m.group(), text)


def looks_like_card(text: str) -> bool:
    """Tell whether the digits of `text` pass the Luhn check of ISO/IEC 7812 at a card's length."""
    digits = [int(char) for char in text if char in "0123456789"]
    if not _PAN_DIGITS_MIN <= len(digits) <= _PAN_DIGITS_MAX:
        return False
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[-2::-2]]  # noqa: PLR2004 - Luhn
    return (sum(digits[::-2]) + sum(doubled)) % 10 == 0


def _redact_nested(key: str, value: object, depth: int) -> object:
    if depth >= _DEPTH_MAX:
        return REDACTED
    if isinstance(value, Mapping):
        return {str(k): redact(str(k), v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(key, item, depth + 1) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    return redact_text(str(value))
