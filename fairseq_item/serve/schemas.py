"""What the API answers, for its description at ``/openapi.json``."""

from pydantic import BaseModel, Field


class Error(BaseModel):
    error: str = Field(description="What is wrong and how to mend it, in one line")


class Item(BaseModel):
    id: str
    title: str
    image: str | None = Field(description="Address of its image, relative to the service's own")
    fields: dict[str, str] = Field(description="The catalogue's other columns")


class Answer(Item):
    rank: int = Field(description="From 1")
    score: float = Field(
        description="What it is ranked by; a probability where the results say probabilities"
    )
    similarities: dict[str, float | None] = Field(
        description="global, title, image, lexical; null where query or item lacks it"
    )
    decided_by: list[str] = Field(description="Similarities that gave most to the score")


class Answers(BaseModel):
    answers: list[Answer]
    weights: dict[str, float] = Field(description="Of the similarities")
    probabilities: bool = Field(
        description="Whether scores are probabilities that an answer is the same product"
    )
    index: str = Field(description="Which index answered")
    milliseconds: float = Field(description="Time that the search took")


class Items(BaseModel):
    items: list[Item]


class Described(BaseModel):
    index: str = Field(description="Changes with every other index")
    items: int
    similarities: list[str]
    weights: dict[str, float] = Field(description="Used where a query gives none")
    fusion: str
    probabilities: bool
    columns: list[str] = Field(description="That conditions may name")
    choices: dict[str, dict[str, int]] = Field(
        description="Columns of few values: value -> number of items"
    )
    limits: dict[str, float]


class Health(BaseModel):
    status: str
    index: str
    items: int
