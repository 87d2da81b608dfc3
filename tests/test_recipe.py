from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgedistill
from edgedistill.data.preprocessing import AudioPreprocessing, ImagePreprocessing
from edgedistill.errors import RecipeError
from edgedistill.recipe import (
    AudioViews,
    Captured,
    Emulate,
    Optimizer,
    Recipe,
    Start,
    StartMethod,
    recipe_from_mapping,
    recipe_from_yaml,
    recipe_schema,
)
from edgedistill.recipe.file import overridden, override_from_text

PACKAGE = Path(edgedistill.__file__).parent
STARTER = PACKAGE / "starter.yaml"
SMALLEST = """
name: small
data:
  source: shapes
  preprocessing: {kind: image, size: [8, 8], channels: 1}
teacher: {source: residual}
student: {source: residual}
targets: [{target: arm-onnxruntime, profile: raspberry-pi-4}]
"""


@pytest.fixture
def smallest(tmp_path: Path) -> Path:
    return written(tmp_path, SMALLEST)


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, "utf-8")
    return path


def refusal(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe_from_yaml(written(folder, text), overrides=overrides)
    assert caught.value.exit_code == 2
    return str(caught.value)


def without(line_start: str) -> str:
    kept = [line for line in SMALLEST.splitlines() if not line.startswith(line_start)]
    assert len(kept) == len(SMALLEST.splitlines()) - 1
    return "\n".join(kept)


# --- what is read


def test_a_small_recipe_takes_the_defaults(smallest: Path) -> None:
    recipe = recipe_from_yaml(smallest)
    assert recipe.name == "small"
    assert recipe.distill.optimizer is Optimizer.SGD
    assert recipe.data.preprocessing.input_shape == (1, 8, 8)
    assert recipe.verify.emulate is Emulate.AUTO


def test_what_a_recipe_dumps_is_the_same_recipe(smallest: Path) -> None:
    recipe = recipe_from_yaml(smallest)
    assert recipe_from_mapping(recipe.model_dump(mode="json")) == recipe
    assert recipe_from_mapping(json.loads(recipe.model_dump_json())) == recipe


@given(st.floats(min_value=1e-300, max_value=10), st.integers(0, 2**31 - 1), st.floats(0, 1))
def test_no_value_changes(learning_rate: float, seed: int, warmup: float) -> None:
    document = {
        **recipe_from_yaml(STARTER).model_dump(mode="json"),
        "seed": seed,
        "distill": {"learning_rate": learning_rate, "warmup": warmup},
    }
    recipe = recipe_from_mapping(document)
    assert recipe.distill.learning_rate == learning_rate
    assert recipe.seed == seed
    assert recipe.distill.warmup == warmup


@given(
    st.dictionaries(
        st.from_regex(r"\A[a-z]{1,8}\Z"),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    )
)
def test_options_keep_their_values_and_types(options: dict[str, object]) -> None:
    document = {**recipe_from_yaml(STARTER).model_dump(mode="json")}
    document["student"] = {"source": "residual", "options": options}
    read = recipe_from_mapping(document).student.options
    assert read == options
    assert {name: type(value) for name, value in read.items()} == {name: type(value) for name, value in options.items()}


def test_yaml_is_read_as_editors_read_it(tmp_path: Path) -> None:
    text = SMALLEST.replace("source: shapes", "source: shapes\n  classes: [no, off, yes, 2020-01-01, 12:30]")
    recipe = recipe_from_yaml(written(tmp_path, text + "distill: {learning_rate: 1e-3, weight_decay: .5}\n"))
    assert recipe.data.classes == ("no", "off", "yes", "2020-01-01", "12:30")
    assert recipe.distill.learning_rate == 0.001
    assert recipe.distill.weight_decay == 0.5


@pytest.mark.parametrize(
    ("text", "value"),
    [("010", 10), ("0x1F", 31), ("0o17", 15), ("+3", 3), ("-1.5e+3", -1500.0), ("~", None), ("TRUE", True)],
)
def test_scalars_of_the_core_schema(smallest: Path, text: str, value: object) -> None:
    recipe = recipe_from_yaml(smallest, overrides=[f"student.options.a={text}"])
    assert recipe.student.options["a"] == value
    assert type(recipe.student.options["a"]) is type(value)


def test_an_empty_text_is_not_null(smallest: Path) -> None:
    assert recipe_from_yaml(smallest, overrides=["student.options.a=''"]).student.options["a"] == ""


# --- overrides


def test_overrides_hold_and_the_last_one_wins(smallest: Path) -> None:
    overrides = [
        "distill.epochs=3",
        "distill.epochs=4",
        "distill.soft_targets.temperature=2.5",
        "targets.0.profile=other",
        "data.preprocessing.size=[16, 24]",
        "data.classes=[a, b]",
        "student.weights=a=b.safetensors",
    ]
    recipe = recipe_from_yaml(smallest, overrides=overrides)
    assert recipe.distill.epochs == 4
    assert recipe.distill.soft_targets.temperature == 2.5
    assert recipe.targets[0].profile == "other"
    assert recipe.data.preprocessing.input_shape == (1, 16, 24)
    assert recipe.data.classes == ("a", "b")
    assert recipe.student.weights == "a=b.safetensors"


def test_an_override_changes_nothing_else(smallest: Path) -> None:
    plain = recipe_from_yaml(smallest)
    changed = recipe_from_yaml(smallest, overrides=["seed=5"])
    assert changed == plain.model_copy(update={"seed": 5})


def test_overriding_leaves_the_document_alone() -> None:
    document: dict[str, object] = {"distill": {"epochs": 1}, "targets": [{"profile": "a"}]}
    before = copy.deepcopy(document)
    changed = overridden(document, [override_from_text("distill.epochs=2"), override_from_text("targets.0.profile=b")])
    assert changed == {"distill": {"epochs": 2}, "targets": [{"profile": "b"}]}
    assert document == before


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "distill.epoch=3",
            "override 'distill.epoch=3': unknown key 'distill.epoch': did you mean 'epochs'?",
        ),
        ("distill.epochs=-1", "override 'distill.epochs=-1': 'distill.epochs' is -1; wanted greater than 0"),
        ("seed", "override 'seed': no key; wanted dotted.key=value"),
        ("=3", "no key"),
        ("a b=3", "no key"),
        ("distill..epochs=3", "no key"),
        ("name.first=x", "override 'name.first=x': 'name' is a value, not a section"),
        ("targets.1.profile=x", "'targets' has no '1'; wanted an index from 0 to 0"),
        ("targets.first.profile=x", "'targets' has no 'first'"),
        ("data.classes=[a", "override 'data.classes=[a': no valid YAML"),
        ("distill={epochs: 0}", "override 'distill={epochs: 0}': 'distill.epochs' is 0"),
    ],
)
def test_a_wrong_override_is_named(tmp_path: Path, override: str, expected: str) -> None:
    assert expected in refusal(tmp_path, SMALLEST, "threads=1", override)


