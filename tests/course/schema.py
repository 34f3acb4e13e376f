"""Gradescope's results.json: its published fields, and a checker of just the JSON Schema words they need."""

VISIBILITY = {"enum": ["hidden", "after_due_date", "after_published", "visible"]}
FORMAT = {"enum": ["text", "html", "simple_format", "md", "ansi"]}
TEST = {
    "type": "object",
    "properties": {
        "score": {"type": "number", "minimum": 0},
        "max_score": {"type": "number", "minimum": 0},
        "status": {"enum": ["passed", "failed"]},
        "name": {"type": "string"},
        "name_format": FORMAT,
        "number": {"type": "string"},
        "output": {"type": "string"},
        "output_format": FORMAT,
        "tags": {"type": "array", "items": {"type": "string"}},
        "visibility": VISIBILITY,
        "extra_data": {"type": "object"},
    },
    "required": ["score", "max_score", "status", "name", "number", "output", "visibility"],
    "additionalProperties": False,
}
ENTRY = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "value": {"type": ["number", "string"]},
        "order": {"enum": ["asc", "desc"]},
    },
    "required": ["name", "value"],
    "additionalProperties": False,
}
RESULTS = {
    "type": "object",
    "properties": {
        "score": {"type": "number", "minimum": 0},
        "execution_time": {"type": "number", "minimum": 0},
        "output": {"type": "string"},
        "output_format": FORMAT,
        "test_output_format": FORMAT,
        "test_name_format": FORMAT,
        "visibility": VISIBILITY,
        "stdout_visibility": VISIBILITY,
        "extra_data": {"type": "object"},
        "tests": {"type": "array", "items": TEST},
        "leaderboard": {"type": "array", "items": ENTRY},
    },
    "required": ["score", "execution_time", "tests", "leaderboard"],
    "additionalProperties": False,
}
TYPES = {"object": dict, "array": list, "string": str, "number": (int, float)}


def problems(value, schema, path="results"):
    """List what does not fit a schema made of type, enum, minimum, properties, required and items."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(isinstance(value, TYPES[kind]) and not isinstance(value, bool) for kind in kinds):
        return [f"{path} is no {' or '.join(kinds)}: {value!r}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path} is none of {schema['enum']}: {value!r}")
    if "minimum" in schema and not value >= schema["minimum"]:
        found.append(f"{path} is below {schema['minimum']}: {value!r}")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += [f"{path} lacks {key}" for key in schema.get("required", []) if key not in value]
        if schema.get("additionalProperties") is False:
            found += [f"{path} has unknown {key}" for key in value if key not in properties]
        for key in value.keys() & properties.keys():
            found += problems(value[key], properties[key], f"{path}.{key}")
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            found += problems(item, schema["items"], f"{path}[{i}]")
    return found


def check_results(record):
    """Assert that a results.json fits, and that its numbers agree with one another."""
    assert not problems(record, RESULTS)
    for test in record["tests"]:
        assert test["score"] <= test["max_score"]
        assert (test["status"] == "passed") == (test["score"] == test["max_score"])
    numbers = [test["number"] for test in record["tests"]]
    assert len(set(numbers)) == len(numbers)
    assert abs(record["score"] - sum(test["score"] for test in record["tests"])) < 0.01
