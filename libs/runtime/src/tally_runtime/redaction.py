"""What may stand in a log line: an allow list, a deny list, and a scan of everything between."""

import re
from collections.abc import Mapping

REDACTED = "[redacted]"
TEXT_MAX = 16_384
_DEPTH_MAX = 6
_PAN_DIGITS_MIN = 13
_PAN_DIGITS_MAX = 19

# Numbers under these keys are counts, sums and times, however much they look like a card.
_PLAIN_NUMBER_KEY = re.compile(
    r"(^|_)(at|bytes|count|lag|lsn|minor|ms|ns|offset|offsets|pid|s|seq|size|us|version)$"
)
_PERSONAL_KEY = re.compile(
    r"(^|_)(access_key|account_no|account_number|address|address_line\d?|api_key|authorization"
    r"|bban|birth_date|birthdate|body|card|card_number|certificate|contact|cookie|credential|credentials"
    r"|cvc|cvv|date_of_birth|dob|dsn|email|emails|headers|holder|iban|mail|national_id|pan"
    r"|passphrase|passport|password|payload|phone|phone_number|postal_code|private_key"
    r"|routing_number|secret|secret_key|session|signing_key|sort_code|ssn|street|tax_id|tin|token)$"
)
# A name is a person's unless it says of which thing it is.
_NAME_KEY = re.compile(r"(^|_)names?$")
_THING_NAME_KEY = re.compile(
    r"(^|_)(app|class|event|field|file|host|logger|metric|rail|schema|service|table|task|topic"
    r"|variable)_names?$"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# Names of our own making cannot hold what the scan looks for; possessive, so never slow.
_OPAQUE = re.compile(
    r"(?:[a-z_.]++[0-9]{0,4}+){0,16}+|[a-z]{1,63}_[0-9a-z]{26}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)

_URL_PASSWORD = re.compile(
    r"(?P<head>\b[a-z][a-z0-9+.\-]{0,20}://[^\s:/@]{0,100}:)[^\s@]+(?=@)", re.IGNORECASE
)
_ASSIGNED_SECRET = re.compile(
    r"(?P<head>\b(?:password|passwd|secret|token|api[_-]?key)[\"']?\s*[=:]\s*[\"']?)"
    r"[^\s,;&\"']+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?P<head>\b(?:bearer|basic)\s+)[A-Za-z0-9+/=._~\-]{8,}", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+'\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63})+")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_DIGITS = re.compile(r"(?<![0-9A-Za-z])[0-9]+(?:[ \-][0-9]+)*(?![0-9A-Za-z])")
# Postgres repeats row values in the detail of a constraint error.
_ROW_DETAIL = re.compile(r"(?P<head>Failing row contains |Key \([^)]*\)=)\([^\n]*\)")


def redact(key: str, value: object, depth: int = 0) -> object:
    """Return what a log line may show of `value` under `key`; never raises."""
    lowered = key if key.islower() else _CAMEL.sub("_", key).lower()
    lowered = lowered.replace("-", "_")
    if value is None or isinstance(value, bool | float):
        return value
    if _PERSONAL_KEY.search(lowered):
        return REDACTED
    if _NAME_KEY.search(lowered) and not _THING_NAME_KEY.search(lowered):
        return REDACTED
    if isinstance(value, int):
        is_plain = _PLAIN_NUMBER_KEY.search(lowered) or not looks_like_card(str(value))
        return value if is_plain else REDACTED
    if isinstance(value, str):
        return redact_text(value)
    return _redact_nested(key, value, depth)


def redact_text(text: str) -> str:
    """Hide e-mail addresses, card and bank numbers, and secrets inside free text."""
    if _OPAQUE.fullmatch(text):
        return text
    if len(text) > TEXT_MAX:
        text = f"{text[:TEXT_MAX]}… [{len(text) - TEXT_MAX} more]"
    text = _URL_PASSWORD.sub(rf"\g<head>{REDACTED}", text)
    text = _ASSIGNED_SECRET.sub(rf"\g<head>{REDACTED}", text)
    text = _BEARER.sub(rf"\g<head>{REDACTED}", text)
    text = _ROW_DETAIL.sub(rf"\g<head>({REDACTED})", text)
    text = _EMAIL.sub(REDACTED, text)
    text = _IBAN.sub(REDACTED, text)
    return _DIGITS.sub(lambda m: REDACTED if _holds_card(m.group()) else m.group(), text)


def _holds_card(run: str) -> bool:
    groups = run.replace("-", " ").split(" ")
    for first in range(len(groups)):
        digits = ""
        for group in groups[first:]:
            digits += group
            if len(digits) > _PAN_DIGITS_MAX:
                break
            if looks_like_card(digits):
                return True
    return False


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
    try:
        return redact_text(str(value))
    except Exception:  # noqa: BLE001 - a log line must not break the work it reports on
        return f"[{type(value).__name__} without a text]"
