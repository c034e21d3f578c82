"""Tools that exist only in prompts: they look up, or work out, something about what the text has just named.

A model that has met many of them learns to follow a prompt for one it has never met: most are made up for one prompt
alone. Those of HELD, with their names, instructions, functions and sentences, are kept out of training.
"""

import random
from dataclasses import dataclass

from recipes.builtin.words import NAMES, PLACES, THINGS, ShortText, invented, listed, title
from toolformer.builtin.corpus import Split, TrueCall


@dataclass(frozen=True)
class Lookup:
    """A made-up tool: what it may be called, how its input is written, and sentences that it helps."""

    names: tuple[str, ...]
    does: str
    input: str
    result: str
    sentences: tuple[str, ...]


TRAIN: tuple[Lookup, ...] = (
    Lookup(("Age", "AgeOf", "HowOld"), "says how old a person is", "{N} {T}", "{n}", (
        "{N} {T} is {r} years old.", "{N} {T}, who is now {r}, lives in {U}.",
        "This week {N} {T} turned {r} at last.")),
    Lookup(("Price", "PriceOf", "Cost"), "says what a thing costs", "{X}", "{n} dollars", (
        "At the {P}, a crate of {X} costs {r} this week.", "{N} wanted the {X} and had to pay {r} for them.",
        "The {X} are sold for {r} in {U}.")),
    Lookup(("Phone", "PhoneBook", "Number"), "gives the phone number of a person", "{N} {T}", "{m} {n}", (
        "You can call {N} {T} under {r} after six.", "The number of {N} {T} is {r}, as the list says.")),
    Lookup(("Weather", "Forecast", "Sky"), "tells the weather in a town", "{U}", "{w}", (
        "In {U} the weather today is {r} and calm.", "People in {U} expect a day that is {r}.",
        "{N} travels to {U}, where it will be {r}.")),
    Lookup(("Score", "Match", "Result"), "gives the score of a match", "{U} - {V}", "{k} to {j}", (
        "The match between {U} and {V} ended {r}.", "When {U} played against {V}, the score was {r} in the end.")),
    Lookup(("Stock", "Shares", "Market"), "gives the price of a share", "{T}", "{n}.{m}", (
        "A share of {T} was worth {r} at noon.", "On the market, {T} is traded at {r} today.")),
    Lookup(("Translate", "MT", "Lexicon"), "translates a foreign word", "{v}", "{g}", (
        "The foreign word {v} means {r} in English.", "In that language {v} is the word for {r}.",
        "{N} read the word {v} and knew that it meant {r}.")),
    Lookup(("Colour", "Paint", "ColourOf"), "knows the colour of a flag", "{U}", "{c}", (
        "The flag of {U} is {r} with a star.", "{N} painted the flag of {U} all {r}.")),
    Lookup(("Owner", "Register", "WhoOwns"), "says who owns a house", "{U} {n}", "{M} {S}", (
        "The house at {U} {n} belongs to {r}.", "{N} learnt that {U} {n} is owned by {r}.")),
    Lookup(("Mayor", "Head", "Leader"), "names the mayor of a town", "mayor of {U}", "{M} {S}", (
        "The mayor of {U} is {r}, as before.", "In {U} the people voted for {r} again.",
        "{N} lives in {U}, a town led by {r}.")),
    Lookup(("River", "Water", "Stream"), "names the river of a town", "{U}", "{V}", (
        "The town of {U} lies on the river {r}.", "Boats reach {U} by the river {r}.")),
    Lookup(("Units", "Feet", "Measure"), "converts feet to metres", "{n} feet", "{m} metres", (
        "The mast is {n} feet high, which is {r}.", "{N} swam {n} feet, or {r}, without a pause.")),
    Lookup(("Letters", "Length", "CountLetters"), "counts the letters of a word", '"{v}"', "{z}", (
        "The word {v} has {r} letters.", "To write {v} you need {r} letters in all.")),
    Lookup(("Upper", "Capitals", "Shout"), "writes a word in capitals", "{v}", "{Z}", (
        "In capitals, {v} is written {r} there.", "{N} shouted {v}, that is {r}, over the wall.")),
    Lookup(("Reverse", "Backwards", "Mirror"), "puts two words in the other order", "{v}, {g}", "{g}, {v}", (
        "Turn {v}, {g} around and you get {r}.", "{N} read {v}, {g} from the right: {r}.")),
    Lookup(("Author", "Writer", "WroteIt"), "knows who wrote a report", 'report "{T}"', "{M} {S}", (
        "The report called {T} was written by {r}.", "{N} praised the report {T}, a work of {r}.")),
    Lookup(("Job", "Work", "Profession"), "knows what people do for a living", "{N} {T}; job", "{j_}", (
        "{N} {T} works as a {r} in {U}.", "By trade, {N} {T} is a {r}.")),
    Lookup(("Room", "Rooms", "Where"), "finds the room of a meeting", "{N}", "room {n}", (
        "The talk of {N} takes place in {r}.", "{N} meets the others in {r} at noon.")),
    Lookup(("Ship", "Port", "Vessel"), "says where a ship is", "ship={T}", "{U}", (
        "The ship {T} was last seen near {r}.", "Tonight the {T} will reach {r}.")),
    Lookup(("Code", "Postcode", "Zip"), "gives the postal code of a town", "code {U}", "{n}{m}", (
        "Letters to {U} need the code {r}.", "The postal code of {U} is {r}.")),
)  # fmt: skip
HELD: tuple[Lookup, ...] = (
    Lookup(("Distance", "HowFar", "Route"), "gives the distance between two towns", "{U} to {V}", "{n} kilometres", (
        "From {U} to {V} it is a way of {r}.", "The road that joins {U} and {V} is {r} long.",
        "{N} drove from {U} to {V}, which is {r}.")),
    Lookup(("Population", "Census", "People"), "says how many people live in a town", "{U}", "{n}", (
        "The town of {U} has {r} inhabitants.", "As for {U}, its people number {r}.",
        "{N} comes from {U}, where {r} people live.")),
    Lookup(("Gate", "Airport", "Flight"), "finds the gate of a flight", "flight {m}", "gate {n}", (
        "Flight {m} to {U} leaves from {r}.", "{N} has a seat on flight {m} and must go to {r}.")),
    Lookup(("Height", "Elevation", "Peak"), "says how high a hill is", "hill {T}", "{n} metres", (
        "The hill called {T} rises to {r}.", "{N} climbed {T}, a hill of {r}.")),
    Lookup(("Boss", "Manager", "Chief"), "says who leads a firm", "{T} Ltd", "{M} {S}", (
        "The firm {T} Ltd is led by {r}.", "At {T} Ltd everyone listens to {r}.")),
)  # fmt: skip

