"""Codes that a blinded reviewer sees instead of positions, wells and conditions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Digits and letters that are not mistaken for one another."""


@dataclass(frozen=True)
class Blind:
    """Shown names, salted: two reviewers or folders share none, and their order is unrelated to the design.

    Attributes
    ----------
    salt : str
        The reviewer's.
    """

    salt: str

    def code(self, *parts: object, length: int = 4) -> str:
        """A short code of something.

        Examples
        --------
        >>> Blind("salt").code("p0001") == Blind("salt").code("p0001")
        True
        >>> Blind("salt").code("p0001") == Blind("other").code("p0001")
        False
        """
        text = "|".join([self.salt, *map(str, parts)])
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
        letters = []
        for _ in range(length):
            number, at = divmod(number, len(ALPHABET))
            letters.append(ALPHABET[at])
        return "".join(letters)

    def field(self, position_id: str) -> str:
        """Shown name of a position."""
        return f"field {self.code(position_id)}"

    def guest(self, position_id: str, guest_id: int) -> str:
        """Shown name of a guest.

        Parameters
        ----------
        position_id : str
            Its position.
        guest_id : int
            Its id.

        Returns
        -------
        str
            The word guest and a code.
        """
        return f"guest {self.code(position_id, guest_id)}"

    def item(self, item_id: str) -> str:
        """Shown name of an item of the queue; a repeat bears another one than the first time."""
        return f"#{self.code('item', item_id)}"