def test_a_problem_of_the_file_is_not_blamed_on_an_override(tmp_path: Path) -> None:
    message = refusal(tmp_path, SMALLEST + "sed: 1\n", "seed=3")
    assert "unknown key 'sed': did you mean 'seed'?" in message
    assert "override" not in message


# --- what is refused


def test_a_missing_section_is_named_without_its_surroundings(tmp_path: Path) -> None:
    message = refusal(tmp_path, without("teacher"))
    assert message.endswith("recipe.yaml': 'teacher' is missing.")


def test_a_missing_key_below_a_section(tmp_path: Path) -> None:
    message = refusal(tmp_path, SMALLEST.replace("{target: arm-onnxruntime, ", "{"))
    assert "'targets.0.target' is missing." in message


def test_an_unknown_key_lists_only_the_keys_of_its_own_kind(tmp_path: Path) -> None:
    message = refusal(tmp_path, SMALLEST.replace("channels: 1", "channel: 1"))
    assert "unknown key 'data.preprocessing.channel': did you mean 'channels'?" in message
    assert "it has: channels, kind, mean, scale, size, std." in message  # and no `shape`, which arrays have


def test_problems_stand_one_per_line(tmp_path: Path) -> None:
    message = refusal(tmp_path, without("teacher") + "\nseed: '1'\ndistill: {epoch: 3, ema: 1}\n")
    lines = message.splitlines()
    assert lines[0].endswith(": 4 problems:")
    assert lines[1] == "  'seed' is \"1\"; wanted a valid integer;"
    assert lines[2] == "  'teacher' is missing;"
    assert lines[3] == "  'distill.ema' is 1; wanted less than 1;"
    assert lines[4].startswith("  unknown key 'distill.epoch': did you mean 'epochs'? it has: accumulate, balance")


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ("flip: yes", "unknown key 'flip'"),
        ("distill: {optimizer: adam}", "'distill.optimizer' is \"adam\"; wanted 'sgd', 'adamw' or 'dot'"),
        ("distill:", "'distill' is null; wanted keys and values (without the key, the defaults hold)"),
        ("distill: {hints: [{teacher: a}]}", "'distill.hints.0.student' is missing"),
        ("distill: {baseline: 1}", "'distill.baseline' is 1; wanted a valid boolean"),
        ("seed: true", "'seed' is true; wanted a valid integer"),
        ("seed: 1.5", "'seed' is 1.5; wanted a valid integer"),
        ("seed: .nan", "no finite number"),
        ("distill: {epochs: .inf}", "no finite number"),
        ("version: 2", "'version' is 2; wanted 1"),
        ("seed: 1\nseed: 2", "the key 'seed' stands in line 9 already"),
        ("distill: {epochs: 1, epochs: 2}", "the key 'epochs' stands in line 9 already"),
        ("1: 2", "the key 1 is no text; put it in quotes"),
        ("? [a]\n: 2", "is no text"),
        ("cache: &a {max_gb: 1}\nbench: *a", "line 10, column 8: a recipe has no aliases"),
        ("seed: !!python/object/apply:os.getpid []", "could not determine a constructor"),
        ("seed: !!timestamp 2020-01-01", "could not determine a constructor"),
        ("seed: !!int x", "no valid YAML"),
        ("seed: !!bool x", "no valid YAML"),
        ("seed: [1", "no valid YAML: line 10"),
        ("seed: " + "9" * 5000, "no valid YAML"),
        ("seed: " + "[" * 5000, "nested without end"),
        ("seed: 99999999999999999999999", "'seed' is 99999999999999999999999; wanted"),
        ("---\nseed: 1", "expected a single document"),
        ("seed: 'a\x00b'", "no valid YAML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, added: str, expected: str) -> None:
    assert expected in refusal(tmp_path, SMALLEST + added + "\n")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: small", "name: A small one", "'name' is \"A small one\"; wanted text of the pattern"),
        ("kind: image, ", "", "'data.preprocessing.kind' is missing; wanted 'image' or 'array'"),
        (
            "kind: image",
            "kind: video",
            "'data.preprocessing.kind' is \"video\"; wanted 'image' or 'array'",
        ),
        (
            "channels: 1",
            "channels: 1, mean: [0, 1]",
            "'data.preprocessing': mean has 2 values; wanted 1 or 1",
        ),
        ("targets: [{target: arm-onnxruntime, profile: raspberry-pi-4}]", "targets: []", "has 0 values"),
        (
            "student: {source: residual}",
            "student: {source: residual, options: {width: {a: 1}}}",
            "'student.options.width' is {\"a\": 1}; wanted text, a number, true, false, null, or a list of",
        ),
        (
            "student: {source: residual}",
            "student: {source: residual, options: {width: [1, {a: 1}]}}",
            "'student.options.width.1' is {\"a\": 1}; wanted text, a number",
        ),
        (
            "student: {source: residual}",
            "student: residual",
            "'student' is \"residual\"; wanted keys and values",
        ),
    ],
)
def test_a_wrong_value_is_said(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in SMALLEST
    message = refusal(tmp_path, SMALLEST.replace(old, new))
    assert expected in message
    assert "problems" not in message


def test_a_long_value_is_not_dumped(tmp_path: Path) -> None:
    message = refusal(tmp_path, SMALLEST + f"seed: {'x' * 1000}\n")
    assert "'seed' is a long text; wanted a valid integer" in message


@pytest.mark.parametrize(("text", "found"), [("", "the file is empty"), ("- a\n", "a list"), ("abc", "a str")])
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str, found: str) -> None:
    assert found in refusal(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"does not exist.*edgedistill init"):
        recipe_from_yaml(tmp_path / "none.yaml")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        recipe_from_yaml(tmp_path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"name: \xff")
    with pytest.raises(RecipeError, match="byte 6 is not UTF-8"):
        recipe_from_yaml(path)


