"""Whether printed means and standard deviations can be values of muscle, in the unit in which they are printed."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from scipy.special import ndtr

from dtimuscle.replication.audit.effects import value_kind
from dtimuscle.replication.audit.findings import (
    Check,
    CheckResult,
    Finding,
    Quantity,
    QuantityKind,
    Sentence,
    Severity,
    Step,
    WayOut,
)
from dtimuscle.replication.printed import PrintedMean, RoundedNumber, printed_mean, rounded_number
from dtimuscle.replication.published import UNITS as PRINTED_UNITS
from dtimuscle.replication.published import GroupMeans, Parameter, PublishedStudy
from dtimuscle.replication.reference_values import MeanRange, ReferenceValues

_NAME = "units"

# Share of patients beyond what is possible, above which normal values with such a mean and SD deserve a note.
_NOTED_SHARE = 0.025

_LARGEST_SD = "Bhatia & Davis, Am Math Mon 2000; 107: 353-357"


@dataclass(frozen=True)
class _Value:
    """A printed mean, as it is printed and as it is read."""

    claim: GroupMeans
    feature: str
    printed: RoundedNumber
    read: PrintedMean
    name: str

    @property
    def kind(self) -> QuantityKind:
        return value_kind(self.feature)

    @property
    def is_diffusivity(self) -> bool:
        return self.kind == "diffusivity"


@dataclass(frozen=True)
class _Block:
    """The printed means of one parameter in one claim."""

    claim: GroupMeans
    parameter: Parameter
    values: tuple[_Value, ...]

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value.feature for value in self.values))


def _run(study: PublishedStudy, reference: ReferenceValues) -> CheckResult:
    blocks = _blocks(study)
    findings = [finding for block in blocks for finding in _of_block(study, block, reference)]
    examined = tuple(dict.fromkeys(study.in_words(feature) for block in blocks for feature in block.features))
    return CheckResult(examined, tuple(sorted(findings, key=lambda one: list(Severity).index(one.severity))))


def _blocks(study: PublishedStudy) -> list[_Block]:
    blocks = []
    for claim in study.claims:
        if not isinstance(claim, GroupMeans):
            continue
        by_parameter: dict[Parameter, list[_Value]] = {}
        for row in claim.means:
            read = printed_mean(study, claim, row.feature, row.group)
            if read is None:
                continue
            printed = rounded_number(row.mean, scale=PRINTED_UNITS[claim.unit])
            name = f"{study.in_words(row.feature)}, {study.group(row.group).title}"
            value = _Value(claim, row.feature, printed, read, name)
            by_parameter.setdefault(_parameter(row.feature), []).append(value)
        blocks += [_Block(claim, parameter, tuple(values)) for parameter, values in by_parameter.items()]
    return blocks


def _parameter(feature: str) -> Parameter:
    name = feature.split(".")[1]
    known: dict[str, Parameter] = {"fa": "fa", "md": "md", "ad": "ad", "rd": "rd"}
    return known[name]


def _of_block(study: PublishedStudy, block: _Block, reference: ReferenceValues) -> Iterator[Finding]:
    yield from _as_printed(study, block, reference)
    if any(_is_beyond(value.read.mean, _upper(value, reference)) for value in block.values):
        return  # What follows would only say once more that the unit does not fit.
    yield from _out_of_range(study, block, reference)
    yield from _too_wide(block, reference)
    yield from _beyond_physics(block, reference)


def _upper(value: _Value, reference: ReferenceValues) -> float:
    return reference.free_water.highest if value.is_diffusivity else 1.0


def _is_beyond(number: RoundedNumber, upper: float) -> bool:
    """Whether every value that is printed so is negative, or above the bound."""
    return number.low > upper or number.high < 0


# The unit as printed


def _as_printed(study: PublishedStudy, block: _Block, reference: ReferenceValues) -> Iterator[Finding]:
    beyond = [value for value in block.values if _is_beyond(value.printed, _upper(value, reference))]
    above = [value for value in beyond if value.is_diffusivity and value.printed.low > 0]
    undefined = [value for value in beyond if value not in above]
    if above:
        yield _above_water(study, block, above, reference)
    if undefined:
        yield _outside_definition(study, block, undefined, reference)


def _above_water(study: PublishedStudy, block: _Block, beyond: list[_Value], reference: ReferenceValues) -> Finding:
    water = _water(reference)
    nearest = min(beyond, key=lambda value: value.printed.low)
    factors = [_factor(value, number, reference) for number, value in enumerate(beyond, start=1)]
    title = study.parameter_title(block.parameter)
    quantities = (
        Quantity("n_beyond", "Means above free water", "count", len(beyond)),
        Quantity("n_means", "Printed means", "count", len(block.values)),
        Quantity("nearest", f"Lowest of them as printed, {nearest.name}", "text", text=_as_text(nearest)),
        Quantity("factor", "Times free water", "number", min(factor.value for factor in factors)),
        water,
    )
    sentence = (
        "Nothing in the body diffuses faster than free water: {water} at body temperature. As printed, "
        "{n_beyond} of {n_means} means are above it; the lowest, {nearest}, is {factor} times as high."
    )
    reading = study.unit_reading(block.parameter, block.claim.unit)
    if reading is not None:
        sentence += f" The kit reads them in {reading.read_as}, which is an assumption."
    return Finding(
        check=_NAME,
        severity=Severity.IMPOSSIBLE,
        title=f"{title} in {block.claim.unit} would exceed that of free water",
        sentence=Sentence(sentence, quantities),
        claims=(block.claim.id,),
        features=tuple(dict.fromkeys(value.feature for value in beyond)),
        steps=(
            Step(
                "Each mean as printed, against the diffusion of free water",
                "mean / free water",
                (water, *(_printed_quantity(value, number) for number, value in enumerate(beyond, start=1)), *factors),
            ),
        ),
        ways_out=tuple(_other_units(study, block, reference)),
        references=_references(reference, block.parameter, water=True),
    )


def _as_text(value: _Value) -> str:
    return f"{value.printed.text} {value.claim.unit}" if value.is_diffusivity else value.printed.text


def _water(reference: ReferenceValues) -> Quantity:
    return Quantity("water", "Diffusion of free water at 37 °C", "diffusivity", reference.free_water.highest)


def _printed_quantity(value: _Value, number: int) -> Quantity:
    label = f"{value.name}, as printed"
    return Quantity(f"printed_{number}", label, value.kind, value.printed.value, value.printed.rounding)


def _factor(value: _Value, number: int, reference: ReferenceValues) -> Quantity:
    water = reference.free_water.highest
    rounding = value.printed.times(1 / water).rounding
    return Quantity(
        f"factor_{number}", f"{value.name}, times free water", "number", value.printed.value / water, rounding
    )


def _references(reference: ReferenceValues, parameter: Parameter, *, water: bool) -> tuple[str, ...]:
    found = [reference.free_water.source] if water else []
    known = reference.muscle_means.get(parameter)
    return tuple(dict.fromkeys([*found, *(known.sources if known else ())]))


def _other_units(study: PublishedStudy, block: _Block, reference: ReferenceValues) -> Iterator[WayOut]:
    """Try every unit of diffusivity but the printed one; units of the same size together."""
    printed_scale = PRINTED_UNITS[block.claim.unit]
    by_scale: dict[float, list[str]] = {}
    for unit, scale in PRINTED_UNITS.items():
        if unit != "1" and scale != printed_scale:
            by_scale.setdefault(float(scale / printed_scale), []).append(unit)
    reading = study.unit_reading(block.parameter, block.claim.unit)
    for factor, units in by_scale.items():
        yield _in_unit(block, reference, factor, units, reading.read_as if reading else None)


def _in_unit(block: _Block, reference: ReferenceValues, factor: float, units: list[str], read_as: str | None) -> WayOut:
    numbers = [value.printed.times(factor) for value in block.values]
    known = reference.muscle_means.get(block.parameter)
    upper = reference.free_water.highest
    is_possible = all(number.low <= upper for number in numbers)
    inside = [_is_inside(number, known) for number in numbers] if known else []
    resolves: Literal["yes", "no", "in part"]
    if known is None:
        resolves = "in part" if is_possible else "no"
        end = " They would lie below free water." if is_possible else " Some would still lie above free water."
    else:
        resolves = "yes" if all(inside) else "in part" if any(inside) and is_possible else "no"
        end = (
            " Means of {known_low} to {known_high} are taken for possible in muscle: {n_inside} of {n_means} lie there."
        )
    chosen = " This is how the kit reads them." if read_as in units else ""
    quantities = (
        Quantity("lowest", "Lowest mean in this unit", "diffusivity", min(number.value for number in numbers)),
        Quantity("highest", "Highest mean in this unit", "diffusivity", max(number.value for number in numbers)),
        *(_known_quantities(known) if known else ()),
        Quantity("n_inside", "Means within the range of muscle", "count", sum(inside)),
        Quantity("n_means", "Printed means", "count", len(numbers)),
    )
    names = f"{units[0]} (the same as {', '.join(units[1:])})" if len(units) > 1 else units[0]
    return WayOut(
        f"The unit that was meant is {names}",
        resolves,
        Sentence("The means would be {lowest} to {highest}." + end + chosen, quantities),
    )


def _is_inside(number: RoundedNumber, known: MeanRange) -> bool:
    return number.high >= known.low and number.low <= known.high


def _known_quantities(known: MeanRange) -> tuple[Quantity, Quantity]:
    return (
        Quantity("known_low", "Lowest mean of muscle that is taken for possible", "diffusivity", known.low),
        Quantity("known_high", "Highest mean of muscle that is taken for possible", "diffusivity", known.high),
    )


def _outside_definition(
    study: PublishedStudy, block: _Block, beyond: list[_Value], reference: ReferenceValues
) -> Finding:
    """Say that a diffusivity is negative, or an anisotropy outside 0 to 1."""
    title = study.parameter_title(block.parameter)
    worst = beyond[0]
    where = "A diffusivity cannot be negative" if worst.is_diffusivity else "FA lies between 0 and 1 by its definition"
    quantities = tuple(_printed_quantity(value, number) for number, value in enumerate(beyond, start=1))
    example = Quantity("printed", f"As printed, {worst.name}", "text", text=_as_text(worst))
    return Finding(
        check=_NAME,
        severity=Severity.IMPOSSIBLE,
        title=f"{title} outside its possible range",
        sentence=Sentence(f"{where}; {{printed}} is printed for {worst.name}.", (example,)),
        claims=(block.claim.id,),
        features=tuple(dict.fromkeys(value.feature for value in beyond)),
        steps=(Step("The means as printed", "", quantities),),
        ways_out=() if worst.is_diffusivity else tuple(_scaled_down(block, reference)),
        references=(),
    )


def _scaled_down(block: _Block, reference: ReferenceValues) -> Iterator[WayOut]:
    """Try whether an anisotropy was printed in thousandths or in percent."""
    known = reference.muscle_means.get(block.parameter)
    for factor, words in ((1e-2, "percent"), (1e-3, "thousandths")):
        numbers = [value.printed.times(factor) for value in block.values]
        inside = [_is_inside(number, known) if known else 0 <= number.value <= 1 for number in numbers]
        quantities = (
            Quantity("lowest", "Lowest mean", "anisotropy", min(number.value for number in numbers)),
            Quantity("highest", "Highest mean", "anisotropy", max(number.value for number in numbers)),
            Quantity("n_inside", "Means that muscle can have", "count", sum(inside)),
            Quantity("n_means", "Printed means", "count", len(inside)),
        )
        yield WayOut(
            f"FA is printed in {words}",
            "yes" if all(inside) else "in part" if any(inside) else "no",
            Sentence(
                "The means would be {lowest} to {highest}; {n_inside} of {n_means} are taken for possible in muscle.",
                quantities,
            ),
        )


# The values as read


def _out_of_range(study: PublishedStudy, block: _Block, reference: ReferenceValues) -> Iterator[Finding]:
    known = reference.muscle_means.get(block.parameter)
    if known is None:
        return
    outside = [value for value in block.values if not _is_inside(value.read.mean, known)]
    if not outside:
        return
    kind = block.values[0].kind
    farthest = max(outside, key=lambda value: _distance(value.read.mean, known))
    is_below = farthest.read.mean.high < known.low
    quantities = (
        Quantity("n_outside", "Means outside the range", "count", len(outside)),
        Quantity("n_means", "Printed means", "count", len(block.values)),
        Quantity(
            "mean", f"Farthest mean, {farthest.name}", kind, farthest.read.mean.value, farthest.read.mean.rounding
        ),
        Quantity("known_low", "Lowest mean of muscle that is taken for possible", kind, known.low),
        Quantity("known_high", "Highest mean of muscle that is taken for possible", kind, known.high),
        Quantity(
            "factor", "Times the nearer end of that range", "number", math.exp(_distance(farthest.read.mean, known))
        ),
    )
    side = "below the lower" if is_below else "above the upper"
    sentence = (
        "Published means of muscle, with an allowance for other scanners and patients, lie between {known_low} and "
        f"{{known_high}}; {{n_outside}} of {{n_means}} means do not. {farthest.name}: {{mean}}, {side} end by a factor "
        "of {factor}."
    )
    title = study.parameter_title(block.parameter)
    means = tuple(
        Quantity(f"mean_{number}", value.name, kind, value.read.mean.value, value.read.mean.rounding)
        for number, value in enumerate(outside, start=1)
    )
    yield Finding(
        check=_NAME,
        severity=Severity.UNLIKELY,
        title=f"{title} lies outside what is known of muscle",
        sentence=Sentence(sentence, quantities),
        claims=(block.claim.id,),
        features=tuple(dict.fromkeys(value.feature for value in outside)),
        steps=(Step("The means that lie outside", "", (*quantities[3:5], *means)),),
        ways_out=_ways_into_range(study, block, reference),
        references=_references(reference, block.parameter, water=False),
    )


def _distance(number: RoundedNumber, known: MeanRange) -> float:
    """Logarithm of the factor by which a mean leaves the range."""
    if number.high < known.low:
        return math.log(known.low / number.high) if number.high > 0 else math.inf
    return max(math.log(number.low / known.high), 0.0) if number.low > 0 else 0.0


def _ways_into_range(study: PublishedStudy, block: _Block, reference: ReferenceValues) -> tuple[WayOut, ...]:
    ways = tuple(_other_units(study, block, reference)) if block.values[0].is_diffusivity else ()
    if block.values[0].is_diffusivity and not any(way.resolves == "yes" for way in ways):
        is_low = all(value.read.mean.value < reference.muscle_means[block.parameter].high for value in block.values)
        cause = "Fat within the regions of interest lowers" if is_low else "Flowing blood and free fluid raise"
        sentence = Sentence(f"{cause} diffusivities; the printed numbers cannot tell by how much.")
        ways += (WayOut("Not only muscle was measured", "in part", sentence),)
    return ways


# Spread


def _too_wide(block: _Block, reference: ReferenceValues) -> Iterator[Finding]:
    """Find SDs that no values between 0 and the bound can have."""
    wide = [
        (value, largest)
        for value in block.values
        if value.read.sd.low > (largest := largest_sd(value.read, upper=_upper(value, reference)))
    ]
    if not wide:
        return
    value, largest = wide[0]
    upper = _upper(value, reference)
    quantities = (
        Quantity("sd", f"SD, {value.name}", value.kind, value.read.sd.value, value.read.sd.rounding),
        Quantity("mean", f"Mean, {value.name}", value.kind, value.read.mean.value, value.read.mean.rounding),
        Quantity("largest", "Largest SD that is possible", value.kind, largest),
        Quantity("upper", "Highest possible value", value.kind, upper),
    )
    rows = tuple(
        quantity
        for number, (one, bound) in enumerate(wide, start=1)
        for quantity in (
            Quantity(f"sd_{number}", f"SD, {one.name}", one.kind, one.read.sd.value, one.read.sd.rounding),
            Quantity(f"largest_{number}", f"Largest possible SD, {one.name}", one.kind, bound),
        )
    )
    yield Finding(
        check=_NAME,
        severity=Severity.IMPOSSIBLE,
        title=f"SD of {value.name} is larger than any values can have",
        sentence=Sentence(
            f"{value.name}: with a mean of {{mean}}, values between 0 and {{upper}} can have an SD of "
            "at most {largest}; {sd} is printed.",
            quantities,
        ),
        claims=(block.claim.id,),
        features=tuple(dict.fromkeys(one.feature for one, _ in wide)),
        steps=(Step("Largest SD of values between 0 and U", "√(m (U − m) n / (n − 1))", (quantities[3], *rows)),),
        ways_out=(_smaller_unit_of_sd(wide),),
        references=(_LARGEST_SD,),
    )


def largest_sd(group: PrintedMean, *, upper: float) -> float:
    """Return the largest SD that values between 0 and a bound can have with a printed mean.

    s² ≤ m (U − m) n / (n − 1), reached by values that are all 0 or U (Bhatia & Davis 2000), here for the mean within
    the rounding of the printed one that allows most.

    Parameters
    ----------
    group : PrintedMean
        Of which the mean and n count.
    upper : float
        The highest possible value U.
    """
    mean = min(max(upper / 2, group.mean.low), group.mean.high)
    return math.sqrt(max(mean * (upper - mean), 0.0) * group.n / (group.n - 1))


def _smaller_unit_of_sd(wide: list[tuple[_Value, float]]) -> WayOut:
    """Try whether SDs are in a tenth of the means' unit."""
    fits = [value.read.sd.low / 10 <= largest for value, largest in wide]
    quantity = Quantity("sd", "Largest SD so read", wide[0][0].kind, max(value.read.sd.value / 10 for value, _ in wide))
    return WayOut(
        "The decimal point of the SDs is one digit off",
        "yes" if all(fits) else "in part" if any(fits) else "no",
        Sentence("The SDs would be at most {sd}.", (quantity,)),
    )


