"""Tokens that callers bring: what is accepted, and everything that is not."""

import asyncio
import base64
import hmac
import json
import time
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from shared.auth.entra import LONGEST_HEADER, MOST_REMEMBERED, Caller, TokenVerifier, require
from shared.auth.entra_keys import LARGEST_FETCH, KeysUnavailable, fetch
from shared.errors import NotAllowed, Unauthenticated
from shared.settings.clouds import Registration
from tests.graph.service import Answer, Service
from tests.serving import serving

TENANT = "11111111-aaaa-4bbb-8ccc-222222222222"
CLIENT = "33333333-aaaa-4bbb-8ccc-444444444444"
APPLICATION = "55555555-aaaa-4bbb-8ccc-666666666666"
PRINCIPAL = "77777777-aaaa-4bbb-8ccc-888888888888"
USER = "99999999-aaaa-4bbb-8ccc-000000000000"
OTHER = "00000000-aaaa-4bbb-8ccc-111111111111"
AUTHORITY = "https://login.microsoftonline.com"
ISSUERS = {"1.0": f"https://sts.windows.net/{TENANT}/", "2.0": f"{AUTHORITY}/{TENANT}/v2.0"}
METADATA = {
    "1.0": f"{AUTHORITY}/{TENANT}/.well-known/openid-configuration",
    "2.0": f"{AUTHORITY}/{TENANT}/v2.0/.well-known/openid-configuration",
}
KEYS_URL = {"1.0": f"{AUTHORITY}/{TENANT}/discovery/keys", "2.0": f"{AUTHORITY}/{TENANT}/discovery/v2.0/keys"}


def key(p: int, q: int) -> rsa.RSAPrivateKey:
    """The key of two primes, always the same: to look for primes takes a good part of a second."""
    private = pow(65537, -1, (p - 1) * (q - 1))
    of_p, of_q = rsa.rsa_crt_dmp1(private, p), rsa.rsa_crt_dmq1(private, q)
    public = rsa.RSAPublicNumbers(65537, p * q)
    return rsa.RSAPrivateNumbers(p, q, private, of_p, of_q, rsa.rsa_crt_iqmp(p, q), public).private_key()


KEY, NEXT_KEY = key(2**1024 - 105, 2**1024 - 179), key(2**1024 - 1397, 2**1024 - 3177)
SMALL_KEY = key(2**512 - 569, 2**512 - 629)


def public(key: rsa.RSAPrivateKey, key_id: str, **more: Any) -> dict[str, Any]:
    entry: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**entry, "kid": key_id, "use": "sig", **more}


class Entra:
    """The tenant's metadata and keys, as a fetch; counts what is asked for, fails when told to."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        for version, issuer in ISSUERS.items():
            self.documents[METADATA[version]] = {"issuer": issuer, "jwks_uri": KEYS_URL[version]}
            self.documents[KEYS_URL[version]] = {"keys": [public(KEY, "k1")]}
        self.fetched: list[str] = []
        self.is_down = False
        self.now = 1000.0

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        await asyncio.sleep(0)
        if self.is_down:
            raise OSError("down")
        document = self.documents[url]
        return document if isinstance(document, bytes) else json.dumps(document).encode()

    def verifier(self, **changed: str) -> TokenVerifier:
        registration = Registration(**{"tenant": TENANT, "client_id": CLIENT, "authority": AUTHORITY, **changed})
        return TokenVerifier(registration, self.fetch, lambda: self.now)

    def rotate(self) -> None:
        for url in KEYS_URL.values():
            self.documents[url] = {"keys": [public(NEXT_KEY, "k2")]}


@pytest.fixture
def entra() -> Entra:
    return Entra()


def app_claims(version: str = "2.0", **changed: Any) -> dict[str, Any]:
    """What Entra writes into an application's own token. A changed claim of None is left out."""
    now = int(time.time())
    claims = {
        "aud": CLIENT,
        "iss": ISSUERS[version],
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "azp" if version == "2.0" else "appid": APPLICATION,
        "idtyp": "app",
        "oid": PRINCIPAL,
        "sub": PRINCIPAL,
        "roles": ["Mail.Send"],
        "tid": TENANT,
        "ver": version,
        **changed,
    }
    return {name: value for name, value in claims.items() if value is not None}