def test_a_huge_file_is_not_parsed(tmp_path: Path) -> None:
    assert "more than 262,144 bytes" in refusal(tmp_path, SMALLEST + "#" * 262_144)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Path("a"), {1, 2}])
def test_a_mapping_with_what_no_recipe_can_hold(smallest: Path, value: object) -> None:
    document = copy.deepcopy(recipe_from_yaml(smallest).model_dump(mode="json"))
    document["seed"] = value
    with pytest.raises(RecipeError, match="a value that no recipe can hold"):
        recipe_from_mapping(document)


# --- what is published


def test_the_published_schema_is_that_of_the_code() -> None:
    published = json.loads((PACKAGE / "recipe.schema.json").read_text("utf-8"))
    assert published == recipe_schema(), "run: make schema"


def test_every_key_of_the_schema_says_what_it_means_and_closes_its_section() -> None:
    schema = recipe_schema()
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    for section in (schema, *definitions.values()):
        if section.get("type") != "object":
            continue
        assert section["additionalProperties"] is False
        for name, field in section["properties"].items():
            described = field if "description" in field else definitions[field["$ref"].rpartition("/")[2]]
            assert described["description"], name


def test_the_starter_is_a_recipe_and_names_its_schema() -> None:
    assert recipe_from_yaml(STARTER).name == "my-first-run"
    first = STARTER.read_text("utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=recipe.schema.json"


def test_what_the_starter_comments_out_are_the_defaults(tmp_path: Path) -> None:
    text, uncommented = re.subn(r"(?m)^( *)# ( *(?:- \{|[a-z_0-9]+:(?: |$)).*)$", r"\1\2", STARTER.read_text("utf-8"))
    assert uncommented > 30
    all_keys = recipe_from_yaml(written(tmp_path, text)).model_dump()
    plain = recipe_from_yaml(STARTER).model_dump()
    for example in ("hints", "losses"):  # what is no default
        assert len(all_keys["distill"].pop(example)) == 1
        del plain["distill"][example]
    assert all_keys["student"].pop("start") == Start(method=StartMethod.SLICE_CHANNELS).model_dump()
    del plain["student"]["start"]
    assert all_keys == plain


def test_the_starter_shows_every_key() -> None:
    text = STARTER.read_text("utf-8")
    hidden = {
        "shape",
        "tokenizer",
        "vocabulary",
        "max_length",
        "max_characters",
        "drop_words",
        "noise",
        "gain",
        "embeddings",
    }
    hidden |= set(Captured.model_fields) | {"captured"}
    hidden |= set(AudioPreprocessing.model_fields) | set(AudioViews.model_fields) | {"audio"}
    hidden -= set(ImagePreprocessing.model_fields)
    # arrays, texts and sounds have them; the starter is about images
    definitions = recipe_schema()["$defs"]
    assert isinstance(definitions, dict)
    keys = {key for section in definitions.values() for key in section.get("properties", {})}
    keys |= set(Recipe.model_fields)
    training = {"batch_size", "ema", "label_weight", "optimizer", "warmup", "weight_decay"}
    assert {key for key in keys - hidden - training if f"{key}:" not in text} == set()
