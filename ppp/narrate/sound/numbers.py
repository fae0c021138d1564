"""Numbers, years and letters as words, so that no speech program has to read a digit."""

from typing import Final

from ppp.narrate.sound.dictionary import word_list

_ONES: Final = word_list("ones")
_TENS: Final = word_list("tens")
_SCALES: Final = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (10**3, "thousand"))
_ORDINALS: Final = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
#: Numbers of more digits are read digit by digit, and so are those of more in names and versions, such as dates.
MAX_DIGITS: Final = 15
MAX_NAMED_DIGITS: Final = 5
_LETTERS: Final = dict(zip("abcdefghijklmnopqrstuvwxyz", word_list("letters"), strict=True))
_HUNDRED: Final = 100
_YEARS: Final = range(1900, 2100)
#: Of these it is said "two thousand four", of the others "twenty twenty four".
_THOUSANDS: Final = range(2000, 2010)


def number_words(number: int) -> str:
    """Return a number from 0 on in words: `one thousand two hundred four`."""
    for size, name in _SCALES:
        if number >= size:
            return _joined(f"{number_words(number // size)} {name}", number % size)
    if number >= _HUNDRED:
        return _joined(f"{_ONES[number // _HUNDRED]} hundred", number % _HUNDRED)
    if number >= len(_ONES):
        return _joined(_TENS[number // 10], number % 10)
    return _ONES[number]


def _joined(words: str, rest: int) -> str:
    return f"{words} {number_words(rest)}" if rest else words


def ordinal_words(number: int) -> str:
    """Return the ordinal of a number from 1 on: `twenty eighth`."""
    *before, last = number_words(number).split()
    ordinal = _ORDINALS.get(last) or (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")
    return " ".join([*before, ordinal])


def year_words(year: int) -> str:
    """Return a year as it is said: `twenty twenty six`; others than those of this and the last century as numbers."""
    century, rest = divmod(year, _HUNDRED)
    if year not in _YEARS or year in _THOUSANDS:
        return number_words(year)
    if not rest:
        return f"{number_words(century)} hundred"
    return f"{number_words(century)} {'oh ' if rest < len(_TENS) else ''}{number_words(rest)}"


def digits_words(digits: str, most: int = MAX_DIGITS) -> str:
    """Return digits as words: as one number if they are `most` at most and begin with no zero, else one by one."""
    if len(digits) > most or (digits.startswith("0") and len(digits) > 1):
        return " ".join(_ONES[int(digit)] for digit in digits)
    return number_words(int(digits))


def spell(letters: str) -> str:
    """Return the names of lower-case letters."""
    return " ".join(_LETTERS[letter] for letter in letters).replace("-", " ")
