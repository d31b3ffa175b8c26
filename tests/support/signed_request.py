"""One S3 request signed by hand (Signature Version 4): what obstore has no words for.

Buckets, versions, policies and locks are made with it, and requests with a wrong clock.
"""

import hashlib
import hmac
import http.client
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode, urlsplit

REGION = "us-east-1"


def signed_headers(
    request: tuple[str, str, Mapping[str, str], bytes],
    host: str,
    key: tuple[str, str],
    at: datetime,
    more: Mapping[str, str],
) -> dict[str, str]:
    """Return the headers for (method, path, query, body), signed as of this time."""
    method, path, query, body = request
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": stamp, **more}
    headers = dict(sorted(headers.items()))
    names = ";".join(headers)
    canonical = "\n".join(
        [
            method,
            quote(path),
            urlencode(sorted(query.items()), quote_via=quote, safe="-_.~"),
            *(f"{name}:{value}" for name, value in headers.items()),
            "",
            names,
            digest,
        ]
    )
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}"
    secret = f"AWS4{key[1]}".encode()
    for part in (stamp[:8], REGION, "s3", "aws4_request", text):
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key[0]}/{scope}, SignedHeaders={names}, "
        f"Signature={secret.hex()}"
    )
    return headers


def ask(
    endpoint: str,
    key: tuple[str, str],
    request: tuple[str, str, Mapping[str, str], bytes],
    headers: Mapping[str, str] | None = None,
    skew: timedelta = timedelta(0),
) -> tuple[int, bytes]:
    """Send (method, path, query, body) and return status and body; `headers` are x-amz- ones."""
    method, path, query, body = request
    host = urlsplit(endpoint).netloc
    signed = signed_headers(request, host, key, datetime.now(UTC) + skew, headers or {})
    connection = http.client.HTTPConnection(host, timeout=30)
    target = quote(path) + (f"?{urlencode(query, quote_via=quote)}" if query else "")
    try:
        connection.request(method, target, body, signed)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
