"""How the fields of a command become flags, beyond what tyro does: nobody types None, and a wrong number is told so."""

import dataclasses
from types import NoneType
from typing import Annotated, Any, get_args

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
    UnsupportedTypeAnnotationError,
)

from toolformer.catalog import REPEATED
from toolformer.loading import Loading

RULES = ConstructorRegistry()
"""What `tyro.cli` is given."""
MARKERS = (
    tyro.conf.OmitArgPrefixes,
    tyro.conf.OmitSubcommandPrefixes,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.PositionalMetavarFromFieldName,
)
_LARGEST = 10**18
_SEEN = object()
_UNSAID = tyro.conf.arg(help_behavior_hint="")


class Often:
    """Beside a group of flags: those that most people set, which `--help` explains. It only names the others."""

    def __init__(self, *names: str) -> None:
        """By the names of the fields."""
        self.names = names


LoadingFlags = Annotated[Loading, Often()]
"""Of every command that loads a model."""


@RULES.primitive_rule
def _number(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """A message in words where tyro would give Python's."""
    if info.type is int:
        return _numbers(int, "INT", "a whole number")
    return _numbers(float, "FLOAT", "a number") if info.type is float else None


def _numbers(kind: type[int | float], metavar: str, what: str) -> PrimitiveConstructorSpec[Any]:
    def read(words: list[str]) -> int | float:
        try:
            value = kind(words[0])
        except ValueError:
            raise ValueError(f"{words[0][:60]!r} is not {what}") from None
        if isinstance(value, int) and abs(value) >= _LARGEST:
            raise ValueError(f"{words[0][:60]!r} is too large a number: 18 digits are enough")
        return value

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, kind),
        str_from_instance=lambda value: [str(value)],
    )


@RULES.primitive_rule
def _optional(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | UnsupportedTypeAnnotationError | None:
    """`X | None` is read as X: a flag that is left out is None, and one that is there is not."""
    options = get_args(info.type)
    if len(options) != 2 or NoneType not in options:
        return None
    inner = options[1] if options[0] is NoneType else options[0]
    spec = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(inner, info.markers))
    if isinstance(spec, UnsupportedTypeAnnotationError):
        return spec
    return dataclasses.replace(
        spec,
        is_instance=lambda value: value is None or spec.is_instance(value),
        str_from_instance=lambda value: [] if value is None else spec.str_from_instance(value),
    )


@RULES.struct_rule
def _in_plain_words(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Texts that flow over their lines, and do not say a default that says nothing."""
    if _SEEN in info.markers or not dataclasses.is_dataclass(info.type):
        return None
    spec = ConstructorRegistry.get_struct_spec(dataclasses.replace(info, markers=(*info.markers, _SEEN)))
    if not isinstance(spec, StructConstructorSpec):
        return None
    return dataclasses.replace(spec, fields=tuple(_worded(field) for field in spec.fields))


def says_nothing(default: Any) -> bool:
    """Of a default that nobody need be told: the text beside it says what happens then."""
    return default is False or default in (None, "", ())


def _worded(field: StructFieldSpec) -> StructFieldSpec:
    kind: Any = field.type
    if REPEATED in getattr(kind, "__metadata__", ()):
        kind = Annotated[kind, tyro.conf.UseAppendAction]
    if says_nothing(field.default):
        kind = Annotated[kind, _UNSAID]
    return dataclasses.replace(
        field,
        type=kind,
        helptext=lambda: " ".join(((field.helptext() if callable(field.helptext) else field.helptext) or "").split()),
    )
