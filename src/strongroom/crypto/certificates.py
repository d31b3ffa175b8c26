"""X.509 for mutual TLS: an authority on P-256, leaves for one peer and one use, a deny list.

What is made and read is closed: ECDSA on P-256 with SHA-256, exactly the extensions listed in
docs/formats/transport-v1.md, one URI that says who it is. Names of hosts are for other people's
tools; who a peer is says the URI alone. There are no name constraints: verifiers disagree on those
of URIs, and the authority signs for one install only. Chain, dates and use are checked by OpenSSL
at each handshake; what is read here is checked again, because it decides.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from strongroom.errors import Refused

SEED_BYTES: Final = 48
SERIAL_BYTES: Final = 16
CERTIFICATE_BYTES_MAX: Final = 4 << 10
DENY_LIST_BYTES_MAX: Final = 1 << 20
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_BROKEN = (
    InvalidSignature,
    TypeError,
    UnsupportedAlgorithm,
    UserWarning,
    ValueError,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What reading hostile X.509 may raise; what the library only warns of is checked again."""


class WrongCertificate(Refused):
    """A certificate is not one of ours, or not this one's."""

    code = "wrong_certificate"
    hint = "Find out who answers there: it is another install, an impostor, or a moved file."


class Use(StrEnum):
    """What a leaf is for; never both."""

    SERVE = "serve"
    ASK = "ask"


_USES: Final = {
    Use.SERVE: ExtendedKeyUsageOID.SERVER_AUTH,
    Use.ASK: ExtendedKeyUsageOID.CLIENT_AUTH,
}
_LEAF_EXTENSIONS: Final = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a certificate of a peer says; `public` is its key as SubjectPublicKeyInfo in DER."""

    uri: str
    hosts: tuple[str, ...]
    use: Use
    serial: int
    not_before: datetime
    not_after: datetime
    public: bytes

    def is_due(self, now: datetime) -> bool:
        """Tell whether it is time to renew it: two thirds of its life are over, or none of it yet.

        One that begins later was made by a clock that ran ahead, and counts nowhere until then.
        """
        third = (self.not_after - self.not_before) / 3
        return not self.not_before <= now < self.not_after - third


@dataclass(frozen=True, slots=True)
class DenyList:
    """Serials that are refused although they have not expired; a higher number replaces it."""

    number: int
    serials: frozenset[int]


def private_key_pem(seed: bytes) -> bytes:
    """Return the P-256 key of a 48-byte seed as PKCS#8 in PEM: never to be written to a disk."""
    return _key(seed).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_key(seed: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo in DER that belongs to a 48-byte seed."""
    return _public(_key(seed).public_key())


def pem(certificate: bytes) -> str:
    """Return a certificate as text, as TLS libraries want it."""
    encoded = x509.load_der_x509_certificate(certificate).public_bytes(serialization.Encoding.PEM)
    return encoded.decode("ascii")


def make_authority(
    seed: bytes, name: str, serial: bytes, not_before: datetime, not_after: datetime
) -> bytes:
    """Return the authority's own certificate in DER: it signs leaves and nothing between."""
    key = _key(seed)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), _serial(serial))
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(_identified_by(identifier), critical=False)
    )
    return _sign(builder, key)


def make_request(seed: bytes) -> bytes:
    """Return a PKCS#10 request in DER; it proves that whoever sends it has the key."""
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    signed = builder.sign(_key(seed), SHA256(), ecdsa_deterministic=True)
    return signed.public_bytes(serialization.Encoding.DER)


def read_request(data: bytes) -> bytes:
    """Return the public key of a request; raises WrongCertificate. Its names do not count."""
    if len(data) > CERTIFICATE_BYTES_MAX:
        raise WrongCertificate("a request for a certificate is refused", "it is too long")
    try:
        request = x509.load_der_x509_csr(data)
        if not request.is_signature_valid:
            raise ValueError("it is not signed with its own key")
        return _public(request.public_key())
    except _BROKEN as err:
        raise WrongCertificate("a request for a certificate is refused", str(err)) from err


def issue(authority_seed: bytes, authority: bytes, wanted: Leaf, serial: bytes, name: str) -> bytes:
    """Return a leaf in DER that says what is wanted; the serial is taken from 16 random bytes."""
    issuer = x509.load_der_x509_certificate(authority)
    public = _load_public(wanted.public)
    named: list[x509.GeneralName] = [x509.UniformResourceIdentifier(wanted.uri)]
    named += [_general_name(host) for host in wanted.hosts]
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateBuilder(
            issuer.subject,
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
            public,
            _serial(serial),
        )
        .not_valid_before(wanted.not_before)
        .not_valid_after(wanted.not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_USES[wanted.use]]), critical=False)
        .add_extension(x509.SubjectAlternativeName(named), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_identified_by(identifier), critical=False)
    )
    return _sign(builder, _key(authority_seed))


