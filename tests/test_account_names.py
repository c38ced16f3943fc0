"""To whom does an id belong, registered or not, and who may change an account?"""

from typing import Any

from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import USER_HELLO
from tests.keyfiles import BAD_PINS
from tests.keyring import pub_of
from tests.users import UserTestCase

WRONG = ("BAD_KEY", "wrong user or password")
FAR = "192.0.2.7"


class NameTests(UserTestCase):
    """An id belongs to one key, on this server and in the network."""

    def setUp(self) -> None:
        """One node."""
        super().setUp()
        self.a = self.start()

    def refused(self, user_id: str, key: str = "bob") -> str:
        """Return why a HELLO with this id is refused."""
        person = self.person(self.a)
        person.greet(user_id, key)
        self.assertEqual(person.heard(), ["ERROR"])
        self.assertEqual(person.errors(), ["NAME_IN_USE"])
        self.assertIsNone(person.close)
        return person.fault()[1]

    def test_registered(self) -> None:
        """Registered with another key, and offline."""
        self.account(self.a, "alice")
        self.assertEqual(self.refused("alice"), "alice is registered with another key")

    def test_online(self) -> None:
        """Online here with another key, registered or not."""
        self.person(self.a, "alice")
        self.assertEqual(self.refused("alice"), "alice is online here with another key")

    def test_elsewhere(self) -> None:
        """Online at another server, even with the same key."""
        b = self.start("srv-b", 8766, [self.a])
        self.network.pass_time(2)
        self.person(b, "alice")
        why = self.refused("alice", "alice")
        self.assertEqual(why, "alice is online at srv-b")

    def test_s17_case(self) -> None:
        """``Alice`` beside ``alice``: online, or only registered."""
        self.account(self.a, "alice")
        self.assertIn("mistaken for alice", self.refused("Alice", "alice"))
        self.person(self.a, "bob")
        self.assertIn("mistaken for bob", self.refused("BOB", "bob"))

    def test_register_taken(self) -> None:
        """A registered id in any case is not registered again, whoever asks."""
        self.account(self.a, "alice")
        for user_id in ("alice", "ALICE"):
            clerk = self.person(self.a)
            clerk.register(user_id, "alice")
            self.assertEqual(clerk.errors(), ["NAME_IN_USE"])
        self.assertEqual(self.done(self.stores["srv-a"].user_ids()), ["alice"])

    def test_register_online(self) -> None:
        """Who is online here without an account keeps their id from others."""
        self.person(self.a, "alice")
        for key in ("bob", "alice"):
            clerk = self.person(self.a)
            clerk.register("alice", key)
            self.assertEqual(clerk.errors(), ["NAME_IN_USE"], key)
        self.assertIsNone(self.done(self.stores["srv-a"].user("alice")))

    def test_registered_meanwhile(self) -> None:
        """A claim from before the registration is worth nothing after it."""
        squatter = self.person(self.a)
        squatter.greet("alice", "bob", signed=False)
        self.account(self.a, "alice")
        self.person(self.a, "carol")
        squatter.forget()
        squatter.tell("carol")
        self.assertEqual(squatter.fault(), ("NOT_ALLOWED", "MSG_DIRECT: log in first"))
        squatter.forget()
        squatter.prove(squatter.proof())
        self.assertEqual(squatter.fault(), WRONG)
        self.assertEqual(self.a.online(), {"carol": "srv-a"})

    def test_case_registered_meanwhile(self) -> None:
        """The same for an id that differs in case, whoever's key it is."""
        squatters = [self.person(self.a) for _ in range(2)]
        for squatter, key in zip(squatters, ("bob", "alice"), strict=True):
            squatter.greet("Alice", key, signed=False)
        self.account(self.a, "alice")
        for squatter in squatters:
            squatter.forget()
            squatter.prove(squatter.proof())
            self.assertEqual(squatter.fault(), WRONG)
        self.assertEqual(self.a.online(), {})

    def test_register_elsewhere(self) -> None:
        """Nor is an account made here for who is online at another server."""
        b = self.start("srv-b", 8766, [self.a])
        self.network.pass_time(2)
        self.person(b, "bob")
        clerk = self.person(self.a)
        clerk.register("bob", "srv-d")
        code, sentence = clerk.fault()
        self.assertEqual((code, sentence), ("NAME_IN_USE", "bob is online at srv-b"))
        self.assertIsNone(self.done(self.stores["srv-a"].user("bob")))

    def test_s17_hostile(self) -> None:
        """Ids that would deceive or break a screen are refused, and named as such."""
        bad = [
            "*",
            "public",
            "local",
            "system",
            "alice ",
            "a\x1b[2J",
            "a\nb",
            "\u202ea",
        ]
        bad += ["", "a" * 65, "ä", "a/b"]
        hostile: list[Any] = [*bad, 7, True, ["alice"]]
        for user_id in hostile:
            person = self.person(self.a)
            payload = {"pubkey": pub_of("alice")}
            hello = {"type": USER_HELLO, "to": "*", "ts": 1, "payload": payload}
            person.say_raw({**hello, "from": user_id})
            person.say_raw({**hello, "payload": {**payload, "user_id": user_id}})
            account = {"user_id": user_id, "pubkey": pub_of("alice")}
            person.say("USER_REGISTER", "", "", account)
            self.assertEqual(person.errors(), ["MALFORMED"] * 3, repr(user_id))
            self.assertIsNone(person.close)
            person.leave()
        self.assertEqual(self.done(self.stores["srv-a"].user_ids()), [])

    def test_s16_keys(self) -> None:
        """Keys that are not RSA-4096 are refused in HELLO and registration."""
        for name, key in BAD_PINS.items():
            person = self.person(self.a)
            hello = {"pubkey": key, "enc_pubkey": key}
            person.say(USER_HELLO, "alice", "*", hello, id="1")
            person.register("alice", pubkey=key)
            self.assertEqual(person.errors(), ["BAD_KEY"] * 2, name)
            person.leave()
        self.assertEqual(self.a.online(), {})

    def test_key_of_another_kind(self) -> None:
        """A key that is no text is a malformed frame."""
        keys: list[Any] = [None, 4096, {}, ["x"], "x" * 2049]
        for key in keys:
            person = self.person(self.a)
            person.say(USER_HELLO, "alice", "*", {"pubkey": key})
            person.register("alice", pubkey=key)
            self.assertEqual(person.errors(), ["MALFORMED"] * 2, repr(key))
            person.leave()