_ASPECTS = tuple(pair.split(":") for pair in listed("""
    weight:kilos width:metres depth:metres speed:miles power:watts value:dollars age:years size:acres rent:dollars
    colour:c owner:p founder:p captain:p teacher:p doctor:p guest:p singer:p winner:p heir:p sister:p guard:p keeper:p
    capital:t origin:t home:t target:t harbour:t school:t label:t symbol:t nickname:t language:t brand:t cousin:t
    taste:w mood:w climate:w sky:w number:n code:n rank:n page:n line:n room:n seat:n platform:n level:n channel:n
    tax:dollars fee:dollars debt:dollars load:tons range:miles volume:litres length:feet heat:degrees pay:dollars
    trade:j task:j tool:x cargo:x product:x gift:x crop:x export:x prize:x
"""))  # fmt: skip
_KINDS = listed("""
    town firm ship person planet island horse tribe book film road house song star club tree bird lake castle bridge
    school band team farm mine bank train plane king saint village valley stone wine paint
""")
_INPUTS = (
    "{s}", "{s}", "{a} {s}", "{s} {a}", "{a} of {s}", "{a}={s}", "{a}: {s}", '"{s}"', "{s}, {a}", "{s}?", "{k} {s}",
    "{s} ({k})", "get {s}", "the {k} {s}", "{s}; {a}", "{k}={s}", "what is {s}", "{a} {k} {s}", "{s} {k}", "all {s}",
)  # fmt: skip
_TWO = ("{s} and {z}", "{s} - {z}", "{s} / {z}", "{s}, {z}", "{z} from {s}", "{s} vs {z}", "{s} with {z}", "{z}; {s}")
_FREE = ("{1} {s}", "{1} {s}", "{s} {1}", "{s} {1}", "{1} {s} {2}", "{1} {2} {s}", "{1}={s}", "{1}: {s}", "{s} ({1})")
_TWO_FREE = (
    "{s} {1} {z}",
    "{s} {1} {z}",
    "{s} {1} {z}",
    "{1} {s} {z}",
    "{1} {s} {2} {z}",
    "{z} {1} {s}",
    "{s} {z} {1}",
)
_LINKS = listed("""
    and or from with by at in on of for over under near past into then plus minus versus against beside behind before
    after until since like as than but via per is was see ask find give show tell up off no any our each
""")
"""With `_FREE` and `_TWO_FREE` for inputs that cannot be guessed, only copied from the demonstrations."""
_TOLD = (
    "The {a} of {s} is {r}.",
    "The {k} {s} has the {a} {r}.",
    "{N} found that the {a} of {s} was {r}.",
    "As to {s}, the {a} is {r}.",
    "{s} is a {k} whose {a} is {r}.",
    "For the {k} known as {s} the {a} is {r}.",
    "{N} asked about {s} and heard {r}.",
    "{s} has {r} as its {a}.",
    "We know {s} well, a {k} with {r}.",
    "Of all things, {s} has {r}.",
    "When {N} saw {s}, the {a} was {r}.",
    "The {k} of {M} is {s}; its {a} is {r}.",
    "About {s} people say {r}.",
    "{s}: {r}.",
    "{N} went to {s} and got {r} there.",
    "The {a} that {s} has is {r}.",
    "There is a {k} named {s}. Its {a} is {r}.",
    "On {s} the list says {r}.",
    "Look at {s}, a {k} of {r}.",
)
_TOLD_OF_TWO = (
    "The {a} of {s} and {z} is {r}.",
    "When {s} met {z}, the {a} was {r}.",
    "{N} compared {s} and {z}: the {a} is {r}.",
    "For {s} with {z} we get {r}.",
    "{s} and {z} have {r}.",
    "Where {s} touches {z}, the {a} is {r}.",
    "Both {s} and {z} come under {r}.",
    "{N} took {s}, then {z}, and so {r}.",
    "Out of {s}, into {z}: {r}.",
    "Since {s} follows {z}, {N} wrote down {r}.",
    "The {k} which {s} shares with {z} has {r}.",
    "{s} leads over {z} by {r}.",
    "{N} brought {s} before {z} and was told {r}.",
    "Not far from {s}, at {z}, the {a} is {r}.",
    "{z} is behind {s}, a {k} of {r}.",
    "Towards {z}, beyond {s}, there are {r}.",
)
_SKIES = listed("sunny cloudy rainy windy foggy stormy snowy icy warm cold")
_COLOURS = listed("red green blue white black yellow purple orange brown pink")
_JOBS = listed("baker teacher doctor farmer painter singer driver nurse judge tailor sailor gardener")


