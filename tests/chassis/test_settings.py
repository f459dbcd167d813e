from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from chassis.settings import UNSET, Secret, ServiceSettings, SettingsError, load, shown


@dataclass(frozen=True, kw_only=True)
class Kettle:
    litres: float
    name: str = "kettle"
    loud: bool = False
    cups: int = 4
    kind: Literal["steel", "glass"] = "steel"
    pin: Secret = UNSET
    port: str = ""


def test_settings_are_read_by_type(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("1234\n")
    kettle = load(
        Kettle,
        {
            "RAPPORT_LITRES": "1.5",
            "RAPPORT_NAME": "Big",
            "RAPPORT_LOUD": "true",
            "RAPPORT_CUPS": "6",
            "RAPPORT_KIND": "glass",
            "RAPPORT_PIN_FILE": str(tmp_path / "pin"),
            "HOME": "/nowhere",
        },
    )
    assert (kettle.litres, kettle.name, kettle.loud, kettle.cups, kettle.kind) == (1.5, "Big", True, 6, "glass")
    assert kettle.pin.value == "1234"


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "RAPPORT_LITRES is not set; Kettle cannot do without it."),
        ({"RAPPORT_LITRES": "many"}, "RAPPORT_LITRES must be a number."),
        ({"RAPPORT_CUPS": "1.5"}, "RAPPORT_CUPS must be a number."),
        ({"RAPPORT_LOUD": "yes"}, "RAPPORT_LOUD must be true or false."),
        ({"RAPPORT_KIND": "wood"}, "RAPPORT_KIND must be one of steel, glass."),
        ({"RAPPORT_NAEM": "x"}, "RAPPORT_NAEM is no setting here: did you mean RAPPORT_NAME?"),
        ({"RAPPORT_ZZZ": "x"}, "RAPPORT_ZZZ is no setting here: unset it."),
        ({"RAPPORT_PIN": "1"}, "RAPPORT_PIN is a secret: write it to a file, and name that in RAPPORT_PIN_FILE."),
        ({"RAPPORT_PIN_FILE": "/nowhere/pin"}, "RAPPORT_PIN_FILE names a file that cannot be read"),
        ({"RAPPORT_NAME": "smtp://me:secret@host"}, "RAPPORT_NAME holds a password, which belongs in a file"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(Kettle, variables)
    assert sentence in str(caught.value)


def test_everything_wrong_is_said_at_once_and_without_the_values() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Kettle, {"RAPPORT_CUPS": "canary1", "RAPPORT_PIN": "canary2", "RAPPORT_NAME": "x://a:canary3@b"})
    assert len(str(caught.value).splitlines()) == 4
    assert "canary" not in str(caught.value)


def test_the_links_of_kubernetes_are_not_ours() -> None:
    links = {
        "RAPPORT_IDENTITY_SERVICE_HOST": "10.0.0.7",
        "RAPPORT_IDENTITY_SERVICE_PORT": "9000",
        "RAPPORT_IDENTITY_SERVICE_PORT_GRPC": "9000",
        "RAPPORT_IDENTITY_PORT": "tcp://10.0.0.7:9000",
        "RAPPORT_IDENTITY_PORT_9000_TCP": "tcp://10.0.0.7:9000",
        "RAPPORT_IDENTITY_PORT_9000_TCP_ADDR": "10.0.0.7",
        "RAPPORT_SERVICE_HOST": "10.0.0.7",
    }
    assert load(Kettle, {"RAPPORT_LITRES": "1"} | links) == load(Kettle, {"RAPPORT_LITRES": "1"})
    with pytest.raises(SettingsError, match="RAPPORT_CUPS_PORT"):
        load(Kettle, {"RAPPORT_LITRES": "1", "RAPPORT_CUPS_PORT": "1"})


def test_a_setting_that_looks_like_a_link_is_still_a_setting() -> None:
    assert load(Kettle, {"RAPPORT_LITRES": "1", "RAPPORT_PORT": "tcp://x"}).port == "tcp://x"


def test_a_secret_is_never_printed(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("canary")
    kettle = load(Kettle, {"RAPPORT_LITRES": "1", "RAPPORT_PIN_FILE": str(tmp_path / "pin")})
    assert "canary" not in f"{kettle} {kettle!r} {kettle.pin} {shown(kettle)}"
    assert "RAPPORT_PIN_FILE=(set)" in shown(kettle)
    assert "RAPPORT_CUPS=4" in shown(kettle)


def test_a_service_lists_all_that_it_lacks() -> None:
    with pytest.raises(SettingsError) as caught:
        load(ServiceSettings, {})
    assert "RAPPORT_DATABASE_URL_FILE is not set" in str(caught.value)
    assert "RAPPORT_LISTEN is not set" in str(caught.value)