def user_claims(version: str = "2.0", **changed: Any) -> dict[str, Any]:
    user = {"idtyp": None, "oid": USER, "sub": "pairwise", "scp": "Mail.Send profile", "roles": None, **changed}
    return app_claims(version, **user)


def bearer(claims: dict[str, Any], key: rsa.RSAPrivateKey = KEY, key_id: str = "k1", **headers: Any) -> str:
    return "Bearer " + jwt.encode(claims, key, "RS256", {"kid": key_id, **headers})


def part(value: Any) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("audience", [CLIENT, f"api://{CLIENT}"])
async def test_a_caller_is_known_by_either_version_of_token_and_either_name_of_the_registration(
    entra: Entra, version: str, audience: str
) -> None:
    """A registration copied in capitals is the same one; many tokens cost one fetch; clocks may differ by a minute."""
    verifier = entra.verifier(tenant=TENANT.upper(), client_id=CLIENT.upper(), authority=AUTHORITY + "/")
    now, name = int(time.time()), "azp" if version == "2.0" else "appid"
    for changed in ({}, {name: APPLICATION.upper()}, {"exp": now - 40}, {"nbf": now + 40, "iat": now + 40}):
        claims = app_claims(version, aud=audience, **changed)
        caller = await verifier.verify(bearer(claims).replace("Bearer ", "bearer  "))
        assert caller == Caller(APPLICATION, TENANT, None, frozenset({"Mail.Send"}), frozenset(), delegated=False)
        require(caller)
    await asyncio.gather(*(verifier.verify(bearer(app_claims(version, jti=str(one)))) for one in range(10)))
    assert entra.fetched == [METADATA[version], KEYS_URL[version]]
    user = await verifier.verify(bearer(user_claims(version, aud=audience)))
    assert user == Caller(APPLICATION, TENANT, USER, frozenset(), frozenset({"Mail.Send", "profile"}), delegated=True)
    assert USER not in repr(user), "a caller may be logged; the user's id may not"
    require(user)


@pytest.mark.parametrize("roles", [None, [], ["Mail.Read"], ["mail.send"]])
async def test_an_application_without_the_role_may_not_send(entra: Entra, roles: Any) -> None:
    caller = await entra.verifier().verify(bearer(app_claims(roles=roles)))
    with pytest.raises(NotAllowed, match=r"app role Mail\.Send"):
        require(caller)


async def test_a_token_with_scp_is_delegated_whatever_its_roles(entra: Entra) -> None:
    """A user's token carries the user's roles: they are no app roles, and without the scope it may not send."""
    for scopes in ("profile", "", "Mail.Send"):
        caller = await entra.verifier().verify(bearer(user_claims(scp=scopes, roles=["Mail.Send"], idtyp="app")))
        assert caller.delegated
        assert caller.user == USER
        if "Mail.Send" not in caller.scopes:
            with pytest.raises(NotAllowed) as refusal:
                require(caller)
            assert (refusal.value.status, refusal.value.code) == (403, "ErrorAccessDenied")