def make_stranger(seed: bytes, serial: bytes, not_before: datetime, not_after: datetime) -> bytes:
    """Return a certificate that only its own key has signed, for somebody nobody knows yet."""
    key = _key(seed)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "waiting to be joined")])
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), _serial(serial))
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    return _sign(builder, key)


def read_leaf(data: bytes, authority: bytes | None = None) -> Leaf:
    """Return what a leaf says; raises WrongCertificate for whatever `issue` would not have made.

    Its signature is checked where an authority is given; at a connection OpenSSL has done it.
    """
    if len(data) > CERTIFICATE_BYTES_MAX:
        raise WrongCertificate("a certificate is refused", "it is too long")
    try:
        certificate = x509.load_der_x509_certificate(data)
        if authority is not None:
            certificate.verify_directly_issued_by(x509.load_der_x509_certificate(authority))
        return _read(certificate)
    except _BROKEN as err:
        why = str(err) or "the authority of this install did not sign it"
        raise WrongCertificate("a certificate is refused", why) from err


def public_key_of(certificate: bytes) -> bytes:
    """Return the key of any certificate as SubjectPublicKeyInfo in DER; says nothing of trust."""
    try:
        return _public(x509.load_der_x509_certificate(certificate).public_key())
    except _BROKEN as err:
        raise WrongCertificate("a certificate is refused", str(err)) from err


def sign_deny_list(
    authority_seed: bytes, authority: bytes, denied: DenyList, at: datetime, until: datetime
) -> bytes:
    """Return a deny list as an X.509 CRL in DER, signed by the authority."""
    issuer = x509.load_der_x509_certificate(authority)
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder(issuer.subject, at, until)
        .add_extension(x509.CRLNumber(denied.number), critical=False)
        .add_extension(_identified_by(identifier), critical=False)
    )
    for serial in sorted(denied.serials):
        revoked = x509.RevokedCertificateBuilder(serial, at).build()
        builder = builder.add_revoked_certificate(revoked)
    signed = builder.sign(_key(authority_seed), SHA256(), ecdsa_deterministic=True)
    return signed.public_bytes(serialization.Encoding.DER)


def read_deny_list(data: bytes, authority: bytes) -> DenyList:
    """Return a deny list of this authority; raises WrongCertificate for any other."""
    if len(data) > DENY_LIST_BYTES_MAX:
        raise WrongCertificate("a deny list is refused", "it is too long")
    try:
        crl = x509.load_der_x509_crl(data)
        issuer = x509.load_der_x509_certificate(authority)
        key = issuer.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not crl.is_signature_valid(key):
            raise ValueError("the authority of this install did not sign it")
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        return DenyList(number, frozenset(revoked.serial_number for revoked in crl))
    except _BROKEN as err:
        raise WrongCertificate("a deny list is refused", str(err)) from err


def _read(certificate: x509.Certificate) -> Leaf:
    if certificate.serial_number <= 0:
        raise ValueError("its serial is not positive")
    extensions = certificate.extensions
    if {extension.oid for extension in extensions} != _LEAF_EXTENSIONS:
        raise ValueError("it has other extensions than ours")
    if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise ValueError("it is an authority's")
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise ValueError(f"it has {len(uris)} URIs where one says who it is")
    hosts = names.get_values_for_type(x509.DNSName)
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    if len(hosts) + len(addresses) + 1 != len(list(names)):
        raise ValueError("it has names of a kind that ours never have")
    return Leaf(
        uri=uris[0],
        hosts=(*hosts, *addresses),
        use=_use(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value),
        serial=certificate.serial_number,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        public=_public(certificate.public_key()),
    )


def _use(found: Iterable[x509.ObjectIdentifier]) -> Use:
    wanted = list(found)
    for use, oid in _USES.items():
        if wanted == [oid]:
            return use
    raise ValueError("it is for other uses than exactly one of ours")


def _key(seed: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the key of a seed as FIPS 186-5 A.2.1 does: 128 extra bits leave no bias."""
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a P-256 seed has {SEED_BYTES} bytes")
    return ec.derive_private_key(int.from_bytes(seed, "big") % (_ORDER - 1) + 1, ec.SECP256R1())


def _public(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise WrongCertificate("a certificate is refused", "its key is not on P-256")
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _load_public(data: bytes) -> ec.EllipticCurvePublicKey:
    key = serialization.load_der_public_key(data)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("a leaf's key is on P-256")
    return key


def _serial(random: bytes) -> int:
    """Return a positive serial of the 16 bytes: never zero, and 17 bytes in DER at most."""
    if len(random) != SERIAL_BYTES:
        raise ValueError(f"a serial is drawn from {SERIAL_BYTES} bytes")
    return int.from_bytes(random, "big") | 1 << (8 * SERIAL_BYTES - 1)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _identified_by(identifier: x509.SubjectKeyIdentifier) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    # Deterministic (RFC 6979): no chance is drawn behind the caller's back, and vectors repeat.
    signed = builder.sign(key, SHA256(), ecdsa_deterministic=True)
    return signed.public_bytes(serialization.Encoding.DER)
