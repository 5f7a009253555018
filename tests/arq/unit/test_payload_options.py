"""The options of payloads and their keys: what is refused, and that nothing shows a key."""

from __future__ import annotations

import copy
import hmac
import pickle
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from arq._payloads.keyring import Signer
from arq._payloads.payload_format import PayloadFormat, payload_format
from arq.codecs import Codec, JsonCodec, Keyring, PayloadRefused, PickleCodec
from arq.connections import ArqRedis
from arq.jobs import DeserializationError, SerializationError
from arq.worker import Worker

SECRET = "do-not-show-me-" * 3
KEYS = Keyring({"k2": SECRET, "k1": b"\xff" * 32})


async def job(ctx: Any) -> None:
    """Do nothing."""


def made(**options: Any) -> PayloadFormat:
    found = payload_format(**options)
    assert found is not None
    return found


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize("key", [b"a" * 32, b"b" * 64, b"c" * 200])
def test_signatures_are_hmac_sha256(key: bytes) -> None:
    whole = hmac.digest(key, b"hello", "sha256")
    assert Signer(key).mac(b"hello") == Signer(key).after(b"he").mac(b"llo") == whole


def test_nothing_shows_a_key() -> None:
    for text in (repr(KEYS), str(KEYS), f"{KEYS}", repr(made(signing=KEYS)), repr(vars(made(signing=KEYS)))):
        assert "show-me" not in text
        assert "\\xff" not in text
    assert repr(KEYS) == "<Keyring k2, k1>"
    assert copy.copy(KEYS) is copy.deepcopy(KEYS) is KEYS
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="is not pickled"):
            pickle.dumps(KEYS, protocol)
    assert not hasattr(KEYS, "__dict__")


WRONG: list[tuple[Any, str]] = [
    ({"k": "short-secret"}, "key 'k' is too short"),
    ({"k": SECRET, "l": SECRET}, "key 'l' is the same as another one"),
    ({"k": SECRET, "a b": SECRET[1:]}, "the id of a key"),
    ({"k": SECRET, "": SECRET[1:]}, "the id of a key"),
    ({"k": SECRET, 3: SECRET[1:]}, "the id of a key"),
    ({"k" * 33: SECRET}, "the id of a key"),
    ({"k": [SECRET]}, "key 'k' must be text or bytes, not list"),
    ({}, "needs a key"),
    (SECRET, "not of str"),
    ([("k", SECRET)], "not of list"),
]


@pytest.mark.parametrize(("keys", "said"), WRONG, ids=range(len(WRONG)))
def test_wrong_keys_are_refused_without_showing_them(keys: Any, said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said) as caught:
        Keyring(keys)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    inside = [frame for frame in shown.stack if frame.filename.endswith("keyring.py")]
    assert inside
    text = "".join("".join(frame.locals.values()) for frame in inside if frame.locals) + str(caught.value)
    assert "show-me" not in text
    assert "short-secret" not in text


def test_keys_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARQ_SIGNING_KEYS", f"k3:{SECRET}  k1:{SECRET[1:]}")
    assert Keyring.from_env().ids == ("k3", "k1")
    monkeypatch.setenv("MINE", f"a:{SECRET}")
    assert Keyring.from_env("MINE").ids == ("a",)
    for value, said in (
        ("", "it has no key"),
        (SECRET, "entry 1 is not ID:KEY"),
        ("k:", "entry 1 is not ID:KEY"),
        ("k:short-secret", "too short"),
        (f"k:{SECRET} k:{SECRET[1:]}", "entry 2 has an id that stood before"),
    ):
        monkeypatch.setenv("MINE", value)
        with pytest.raises(ValueError, match=rf"^the environment variable MINE: .*{said}") as caught:
            Keyring.from_env("MINE")
        assert "show-me" not in str(caught.value)
        assert caught.value.__context__ is None
    monkeypatch.delenv("MINE")
    with pytest.raises(ValueError, match="MINE: it has no key"):
        Keyring.from_env("MINE")


