from __future__ import annotations

from pathlib import Path

import pytest

from jaild.model import layout, names
from jaild.model.errors import InvalidArgumentError
from jaild.model.layout import Layout

WHERE = Layout("tank/site/jaild")


def test_everything_lies_below_the_root_dataset() -> None:
    assert WHERE.base("14.3") == "tank/site/jaild/bases/14.3"
    assert WHERE.app("web") == "tank/site/jaild/apps/web"
    assert WHERE.release("web", "1.0") == "tank/site/jaild/apps/web/1.0"
    assert WHERE.jail("edge") == "tank/site/jaild/jails/edge"
    assert WHERE.part("edge", "data") == "tank/site/jaild/jails/edge/data"


def test_a_jails_own_dataset_is_its_part_without_a_name() -> None:
    assert WHERE.part("edge", "") == WHERE.jail("edge")


def test_peers_name_a_layer_below_the_root_so_that_pools_may_differ() -> None:
    assert WHERE.layer("bases/14.3") == WHERE.base("14.3")
    assert Layout("other").layer("apps/web/1.0") == Layout("other").release("web", "1.0")


@pytest.mark.parametrize("root", ["tank", "tank/jaild", "tank/site/jaild"])
def test_the_pool_is_the_first_part_of_the_root(root: str) -> None:
    assert Layout(root).pool == "tank"


def test_a_generation_is_a_numbered_folder_of_the_jail() -> None:
    assert layout.generation_folder(Path("/j/edge"), 12) == Path("/j/edge/generations/12")


@pytest.mark.parametrize("taken", [layout.DATA, "generations"])
def test_no_volume_may_have_the_name_of_what_jaild_keeps_in_a_jail(taken: str) -> None:
    with pytest.raises(InvalidArgumentError):
        names.volume(taken)
