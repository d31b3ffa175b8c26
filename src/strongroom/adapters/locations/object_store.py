"""S3, Google Cloud Storage and Azure Blob Storage as locations, through obstore.

Objects are put with the store's own create-only condition. Nothing is taken from the environment:
endpoint, region and credential are what the URL and the caller say. Loaded only when such a URL
appears, because obstore is a large library.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol, TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, S3Store

from strongroom.errors import UsageError
from strongroom.ids import check_key, is_canary_key
from strongroom.locations import (
    LocationUnavailable,
    ObjectExists,
    ObjectMissing,
    Stat,
    parse_location_url,
)

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import (
        AzureConfig,
        ClientConfig,
        GCSConfig,
        RetryConfig,
        S3Config,
        S3Credential,
        S3CredentialProvider,
    )

PAGE = 1000
Result = TypeVar("Result")
_DENIED = (PermissionDeniedError, UnauthenticatedError)
_CODE = re.compile("(?:<Code>|[(]code: )([A-Za-z]{1,60})(?:</Code>|[)])")
_RETRIED = re.compile("after ([0-9]{1,6}) retries")
_REFUSALS = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}


class KeyPair(Protocol):
    """A key and its secret: S3 key pair, Azure account key, or a Google service account's JSON."""

    @property
    def key_id(self) -> str:
        """What the store calls the key."""
        ...

    @property
    def secret(self) -> str:
        """What proves that we hold it; never shown."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a store before it counts as unavailable."""

    connect_seconds: float = 10
    request_seconds: float = 300
    retries_max: int = 1000
    retry_seconds: float = 60
    """How long what the store refuses for now is repeated: a server that starts again needs it."""
    backoff_seconds_max: float = 5
    again_seconds: tuple[float, ...] = (0.5, 2)
    """The pauses before what ended without any answer is done again."""

    def hasty(self) -> "Patience":
        """Return the patience of somebody who can as well come back later.

        Seconds where nobody answers; where somebody does, long enough for some MB on a slow line.
        """
        return replace(
            self, connect_seconds=3, request_seconds=20, retry_seconds=1, again_seconds=()
        )