def test_keys_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# the newest first\n\nk3: {SECRET}\n k1:{SECRET[1:]}\n")
    assert Keyring.from_file(path).ids == ("k3", "k1")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="keys: entry 1 is not ID:KEY"):
        Keyring.from_file(path)
    with pytest.raises(FileNotFoundError):
        Keyring.from_file(tmp_path / "none")


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    "options", [{}, {"codec": "pickle"}, {"accepts": ["pickle"]}, {"codec": PickleCodec()}]
)
def test_plain_payloads_have_no_format(options: dict[str, Any]) -> None:
    assert payload_format(**options) is None
    assert ArqRedis(**options).payload_format is None
    assert Worker([job], **options).payload_format is None


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"codec": "yaml"}, "codec: there is no codec 'yaml'; there are pickle, json, msgpack, or a Codec"),
    ({"accepts": ["yaml", "pickle"]}, "accepts: there is no codec 'yaml'"),
    ({"accepts": "json"}, "accepts must be a list"),
    ({"accepts": 3}, "accepts must be a list"),
    ({"codec": "json", "accepts": ["pickle"]}, "accepts must have 'json', too"),
    ({"accepts": []}, "accepts must have 'pickle', too"),
    ({"codec": JsonCodec}, "codec must be the name of a codec or an arq.codecs.Codec, not type"),
    ({"codec": Codec()}, "codec: Codec needs a name"),
    ({"signing": {"k1": SECRET}}, "signing must be an arq.codecs.Keyring, not dict"),
    ({"accept_unsigned": True}, "accept_unsigned needs signing"),
    ({"encrypt": True}, "encrypt needs signing"),
    ({"codec": "json", "job_serializer": repr}, "not both"),
    ({"accepts": ["json"], "job_deserializer": repr}, "not both"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED, ids=range(len(REFUSED)))
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], said: str) -> None:
    for make in (ArqRedis, lambda **given: Worker([job], **given)):
        with pytest.raises((ValueError, TypeError), match=said) as caught:
            make(**options)
        assert "show-me" not in str(caught.value)


@pytest.mark.parametrize("signing", [None, KEYS])
def test_json_beside_pickle_is_a_warning(signing: Keyring | None) -> None:
    with pytest.warns(UserWarning, match="'json' is written, but pickle is accepted"):
        made(codec="json", accepts=["pickle", "json"], signing=signing)


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(ImportError, match=r"codec 'msgpack' needs a package: pip install 'arq\[msgpack\]'"):
        made(codec="msgpack")


def test_code_that_knows_of_serializers_only_reads_nothing_that_is_not_accepted() -> None:
    """As companions of arq, which take `job_deserializer` of a client."""
    pool = ArqRedis(codec="json")
    assert pool.job_serializer
    assert pool.job_deserializer
    data: dict[str, Any] = {"t": None, "f": "f", "a": (1,), "k": {}, "et": 1}
    assert pool.job_deserializer(pool.job_serializer(data)) == data
    with pytest.raises(PayloadRefused, match="it is pickle"):
        pool.job_deserializer(pickle.dumps(data))
    signed = ArqRedis(signing=KEYS)
    assert signed.job_serializer
    assert signed.job_deserializer
    with pytest.raises(PayloadRefused, match="with the job's id"):
        signed.job_deserializer(pickle.dumps(data))
    with pytest.raises(SerializationError, match="with the job's id"):
        signed.job_serializer(data)


def test_a_client_of_a_client_goes_by_it() -> None:
    assert ArqRedis(ArqRedis(codec="json")).payload_format is not None  # type: ignore[arg-type]


def test_serializers_of_the_application_can_be_signed() -> None:
    how = made(signing=KEYS, job_serializer=repr, job_deserializer=eval)
    data: dict[str, Any] = {"t": None, "f": "f", "a": (1,), "k": {}, "et": 1}
    payload = how.write_job("f", (1,), {}, None, 1, "id", "queue")
    assert how.job_reader("id", "queue")(payload) == data
    with pytest.raises(PayloadRefused):
        how.job_reader("id", "queue")(repr(data).encode())


def test_a_refusal_is_read_by_every_version() -> None:
    """In a pickled result stands a class that all have."""
    back = pickle.loads(pickle.dumps(PayloadRefused("why", elsewhere=True)))
    assert (type(back), str(back)) == (DeserializationError, "why")


def test_many_queues() -> None:
    how = made(signing=KEYS)
    for number in range(600):
        payload = how.write_job("f", (), {}, None, 1, "id", f"q{number}")
        assert how.job_reader("id", f"q{number}")(payload)["f"] == "f"


def test_who_has_no_options_imports_nothing_for_them() -> None:
    code = (
        "import sys, arq\n"
        "async def job(ctx): ...\n"
        "arq.ArqRedis(); arq.Worker([job])\n"
        "assert not {'arq._payloads.codecs', 'arq._payloads.keyring'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
