"""How each architecture is trained: a recipe for each."""

from typing import Any

from imharmony.training.architectures import find_architecture
from imharmony.training.recipes.hdnet import HDNetRecipe
from imharmony.training.recipes.recipe import Recipe
from imharmony.training.recipes.refiner import RefinerRecipe
from imharmony.training.recipes.s2crnet import S2CRNetRecipe
from imharmony.training.recipes.seam import SeamNetRecipe

__all__ = ["recipe_for"]

RECIPES: dict[str, Recipe[Any]] = {
    "s2crnet": S2CRNetRecipe(),
    "seamnet": SeamNetRecipe(),
    "hdnet": HDNetRecipe(),
    "refiner": RefinerRecipe(),
}


def recipe_for(variant: str) -> Recipe[Any]:
    """Return the recipe of a variant's architecture.

    Raises
    ------
    UsageError
        If there is no such variant.
    """
    return RECIPES[find_architecture(variant)]