def share_beyond(group: PrintedMean, *, upper: float) -> float:
    """Return the share of normal values below 0 or above a bound, the smallest that the rounding allows.

    Φ(−m/s) + Φ((m − U)/s) rises with s and with the distance of m from U/2, for m between 0 and U.

    Parameters
    ----------
    group : PrintedMean
        Mean and SD.
    upper : float
        The highest possible value U.
    """
    mean = min(max(upper / 2, group.mean.low), group.mean.high)
    return float(ndtr(-mean / group.sd.low) + ndtr((mean - upper) / group.sd.low))


def _beyond_physics(block: _Block, reference: ReferenceValues) -> Iterator[Finding]:
    """Note SDs with which normal values would often be impossible."""
    found = []
    for value in block.values:
        upper = _upper(value, reference)
        share = share_beyond(value.read, upper=upper)
        if share > _NOTED_SHARE and value.read.sd.low <= largest_sd(value.read, upper=upper):
            found.append((value, share))
    if not found:
        return
    value, share = max(found, key=lambda one: one[1])
    shares = tuple(
        Quantity(f"share_{number}", one.name, "share", part) for number, (one, part) in enumerate(found, start=1)
    )
    bound = "free water" if value.is_diffusivity else "1"
    yield Finding(
        check=_NAME,
        severity=Severity.NOTE,
        title=f"{value.name}: mean and SD do not describe normal values",
        sentence=Sentence(
            f"{value.name}: normally distributed values with this mean and SD would lie below 0 or above {bound} in "
            "{share} of patients, so the values are skewed or the SD is not one between patients.",
            (Quantity("share", f"Share beyond the possible, {value.name}", "share", share),),
        ),
        claims=(block.claim.id,),
        features=tuple(dict.fromkeys(one.feature for one, _ in found)),
        steps=(Step("Share of normal values below 0 or above U", "Φ(−m/s) + Φ((m − U)/s)", shares),),
    )


UNITS = Check(
    name=_NAME,
    question="Can muscle have the printed means and standard deviations, in the printed unit?",
    needs="mean and SD of a feature in a group",
    false_alarm_rate=0.0,
    run=_run,
)
