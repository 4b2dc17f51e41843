"""What all settings share: they are fixed once read, and an unknown key is an error."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _odd(value: int) -> int:
    if value < 3 or value % 2 == 0:
        raise ValueError(f"must be odd and at least 3, is {value}")
    return value


Odd = Annotated[int, AfterValidator(_odd)]
Share = Annotated[float, Field(ge=0, le=1)]
