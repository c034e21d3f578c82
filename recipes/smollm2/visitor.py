"""What an ordinary visitor would ask, and how the model goes on: the tables of docs/smollm2.md.

    python -m recipes.smollm2.visitor [--model smollm2-tools]

Nobody says here what is right: read the answers.
"""

import argparse
from collections.abc import Iterator

from toolformer import Toolformer
from toolformer.generation import MadeCall

PROMPTS = (
    "Emma has 48 apples and gives 19 to her brother. How many apples does she have left? The answer is",
    "A ticket costs 17 dollars. How much do 23 tickets cost? The answer is",
    "Tom drove 128 miles on Monday and 257 miles on Tuesday, so in all he drove",
    "There are 936 chairs in 12 equal rows, so in each row there are",
    "What is 15% of 340? The answer is",
    "The shop opened on March 1, 2020 and closed 45 days later, on",
    "From June 5, 2021 to August 2, 2021 there are",
    "Today is",
    "The capital of Peru is",
    "The author of the novel Dune is",
    "The film Pulp Fiction was directed by",
    "The Eiffel Tower stands in the city of",
    "Hello! How are you today?",
    "My favourite season is autumn, because",
    "Write a short sentence about the sea.",
)
TURNS = (
    "What is 48 - 19?",
    "A ticket costs 17 dollars. How much do 23 tickets cost?",
    "Emma has 48 apples and gives 19 to her brother. How many apples does she have left?",
    "What is 15% of 340?",
    "Who wrote Dune?",
    "What is the capital of Peru?",
    "What day is it today?",
    "Which date was it 30 days ago?",
    "Hello! How are you?",
    "Write a short sentence about the sea.",
)
LONGEST = 32
"""Tokens of an answer."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.smollm2.visitor", description="A visitor's prompts.")
    parser.add_argument("--model", default="smollm2-tools", help="the tool user (default: %(default)s)")
    for line in answers(Toolformer.from_pretrained(parser.parse_args().model)):
        print(line, flush=True)


def answers(user: Toolformer) -> Iterator[str]:
    """A row of a table for each prompt as it goes on, and then for each turn as the first of a chat."""
    for prompt, made in zip(PROMPTS, user.generate([*PROMPTS], max_new_tokens=LONGEST), strict=True):
        yield row(prompt, made.text, made.calls)
    yield ""
    for turn in TURNS:
        said = user.chat().send(turn, max_new_tokens=LONGEST)
        yield row(turn, said.text, said.calls)


def row(said: str, text: str, calls: tuple[MadeCall, ...]) -> str:
    """What was said, the calls, and the text that came of it."""
    made = "; ".join(f"{call.tool}({call.input}) → {call.result}" for call in calls)
    return f"| {said} | {made} | {text.strip()!r} |"


if __name__ == "__main__":
    main()