class ObjectStoreLocation:
    """Objects in one bucket below one prefix. Safe to use from several threads."""

    def __init__(
        self,
        store: S3Store | GCSStore | AzureStore,
        url: str,
        patience: Patience,
        again: "Callable[[Patience], ObjectStoreLocation]",
    ) -> None:
        """Take a store that obstore has built, and what opens it again: use `open_object_store`."""
        self._store = store
        self._url = url
        self._patience = patience
        self._again = again
        self._hasty: ObjectStoreLocation | None = None

    @property
    def url(self) -> str:
        """The bucket's URL, without the credential."""
        return self._url

    def hasty(self) -> "ObjectStoreLocation":
        """Return this location, given up in seconds where it does not answer."""
        # Made when first asked for, and kept: its connections are its own.
        if self._hasty is None:
            self._hasty = self._again(self._patience.hasty())
        return self._hasty

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """Store the object if there is none of this key; the store has it when this returns.

        Where a try ends without an answer it is made again, which create-only makes harmless: what
        then exists with these very bytes is what the earlier try had brought there.
        """
        check_key(key)
        tries: list[None] = []

        def create() -> None:
            tries.append(None)
            try:
                with self._mapped(f"{key} cannot be written", writing=True):
                    obstore.put(self._store, key, data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError) as error:
                if not self._is_own(key, data, first=len(tries) == 1):
                    raise ObjectExists(f"{key} exists at {self._url}") from error

        self._repeated(create)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes from `start` (negative: from the end), at most `length` of them."""
        check_key(key)
        if length == 0:
            self.stat(key)
            return b""
        options: GetOptions = {}
        if start < 0:
            options = {"range": {"suffix": -start}}
        elif length is not None:
            options = {"range": (start, start + length)}
        elif start:
            options = {"range": {"offset": start}}
        with self._mapped(f"{key} cannot be read"), self._present(key):
            try:
                data = bytes(obstore.get(self._store, key, options=options).bytes())
            except BaseError as error:
                if not options or isinstance(error, _DENIED):
                    raise
                return self._get_within(key, start, length, error)
        return data if length is None else data[:length]

    def list(self, prefix: str) -> Iterator[Stat]:
        """Yield every object below `prefix`, in key order, leaving out what is not ours."""
        below = check_key(prefix) if prefix else None

        def collect() -> list[Stat]:
            with self._mapped(f"{prefix or 'the location'} cannot be listed"):
                return [
                    Stat(each["path"], each["size"], each["last_modified"])
                    for page in obstore.list(self._store, below, chunk_size=PAGE)
                    for each in page
                    if _is_key(each["path"])
                ]

        found = self._repeated(collect)
        # S3 lists in key order, but not every store that speaks S3 does: SeaweedFS sorts folder
        # by folder, so that `a/b` comes before `a-b`.
        yield from sorted(found, key=attrgetter("key"))

    def stat(self, key: str) -> Stat:
        """Return size and time of this object; raises ObjectMissing."""
        check_key(key)
        with self._mapped(f"{key} cannot be read"), self._present(key):
            found = obstore.head(self._store, key)
        return Stat(key, found["size"], found["last_modified"])

    def delete(self, key: str) -> None:
        """Remove the object; raises ObjectMissing."""
        # Stores answer "done" for a key that is not there, so they are asked first.
        self.stat(key)
        what = f"{key} cannot be deleted"

        def remove() -> None:
            with self._mapped(what, writing=True), self._present(key):
                obstore.delete(self._store, key)

        try:
            self._repeated(remove)
        except (AlreadyExistsError, PreconditionError) as error:
            raise self._locked(what) from error

    def replace_canary(self, key: str, data: bytes) -> bool:
        """Overwrite a canary, which no other object is; returns whether the store kept the older.

        Only to learn whether it can be done: everything else here is put with create-only. What
        Google's store calls a version it always has, so there it proves nothing.
        """
        if not is_canary_key(key):
            raise ValueError(f"not a canary: {key!r:.80}")
        what = f"{key} cannot be overwritten"
        try:
            with self._mapped(what, writing=True):
                done = obstore.put(self._store, key, data, mode="overwrite", use_multipart=False)
        except (AlreadyExistsError, PreconditionError) as error:
            raise self._locked(what) from error
        versioned = isinstance(self._store, (S3Store, AzureStore))
        return versioned and done["version"] not in (None, "null")

    def _locked(self, what: str) -> LocationUnavailable:
        # Azure answers 409 for what a policy keeps; S3 and Google answer 403.
        return LocationUnavailable.read_only(
            f"{self._url}: {what}", "the store keeps what is there"
        )

    def _is_own(self, key: str, data: bytes | bytearray | memoryview, *, first: bool) -> bool:
        """Tell whether an object that exists is what an earlier try of the same put left there.

        Raises LocationUnavailable where there is none after all: S3 answers 409, too, while
        another request for the key is under way.
        """
        try:
            if not first and self.get(key, 0, len(data) + 1) == data:
                return True
            self.stat(key)
        except ObjectMissing:
            raise LocationUnavailable(
                f"{self._url}: {key} cannot be written", "the store reports a conflict"
            ) from None
        return False

    def _repeated(self, act: Callable[[], Result]) -> Result:
        """Do what may be done twice again, where it ended without an answer of the store.

        obstore itself repeats only what it sent and the store refused for now, and reads.
        """
        for pause in self._patience.again_seconds:
            try:
                return act()
            except LocationUnavailable as error:
                if type(error) is not LocationUnavailable or not self._is_worth_it(error):
                    raise
            time.sleep(pause)
        return act()

    def _is_worth_it(self, error: LocationUnavailable) -> bool:
        """Tell whether the store said nothing and obstore has not repeated it already."""
        text = str(error.__cause__)
        return "status code" not in text and _RETRIED.search(text) is None

    def _get_within(self, key: str, start: int, length: int | None, error: BaseError) -> bytes:
        """Answer a range that the store refused: beyond the end, or of a kind it does not know."""
        size = self.stat(key).size_bytes
        begin = max(0, size + start) if start < 0 else start
        end = size if length is None else min(size, begin + length)
        if end <= begin:
            return b""
        if start >= 0 or not isinstance(error, NotSupportedError):
            raise error
        return bytes(obstore.get_range(self._store, key, start=begin, end=end))

    @contextmanager
    def _present(self, key: str) -> Iterator[None]:
        """Turn "not found" into ObjectMissing, once the bucket itself is known to answer."""
        try:
            yield
        except FileNotFoundError:
            for _ in obstore.list(self._store, key, chunk_size=1):
                break
            raise ObjectMissing(f"{key} is missing", f"not at {self._url}") from None

    @contextmanager
    def _mapped(self, what: str, *, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except (AlreadyExistsError, PreconditionError):
            raise
        except _DENIED as error:
            raise _refusal(f"{self._url}: {what}", _code_of(error), writing) from error
        except (BaseError, OSError, ValueError) as error:
            # Listing and deleting tell a refusal in the body of an answer that is not 403.
            code = _code_of(error)
            if code in _REFUSALS | _CLOCK:
                raise _refusal(f"{self._url}: {what}", code, writing) from error
            raise LocationUnavailable(f"{self._url}: {what}", _reason(error)) from error


def open_object_store(
    url: str, credential: KeyPair | None, patience: Patience | None = None
) -> ObjectStoreLocation:
    """Take an s3:, gs: or az: URL; nothing is sent before the first object.

    Without a credential the store is asked as nobody, which only a public one answers.
    """
    parsed = parse_location_url(url)
    limits = patience or Patience()
    client: ClientConfig = {
        "allow_http": parsed.is_plain_http,
        "connect_timeout": timedelta(seconds=limits.connect_seconds),
        "timeout": timedelta(seconds=limits.request_seconds),
        "user_agent": "strongroom",
    }
    retry: RetryConfig = {
        "max_retries": limits.retries_max,
        "retry_timeout": timedelta(seconds=limits.retry_seconds),
        "backoff": {"max_backoff": timedelta(seconds=limits.backoff_seconds_max)},
    }
    store: S3Store | GCSStore | AzureStore
    try:
        if parsed.scheme == "s3":
            store = S3Store(
                parsed.place,
                prefix=parsed.prefix or None,
                config=_s3_config(parsed.endpoint, parsed.region or "us-east-1", credential),
                client_options=client,
                retry_config=retry,
                credential_provider=_s3_keys(credential) if credential else None,
            )
        elif parsed.scheme == "gs":
            store = GCSStore(
                parsed.place,
                prefix=parsed.prefix or None,
                config=_gs_config(parsed.endpoint, credential),
                client_options=client,
                retry_config=retry,
            )
        elif parsed.scheme == "az":
            store = AzureStore(
                parsed.place,
                prefix=parsed.prefix or None,
                config=_az_config(parsed.endpoint, parsed.account or "", credential),
                client_options=client,
                retry_config=retry,
            )
        else:
            raise UsageError("not an object store", f"{parsed.scheme} is a directory")
    except (BaseError, ValueError):
        # The vendor's message may quote what it could not read, which may be the secret.
        raise UsageError(f"{parsed} cannot be used", "its credential cannot be read") from None
    again = partial(open_object_store, url, credential)
    return ObjectStoreLocation(store, str(parsed), limits, again)


# Each setting that obstore would otherwise look up in the environment is given a value, so that a
# variable somebody exported cannot send our objects elsewhere or sign them with another's key.


def _s3_config(endpoint: str | None, region: str, credential: KeyPair | None) -> "S3Config":
    return {
        "endpoint": endpoint or f"https://s3.{region}.amazonaws.com",
        "region": region,
        "virtual_hosted_style_request": False,
        "conditional_put": "etag",
        # Buckets whose objects are locked on arrival take only puts that carry a checksum.
        "checksum_algorithm": "SHA256",
        "unsigned_payload": False,
        "skip_signature": credential is None,
    }


def _s3_keys(credential: KeyPair) -> "S3CredentialProvider":
    # Not as settings: to those obstore would add a session token from the environment.
    keys: S3Credential = {
        "access_key_id": credential.key_id,
        "secret_access_key": credential.secret,
        "token": None,
        "expires_at": None,
    }
    return lambda: keys


def _gs_config(endpoint: str | None, credential: KeyPair | None) -> "GCSConfig":
    config: GCSConfig = {"skip_signature": credential is None}
    if endpoint:
        config["base_url"] = endpoint
    if credential:
        config["service_account_key"] = credential.secret
    return config


def _az_config(endpoint: str | None, account: str, credential: KeyPair | None) -> "AzureConfig":
    return {
        "account_name": account,
        "endpoint": endpoint or f"https://{account}.blob.core.windows.net",
        "skip_signature": credential is None,
        "account_key": credential.secret if credential else "",
    }


def _code_of(error: Exception) -> str:
    """Return the word by which the store says why it refuses; not every answer has one."""
    found = _CODE.search(str(error))
    return found[1] if found else ""


def _refusal(what: str, code: str, writing: bool) -> LocationUnavailable:
    if code in _CLOCK:
        return LocationUnavailable(
            what,
            f"this machine's clock and the store's are too far apart ({code})",
            "Set the clock (`timedatectl` shows it) and run the same command again.",
        )
    why = "the store refuses this credential" + (f" ({code})" if code else "")
    return LocationUnavailable.read_only(what, why) if writing else LocationUnavailable(what, why)


def _is_key(path: str) -> bool:
    try:
        return bool(check_key(path))
    except ValueError:
        return False


def _reason(error: Exception) -> str:
    """Return the first words of the vendor's message: the rest is its debug output."""
    return str(error).split("\n", 1)[0].split("<?xml", 1)[0].strip(" :")[:300]
