"""Points of a sweep: a grid or a random draw over settings, written as text."""

import itertools
import math
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from macsgr_jax.config import Config
from macsgr_jax.errors import InputError, quote
from macsgr_jax.limits import MAX_POINTS, MAX_SEED, check_option
from macsgr_jax.overrides import override, setting_names

# The paper's letters, which may be given for a setting.
LETTERS = {"lambda": "loss.lambda_alignment"}
# Of a number in a range: with more, decimals would take long, and floats have none.
MAX_DIGITS, MAX_EXPONENT = 50, 300

Point = dict[str, str]  # setting -> value, as --set writes them


def find_setting(name: str, config: Config) -> str:
    """Finds a setting by its full name, its field alone, or the paper's letter.

    Args:
        name: the name that was given.
        config: any configuration.

    Returns:
        The full name, such as model.window_past.

    Raises:
        InputError: no setting has this name, or several have.
    """
    known = [full for full, _, _ in setting_names(config)]
    matching = [full for full in known if name in (full, full.split(".")[1])]
    if name in LETTERS:
        return LETTERS[name]
    if len(matching) != 1:
        hint = f"it could be {' or '.join(matching)}" if matching else "`macsgr train --help` lists all of them"
        raise InputError(f"there is no one setting {name}: {hint}")
    return matching[0]


def make_grid(axes: Sequence[str], config: Config) -> list[Point]:
    """Makes every combination of the values of the axes.

    Args:
        axes: axes such as "lambda=0.1:0.9:0.1" (both ends included) or "window_past=5,10,20"; the sets of
            data.features are separated by semicolons.
        config: the configuration that the points start from.

    Returns:
        The points, the last axis changing fastest.

    Raises:
        InputError: an axis cannot be read, or a setting is given twice.
    """
    parsed = dict(_split_all("--grid", axes, config))
    values = [_list_values(f"--grid {name}={text}", name, text) for name, text in parsed.items()]
    for (name, text), found in zip(parsed.items(), values, strict=True):
        if not found:
            raise InputError(f"--grid {name}={text}: it holds no value, give at least one")
    if math.prod(map(len, values)) > MAX_POINTS:
        raise InputError(f"--grid: {math.prod(map(len, values))} points are too many, {MAX_POINTS} at most")
    return [dict(zip(parsed, combination, strict=True)) for combination in itertools.product(*values)]


def draw_points(number: int, ranges: Sequence[str], config: Config, seed: int) -> list[Point]:
    """Draws points at random.

    Args:
        number: the number of points.
        ranges: ranges such as "learning_rate=1e-4:1e-2:log", "dropout=0.1:0.6" (uniform), or "window_past=5,10,20"
            (any of these); bounds and draws of a setting that is an integer are integers.
        config: the configuration that the points start from.
        seed: the seed of the random draw.

    Returns:
        The points.

    Raises:
        InputError: a range cannot be read, or a setting is given twice.
    """
    check_option("--random", number, 1, MAX_POINTS)
    check_option("--random-seed", seed, 0, MAX_SEED)
    random = np.random.default_rng(seed)
    parsed = dict(_split_all("--range", ranges, config))
    return [{name: _draw(name, text, config, random) for name, text in parsed.items()} for _ in range(number)]


def configure_point(config: Config, point: Point) -> Config:
    """Returns the configuration of a point.

    Raises:
        InputError: a value does not fit its setting.
    """
    return override(config, [f"{name}={value}" for name, value in point.items()])


def _split_all(option: str, axes: Sequence[str], config: Config) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for axis in axes:
        name, equals, text = axis.partition("=")
        if not equals or not text.strip():
            raise InputError(f"{option} {axis}: write it as NAME=VALUES, such as lambda=0.1:0.9:0.1")
        full = find_setting(name.strip(), config)
        if full in dict(pairs):
            raise InputError(f"{option} {axis}: {full} is given twice")
        pairs.append((full, text.strip()))
    return pairs


def _list_values(option: str, name: str, text: str) -> list[str]:
    separator = ";" if name == "data.features" else ","
    if ":" not in text:
        return [part.strip() for part in text.split(separator) if part.strip()]
    numbers = _read_numbers(option, text, "FIRST:LAST:STEP", 3)
    first, last, step = numbers
    if step <= 0 or last < first:
        raise InputError(f"{option}: FIRST:LAST:STEP needs LAST not below FIRST and a STEP above 0")
    count = int((last - first) / step) + 1  # Before any of them is made.
    if count > MAX_POINTS:
        raise InputError(f"{option}: {quote(count)} points are too many, {MAX_POINTS} at most")
    return [str(first + step * index) for index in range(count)]


def _read_numbers(option: str, text: str, form: str, count: int) -> list[Decimal]:
    parts = text.split(":")
    try:
        numbers = [Decimal(part) for part in parts]
    except InvalidOperation:
        numbers = []
    usual = all(number.is_finite() and abs(number.adjusted()) <= MAX_EXPONENT for number in numbers)
    if len(numbers) != count or not usual or any(len(part) > MAX_DIGITS for part in parts):
        raise InputError(f"{option}: write {form} in numbers, or the values separated by commas")
    return numbers


def _draw(name: str, text: str, config: Config, random: np.random.Generator) -> str:
    option = f"--range {name}={text}"
    if ":" not in text:
        choices = _list_values(option, name, text)
        if not choices:
            raise InputError(f"{option}: it holds no value, give at least one")
        return choices[int(random.integers(len(choices)))]
    logarithmic = text.endswith(":log")
    low, high = map(float, _read_numbers(option, text.removesuffix(":log"), "LOW:HIGH or LOW:HIGH:log", 2))
    if high < low or (logarithmic and low <= 0):
        raise InputError(f"{option}: HIGH must not be below LOW" + (", and LOW must be above 0" if logarithmic else ""))
    current: Any = next(value for full, _, value in setting_names(config) if full == name)
    if isinstance(current, int) and not isinstance(current, bool):
        low, high = low - 0.5, high + 0.5
    drawn = math.exp(random.uniform(math.log(low), math.log(high))) if logarithmic else random.uniform(low, high)
    return str(round(drawn)) if isinstance(current, int) and not isinstance(current, bool) else f"{drawn:.4g}"
