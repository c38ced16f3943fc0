"""Whence many RSA keys for a test, when a new one takes seconds?  Of two, one more."""

from cryptography.hazmat.primitives.asymmetric import rsa

from socp_twisted.trust.keys import PrivateKey


def mixed(one: PrivateKey, other: PrivateKey) -> PrivateKey:
    """Return the key of the first prime of one key and the second of another."""
    numbers = one.material.private_numbers()
    p, q, e = numbers.p, other.material.private_numbers().q, numbers.public_numbers.e
    d = rsa.rsa_recover_private_exponent(e, p, q)
    exponents = (rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q))
    made = rsa.RSAPrivateNumbers(p, q, d, *exponents, rsa.RSAPublicNumbers(e, p * q))
    return PrivateKey.of(made.private_key(unsafe_skip_rsa_key_validation=True))