NOW = int(time.time())
# By the claim: what proves nothing there, in an application's token and in a user's. None: the claim is left out.
WRONG_CLAIMS: dict[str, list[Any]] = {
    "exp": [NOW - 120, None, str(NOW + 3600), "soon", True, [1], {"a": 1}, -1, 10**400, 1e15],
    "nbf": [NOW + 3600, None, str(NOW), "soon", True, [1], {"a": 1}, -1],
    "iat": [NOW + 3600, None, str(NOW), "soon", True, [1], {"a": 1}, -1],
    "aud": [OTHER, None, ["a"], [CLIENT], f"https://{CLIENT}", "https://graph.microsoft.com"],
    "iss": [ISSUERS["1.0"], ISSUERS["2.0"].replace(TENANT, OTHER), None, ["a"]],
    "tid": [OTHER, None, ["a"]],
    "ver": ["1.0", "3.0", None, ["2.0"], 2.0],
    "azp": [None, 7, "", ["a"], "mail-outbox"],
    "oid": [None, "", ["a"], [USER], "alerts@contoso.com"],
    "sub": [["a"]],
    "idtyp": [["app"]],
    "roles": ["Mail.Send", [["Mail.Send"]], ["Mail.Send", 7], {"Mail.Send": 1}, 7],
    "scp": [["Mail.Send"], 7, {"Mail.Send": 1}],
}


async def refused(authorization: str | None) -> str:
    """Why it proves nothing. One error for all of it, 401, without a word of the token in it."""
    with pytest.raises(Unauthenticated) as refusal:
        await Entra().verifier().verify(authorization)
    assert (refusal.value.status, refusal.value.code) == (401, "InvalidAuthenticationToken")
    for token_part in (authorization or "").removeprefix("Bearer ").split("."):
        assert len(token_part) < 8 or token_part not in str(refusal.value)
    assert not any(guid in str(refusal.value) for guid in (USER, PRINCIPAL, APPLICATION, OTHER))
    return str(refusal.value)


@pytest.mark.parametrize("name", WRONG_CLAIMS)
async def test_a_claim_that_is_wrong_or_of_another_type_than_entra_gives_it_proves_nothing(name: str) -> None:
    for value in WRONG_CLAIMS[name]:
        for claims in (app_claims(), user_claims()):
            changed = {key: there for key, there in (claims | {name: value}).items() if there is not None}
            # Not as claims: the library would not sign all of these.
            token = jwt.PyJWS().encode(json.dumps(changed).encode(), KEY, "RS256", {"kid": "k1"})
            await refused(f"Bearer {token}")


PUBLIC_PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def hs256_with_the_public_key() -> str:
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'k1'})}.{part(app_claims())}"
    return f"Bearer {signed}.{part(hmac.digest(PUBLIC_PEM, signed.encode(), 'sha256'))}"


def es256() -> str:
    return "Bearer " + jwt.encode(app_claims(), ec.generate_private_key(ec.SECP256R1()), "ES256", {"kid": "k1"})


def changed_after_signing() -> str:
    header, _, signature = bearer(app_claims()).split(".")
    return f"{header}.{part(app_claims(roles=['Mail.Send', 'Mailroom.Operate']))}.{signature}"


def unsigned(header: object, claims: str, signature: str = "e30") -> str:
    return f"Bearer {part(header)}.{claims}.{signature}"


RS256 = {"alg": "RS256", "kid": "k1"}
FORGED = [
    None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer garbage", "Bearer a.b.c", "Bearer e30.e30.e30",
    "Bearer " + "a" * LONGEST_HEADER, bearer(app_claims(padding="x" * LONGEST_HEADER)),
    bearer(app_claims()) + " and more", bearer(app_claims()) + "\n", bearer(app_claims()).removeprefix("Bearer "),
    unsigned(b"[" * 10_000, "e30"), unsigned(RS256, part(b"[" * 10_000)), unsigned(RS256, part([])),
    unsigned({"alg": "none", "kid": "k1"}, part(app_claims()), ""),
    unsigned({"alg": "None", "kid": "k1"}, part(app_claims())), hs256_with_the_public_key(), es256(),
    changed_after_signing(), bearer(app_claims(), NEXT_KEY), bearer(app_claims(), key_id=""),
    bearer(app_claims(), key_id="k9"), bearer(app_claims(), crit=["x"], x=1), bearer(app_claims(exp=float("inf"))),
    bearer(app_claims("1.0", iss=ISSUERS["2.0"])), bearer(app_claims(azp=None, appid=APPLICATION)),
    # no token of an application's own: one of a sign-in
    bearer(user_claims(scp=None, roles=["Mail.Send"])), bearer(user_claims(scp=None, roles=["Mail.Send"], oid=None)),
    bearer(user_claims(scp=None, roles=["Mail.Send"], idtyp="user")),
    bearer(user_claims(scp=None, roles=["Mail.Send"], idtyp="app")), bearer(app_claims(idtyp="user")),
    bearer(app_claims(sub=None)), bearer(app_claims(oid=None, sub=None)),
    bearer(app_claims(oid=None, sub=None, idtyp=None)), bearer(app_claims(oid="", sub="", idtyp=None)),
    bearer(app_claims(oid=[], sub=[], idtyp=None)),
]  # fmt: skip


