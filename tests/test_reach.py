"""Servers that do not answer: asked once, shortly, and named with the remedy."""

import socket
import threading
import time
from types import SimpleNamespace

import pytest

from rolewise import reach
from rolewise.data import dataset_library, tokenisation
from rolewise.errors import InputError
from rolewise.models import zoo_hugging_face, zoo_weights
from rolewise.models.zoo import zoo_card

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch):
    monkeypatch.setattr(reach, "_KNOWN", {})
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def nowhere(monkeypatch):
    """The hub at an address where nobody answers, counting how often it is asked."""
    asked = []
    connects = reach._connects
    monkeypatch.setattr(reach, "_connects", lambda place, patience: asked.append(place) or connects(place, patience))
    for module in (reach, tokenisation, dataset_library, zoo_weights, zoo_hugging_face):
        monkeypatch.setattr(module, "hub_address", lambda: NOWHERE)
    return asked


def test_a_server_that_listens_is_reached_and_one_that_does_not_is_not():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert reach.is_reachable(f"http://127.0.0.1:{server.getsockname()[1]}/a/file")
    assert not reach.is_reachable(NOWHERE)
    assert not reach.is_reachable("http://")


def test_a_proxy_is_asked_in_place_of_the_server(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert reach.is_reachable("https://server.invalid")


def test_a_name_that_takes_long_to_be_looked_up_is_given_up(monkeypatch):
    looked_up = threading.Event()

    def slow(*_, **__):
        looked_up.wait(20)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", slow)
    start = time.monotonic()
    assert not reach.is_reachable("https://slow.invalid", patience=0.1)
    assert time.monotonic() - start < 10
    looked_up.set()


def test_an_answer_holds_for_a_minute(monkeypatch, nowhere):
    assert not reach.is_reachable(NOWHERE)
    assert not reach.is_reachable(NOWHERE)
    assert len(nowhere) == 1
    monkeypatch.setattr(reach, "_HOLDS", -1.0)
    assert not reach.is_reachable(NOWHERE)
    assert len(nowhere) == 2


def test_networks_and_tokenizers_without_a_network_are_named_at_once(nowhere):
    pytest.importorskip("transformers")
    for _ in range(3):
        with pytest.raises(
            InputError, match=r"hf:nobody/nothing.*there is no network here.*check the name.*hf download"
        ):
            zoo_card("hf:nobody/nothing")
        with pytest.raises(InputError, match=r"nobody/nothing.*there is no network here.*check the name"):
            tokenisation.tokenizer_of("nobody/nothing")
    assert len(nowhere) == 1


def test_a_name_that_the_hub_does_not_have_is_said_so(monkeypatch):
    monkeypatch.setattr(reach, "is_reachable", lambda address: True)
    said = reach.why_not("https://huggingface.co", OSError("404 Client Error: Repository Not Found"))
    assert said == "huggingface.co has no such public repository or file"


def test_weights_without_a_network_name_their_file(nowhere, monkeypatch):
    pytest.importorskip("huggingface_hub")
    with pytest.raises(InputError, match=r"model\.safetensors of nobody/nothing.*no network here"):
        zoo_weights._of_hub("timm:one", SimpleNamespace(file="model.safetensors", repository="nobody/nothing"))
    with pytest.raises(InputError, match=r"one\.pth, which is not there.*there is no network here"):
        zoo_weights._of_address("torchvision:one", SimpleNamespace(file="one.pth", url=f"{NOWHERE}/one.pth"))
    assert len(nowhere) == 1


def test_a_data_set_without_a_network_names_its_setting(nowhere, tmp_path):
    pytest.importorskip("datasets")
    with pytest.raises(InputError, match=r"data\.arguments\.path must be a folder below .* check the name"):
        dataset_library.library_splits("hub", tmp_path, "nobody/nothing", None, True, {"train": "train"})