class RegisterTests(UserTestCase):
    """An account is made by whoever comes first, and changed by its owner alone."""

    def setUp(self) -> None:
        """One node."""
        super().setUp()
        self.a = self.start()
        self.store = self.stores["srv-a"]

    def test_does_not_log_in(self) -> None:
        """USER_REGISTERED, and nothing more."""
        person = self.person(self.a)
        person.register("alice")
        self.assertEqual(person.heard(), ["USER_REGISTERED"])
        self.assertEqual(self.a.online(), {})

    def test_own(self) -> None:
        """Logged in by the same key: blob, password and display name are renewed."""
        self.account(self.a, "alice")
        person = self.person(self.a, "alice")
        person.register("alice", privkey_store="new", meta={"display_name": "A"})
        person.only("USER_REGISTERED")
        user = self.done(self.store.user("alice"))
        self.assertEqual((user.privkey_store, user.version), ("new", 2))
        self.assertEqual(user.meta, {"display_name": "A"})

    def test_not_logged_in(self) -> None:
        """Greeted is not logged in."""
        self.account(self.a, "alice")
        person = self.person(self.a)
        person.greet("alice")
        person.register("alice", privkey_store="new")
        self.assertEqual(person.errors(), ["NAME_IN_USE"])
        self.assertEqual(self.done(self.store.user("alice")).privkey_store, "sealed")

    def test_anothers(self) -> None:
        """Logged in as bob: alice's account stays as it is."""
        self.account(self.a, "alice")
        person = self.person(self.a, "bob")
        person.register("alice")
        self.assertEqual(person.errors(), ["NAME_IN_USE"])

    def test_anothers_key(self) -> None:
        """Logged in as alice: the key of the account does not change."""
        self.account(self.a, "alice")
        person = self.person(self.a, "alice")
        person.register("alice", "bob")
        self.assertEqual(person.errors(), ["NAME_IN_USE"])
        self.assertEqual(self.done(self.store.user("alice")).pubkey, pub_of("alice"))

    def test_online_without_account(self) -> None:
        """Who came with a signed HELLO registers while online, on the same link."""
        person = self.person(self.a, "alice")
        person.register("alice")
        person.only("USER_REGISTERED")
        self.assertEqual(self.a.online(), {"alice": "srv-a"})

    def test_malformed(self) -> None:
        """Broken verifiers and long blobs are refused in a sentence, and not kept."""
        person = self.person(self.a)
        spoilt: tuple[dict[str, Any], ...] = (
            {"pake_password": "no dot"},
            {"pake_password": "AAAA.AAAA"},
            {"pake_password": "x" * 257},
            {"privkey_store": "x" * 16_385},
            {"privkey_store": {"a": 1}},
            {"meta": []},
        )
        for more in spoilt:
            person.forget()
            person.register("alice", **more)
            code, why = person.fault()
            self.assertEqual(code, "MALFORMED", more)
            self.assertIn(next(iter(more)), why)
        self.assertEqual(self.done(self.store.user_ids()), [])

    def test_display_name(self) -> None:
        """A display name that would deceive is dropped; the account is made."""
        for number, name in enumerate(["a\x1b[2J", "\u202eecila", "x" * 65, " a", 7]):
            key, meta = pub_of("alice"), {"display_name": name}
            self.account(self.a, f"user{number}", pubkey=key, meta=meta)
            user = self.done(self.store.user(f"user{number}"))
            self.assertEqual(user.meta, {"display_name": ""}, repr(name))


class RegistrationLimitTests(UserTestCase):
    """Accounts are bounded in number, and nobody makes them by the hundred."""

    def registered(self, *user_ids: str, host: str, limit: int) -> list[str]:
        """Return what a stranger hears who registers one id after the other."""
        site = self.start(limits=Limits(accounts=limit))
        person = self.person(site, host=host)
        for user_id in user_ids:
            person.register(user_id, "bob")
        return [
            person.fault()[0] if kind == "ERROR" else kind for kind in person.heard()
        ]

    def test_number(self) -> None:
        """The first one too many is refused, and the limit named."""
        told = self.registered("one", "two", "three", host="127.0.0.1", limit=2)
        self.assertEqual(told, ["USER_REGISTERED", "USER_REGISTERED", "LIMIT"])

    def test_pace(self) -> None:
        """From one address five are free; then it takes longer and longer."""
        names = [f"user{number}" for number in range(7)]
        told = self.registered(*names, host=FAR, limit=100)
        self.assertEqual(told, ["USER_REGISTERED"] * 6 + ["LIMIT"])

    def test_network(self) -> None:
        """Nor is the pace of an IPv6 network that of its addresses."""
        site, told = self.start(), []
        for number in range(7):
            person = self.person(site, host=f"2001:db8::{number}")
            person.register(f"user{number}", "bob")
            told += person.heard()
        self.assertEqual(told, ["USER_REGISTERED"] * 6 + ["ERROR"])