@pytest.mark.parametrize("authorization", FORGED, ids=lambda text: str(text)[:20])
async def test_what_proves_nothing_is_unauthenticated(authorization: str | None) -> None:
    await refused(authorization)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        (app_claims(exp=NOW - 120), "expired"), (app_claims(nbf=NOW + 3600), "not yet valid"),
        (app_claims(aud=OTHER), "audience"), (app_claims(iss=ISSUERS["1.0"]), "issuer"),
        (app_claims(tid=OTHER), "tenant"),
    ],
)  # fmt: skip
async def test_a_refusal_says_which_claim(claims: dict[str, Any], reason: str) -> None:
    """Whoever set up a caller wrongly learns what is wrong."""
    assert reason in await refused(bearer(claims))


async def test_an_application_without_idtyp_is_told_by_its_subject(entra: Entra) -> None:
    """Idtyp is optional; without it an application's subject is its own object id, and a user's is not."""
    caller = await entra.verifier().verify(bearer(app_claims(idtyp=None)))
    assert not caller.delegated
    with pytest.raises(Unauthenticated):
        await entra.verifier().verify(bearer(app_claims(idtyp=None, sub="pairwise")))


STRANGE = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text() | st.integers())


UNSIGNED = st.builds(
    lambda header, version, other: (
        f"Bearer {part({'alg': 'RS256', 'kid': 'k1', **header})}.{part({'ver': version, 'aud': other})}.e30"
    ),
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk"]), STRANGE),
    STRANGE,
    STRANGE,
)


@given(st.text() | UNSIGNED | st.from_regex(r"Bearer [A-Za-z0-9_-]{0,40}(\.[A-Za-z0-9_-]{0,40}){0,4}", fullmatch=True))
async def test_no_header_raises_anything_else(authorization: str) -> None:
    with pytest.raises(Unauthenticated):
        await Entra().verifier().verify(authorization)


@given(st.dictionaries(st.sampled_from([*app_claims("1.0"), "azp", "scp"]), STRANGE))
async def test_no_signed_claims_raise_anything_else(claims: dict[str, Any]) -> None:
    """Whatever stands in a token that the tenant did sign, there is a caller of this tenant or none."""
    try:
        authorization = bearer({**app_claims(), **claims})
    except (TypeError, ValueError, UnicodeError, jwt.PyJWTError):
        return  # the library would not write it
    try:
        caller = await Entra().verifier().verify(authorization)
    except Unauthenticated:
        return
    assert caller.tenant == TENANT


async def test_a_new_key_is_found(entra: Entra) -> None:
    """Entra rotates keys at any time: a token with a new one makes them be fetched again."""
    verifier = entra.verifier()
    await verifier.verify(bearer(app_claims()))
    entra.rotate()
    entra.now += 61
    await verifier.verify(bearer(app_claims(), NEXT_KEY, "k2"))
    assert len(entra.fetched) == 4
    with pytest.raises(Unauthenticated, match="unknown"):
        await verifier.verify(bearer(app_claims()))


async def test_a_token_that_was_verified_is_taken_for_a_minute(entra: Entra) -> None:
    """Verifying costs as much as reading a mail, and a client sends its token again and again."""
    verifier, token = entra.verifier(), bearer(app_claims())
    caller = await verifier.verify(token)
    entra.rotate()
    entra.now += 59
    assert await verifier.verify(token) == caller
    entra.now += 2
    await verifier.verify(bearer(app_claims(), NEXT_KEY, "k2"))  # the keys are fetched again
    with pytest.raises(Unauthenticated, match="unknown"):
        await verifier.verify(token)


