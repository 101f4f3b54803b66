from __future__ import annotations

from pathlib import Path

import yaml
from rows import each_row

from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.engines.places import places_of
from techsapo_ops.services.app.rendered_spec import CONTAINER_CALIBRATION, app_spec_files
from techsapo_ops.services.registry import resolve
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.layout import Layout


@each_row("engine, expected", [("native", "/srv/shop/weights/c.json"), ("compose", CONTAINER_CALIBRATION)])
def test_the_app_is_told_where_its_weights_are_where_it_runs(engine: str, expected: str) -> None:
    spec = Spec.model_validate({"project": "shop", "wallbounce": {"calibration": "weights/c.json"}})
    layout = Layout(state=Path("/srv/shop/.techsapo"), config=Path("/srv/shop/.techsapo/generated"))
    topology = resolve(spec, places_of(engine), layout, HostFacts("/usr/bin/python3"))
    (file,) = app_spec_files(topology)
    assert yaml.safe_load(file.content)["wallbounce"]["calibration"] == expected