def lookup_text(rng: random.Random, tool: Lookup, name: str) -> ShortText:
    """A sentence that the tool helps, and the right call of it under this name."""
    first, other = rng.sample(NAMES, 2)
    word = invented(rng)
    words = {
        "N": first, "M": other, "T": title(rng, 1), "S": title(rng, 1), "U": title(rng), "V": title(rng, 1), "v": word,
        "n": rng.randint(12, 999), "m": rng.randint(100, 999), "k": rng.randint(0, 12), "j": rng.randint(0, 12),
        "X": rng.choice(THINGS), "P": rng.choice(PLACES), "g": rng.choice(THINGS), "c": rng.choice(_COLOURS),
        "w": rng.choice(_SKIES), "j_": rng.choice(_JOBS), "z": len(word), "Z": word.upper(),
    }  # fmt: skip
    before, after = (piece.format(**words) for piece in rng.choice(tool.sentences).split("{r}"))
    before = before[:1].upper() + before[1:] if not before.startswith(word) else before
    result = tool.result.format(**words)
    return ShortText(before + result + after, (TrueCall(name, tool.input.format(**words), result, len(before)),))


def invented_tool(rng: random.Random) -> Lookup:
    """A tool for one prompt: its name, its way of writing inputs and its sentences are drawn anew."""
    aspect, result = rng.choice(_ASPECTS)
    kind = rng.choice(_KINDS)
    of_two = rng.random() < 0.35
    subjects = ("{T}", "{U}", "{U}", "{N}") if of_two else ("{U}", "{T}", "{N} {T}", "{v}", "{m}", "{U}", "{T} {m}")
    results = {"c": "{c}", "p": "{M} {S}", "t": "{S}", "w": "{w}", "n": "{n}", "j": "{j_}", "x": "{X}"}
    shown = results.get(result, f"{{n}} {result}")
    words = {"a": aspect, "k": kind, "s": rng.choice(subjects), "z": "{V}"}
    told = rng.sample(_TOLD_OF_TWO if of_two else _TOLD, rng.choice((1, 2, 2, 3)))
    name = rng.choice((aspect.title(), f"{aspect.title()}Of", f"{kind.title()}{aspect.title()}", invented(rng).title()))
    return Lookup(
        (name,),
        rng.choice(("tells the {a} of a {k}", "knows the {a} of each {k}", "finds out about a {k}")).format(**words),
        _filled(_way(rng, of_two), words),
        shown,
        tuple(_filled(sentence, words) for sentence in told),
    )


def _way(rng: random.Random, of_two: bool) -> str:
    """A way of writing inputs: one of a few, or one with words that nothing but the demonstrations can tell."""
    if rng.random() < 0.4:
        return rng.choice(_TWO if of_two else _INPUTS)
    first, second = (rng.choice(rng.choice((_LINKS, _KINDS, THINGS, [invented(rng)]))) for _ in range(2))
    if rng.random() < 0.3:
        first = first.title()
    return _filled(rng.choice(_TWO_FREE if of_two else _FREE), {"1": first, "2": second})


def _filled(template: str, words: dict[str, str]) -> str:
    """The template with these words in it; its other places stay open."""
    for name, word in words.items():
        template = template.replace(f"{{{name}}}", word)
    return template


def tools(split: Split) -> tuple[Lookup, ...]:
    """The made-up tools of one split."""
    return HELD if split == "held" else TRAIN