async def test_a_remembered_token_ends_with_its_lifetime(entra: Entra) -> None:
    """With the minute that two clocks may differ; and nothing of another token is taken for it."""
    verifier, token = entra.verifier(), bearer(app_claims(exp=int(time.time()) - 50))
    await verifier.verify(token)
    entra.now += 11  # ten of its own sixty were left
    with pytest.raises(Unauthenticated, match="Access token validation failure"):
        await verifier.verify(token[:-4] + "AAAA")
    assert len(verifier._remembered) == 1
    assert next(iter(verifier._remembered.values()))[1] <= entra.now


async def test_only_so_many_tokens_are_remembered(entra: Entra) -> None:
    verifier = entra.verifier()
    for number in range(3):
        verifier._remembered |= {str(one).encode(): (None, 0.0) for one in range(MOST_REMEMBERED)}  # type: ignore[misc]
        await verifier.verify(bearer(app_claims(jti=str(number))))
        assert len(verifier._remembered) <= MOST_REMEMBERED


async def test_a_flood_of_unknown_keys_costs_one_fetch_a_minute(entra: Entra) -> None:
    """Anyone can invent key ids."""
    verifier = entra.verifier()
    await verifier.verify(bearer(app_claims()))

    async def flood() -> int:
        before = len(entra.fetched)
        tokens = (bearer(app_claims(), key_id=f"invented-{number}") for number in range(20))
        refused = await asyncio.gather(*(verifier.verify(token) for token in tokens), return_exceptions=True)
        assert all(isinstance(refusal, Unauthenticated) for refusal in refused)
        return len(entra.fetched) - before

    assert await flood() == 0  # the keys are seconds old
    entra.now += 60
    assert await flood() == 2  # metadata and keys, once
    assert await flood() == 0
    entra.now += 60
    entra.is_down = True
    assert await flood() == 1
    assert await flood() == 0
    await verifier.verify(bearer(app_claims()))


async def test_old_keys_are_renewed_and_kept_when_that_fails(entra: Entra, caplog: pytest.LogCaptureFixture) -> None:
    """A day later they are fetched again; should Entra be down, the old ones serve on, and it is tried each minute."""
    verifier = entra.verifier()
    await verifier.verify(bearer(app_claims()))
    entra.now += 86400
    entra.is_down = True
    for _ in range(3):
        await verifier.verify(bearer(app_claims()))
    assert len(entra.fetched) == 3
    assert "OSError" in caplog.text
    entra.now += 60
    entra.is_down = False
    await verifier.verify(bearer(app_claims()))
    assert len(entra.fetched) == 5
    await verifier.verify(bearer(app_claims()))
    assert len(entra.fetched) == 5


