"""Reads the dashboards in examples/grafana by the classes that Grafana makes of its published schema, writes them again, and
prints as JSON what was lost or became another: what the schema does not know, or has in another form."""

import json
import pathlib

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

ROOT = pathlib.Path(__file__).resolve().parents[2]


def lost(before, after, path):
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from lost(value, after[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for n, pair in enumerate(zip(before, after)):
            yield from lost(*pair, f"{path}[{n}]")
    elif before != after:
        yield path


def misplaced(dashboard, path):
    """Panels have ids of their own, and lie beside each other on the 24 columns."""
    panels, taken = dashboard["panels"], {}
    if len({panel["id"] for panel in panels}) < len(panels):
        yield f"{path}: an id is there twice"
    for panel in panels:
        place = panel["gridPos"]
        if place["x"] + place["w"] > 24:
            yield f"{path}: {panel['title']} is beyond the grid"
        for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])):
            if taken.setdefault(cell, panel["title"]) != panel["title"]:
                yield f"{path}: {panel['title']} lies over {taken[cell]}"
                break


register_default_plugins()
found = []
for file in sorted((ROOT / "examples/grafana/dashboards").glob("*.json")):
    read = json.loads(file.read_text())
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(read)))
    found += [*lost(read, again, file.stem), *misplaced(read, file.stem)]
print(json.dumps(found))