async def test_without_keys_nobody_is_refused(entra: Entra) -> None:
    """With the metadata unreachable it cannot be said who calls: not a 401. It is tried again soon, not each time."""
    verifier = entra.verifier()
    entra.is_down = True
    results = await asyncio.gather(*(verifier.verify(bearer(app_claims())) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(result, KeysUnavailable) for result in results)
    assert len(entra.fetched) == 1
    entra.is_down = False
    entra.now += 5
    await verifier.verify(bearer(app_claims()))


@pytest.mark.parametrize(
    ("url", "document"),
    [
        (METADATA["2.0"], b"<html>"),
        (METADATA["2.0"], []),
        (METADATA["2.0"], {}),
        (METADATA["2.0"], {"issuer": 7, "jwks_uri": KEYS_URL["2.0"]}),
        (METADATA["2.0"], {"issuer": ISSUERS["2.0"].replace(TENANT, OTHER), "jwks_uri": KEYS_URL["2.0"]}),
        (METADATA["2.0"], {"issuer": ISSUERS["2.0"], "jwks_uri": KEYS_URL["2.0"].replace("https", "http")}),
        (METADATA["2.0"], {"issuer": ISSUERS["2.0"], "jwks_uri": "https://evil.example/keys"}),
        (METADATA["2.0"], {"issuer": ISSUERS["2.0"], "jwks_uri": "http://127.0.0.1/keys"}),
        (METADATA["2.0"], {"issuer": ISSUERS["2.0"], "jwks_uri": "file:///etc/passwd"}),
        (KEYS_URL["2.0"], b"[" * 100_000),
        (KEYS_URL["2.0"], {}),
        (KEYS_URL["2.0"], {"keys": "none"}),
        (KEYS_URL["2.0"], {"keys": []}),
        (KEYS_URL["2.0"], {"keys": [7, {}, {"kid": "k1"}, {"kid": "k1", "kty": "RSA"}]}),
        (KEYS_URL["2.0"], {"keys": [{"kid": "k1", "kty": "RSA", "n": "", "e": 7}]}),
        (KEYS_URL["2.0"], {"keys": [{"kid": "k1", "kty": "oct", "k": part(PUBLIC_PEM)}]}),
        (KEYS_URL["2.0"], {"keys": [public(KEY, "k1", use="enc")]}),
        (KEYS_URL["2.0"], {"keys": [public(KEY, "k1", issuer=f"{AUTHORITY}/{OTHER}/v2.0")]}),
        (KEYS_URL["2.0"], {"keys": [public(SMALL_KEY, "k1")]}),
    ],
)
async def test_metadata_that_is_not_the_tenants_gives_no_keys(entra: Entra, url: str, document: Any) -> None:
    entra.documents[url] = document
    if isinstance(document, dict) and (elsewhere := document.get("jwks_uri")):  # what is there would do
        entra.documents.setdefault(elsewhere, entra.documents[KEYS_URL["2.0"]])
    with pytest.raises(KeysUnavailable):
        await entra.verifier().verify(bearer(app_claims()))


@pytest.mark.parametrize("issuer", [AUTHORITY + "/{tenantid}/v2.0", ISSUERS["2.0"]])
async def test_keys_may_name_their_issuer(entra: Entra, issuer: str) -> None:
    """Entra marks its keys with the issuer that they sign for, or with a template for any."""
    entra.documents[KEYS_URL["2.0"]] = {"keys": [public(KEY, "k1", issuer=issuer)]}
    await entra.verifier().verify(bearer(app_claims()))


async def test_the_whole_way_over_http(entra: Entra, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata and keys from a real server on loopback, with a proxy in the environment that is not asked."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    service = Service()
    async with serving(service.serve) as port:
        authority = f"http://127.0.0.1:{port}"
        for document in ({"issuer": ISSUERS["2.0"], "jwks_uri": f"{authority}/keys"}, entra.documents[KEYS_URL["2.0"]]):
            service.say(200, body=json.dumps(document).encode())
        verifier = TokenVerifier(Registration(TENANT, CLIENT, authority))
        assert (await verifier.verify(bearer(app_claims()))).application_id == APPLICATION


@pytest.mark.parametrize(
    "answer",
    [
        Answer(302, {"Location": "/elsewhere"}), Answer(500), Answer(200, body=b"x" * (LARGEST_FETCH + 1)),
        Answer(200, body=b"{}", cut=-1), Answer(200, body=b"{}", cut=0),
    ],
    ids=["redirect", "500", "too large", "cut short", "nothing"],
)  # fmt: skip
async def test_a_fetch_takes_a_whole_small_200_only(answer: Answer) -> None:
    service = Service(answers=[answer] * 2)  # aiohttp makes a GET again whose connection ends without an answer
    async with serving(service.serve) as port:
        with pytest.raises((OSError, aiohttp.ClientError)):
            await fetch(f"http://127.0.0.1:{port}/")
    assert len(service.requests) == (2 if answer.cut == 0 else 1)
