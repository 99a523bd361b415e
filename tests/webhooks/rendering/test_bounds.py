"""How much of an event templates see."""

from shared.webhooks.rendering.bounds import (
    LONGEST_TEXT,
    MOST_CHARACTERS,
    MOST_ENTRIES,
    MOST_ITEMS,
    MOST_VALUES,
    bounded,
)


def test_entries_items_and_texts_are_bounded_each_and_together_and_the_mail_says_so() -> None:
    data, left_out = bounded(
        {"many": list(range(MOST_ITEMS + 1)), "wide": {str(n): n for n in range(MOST_ENTRIES + 2)}}
    )
    assert (len(data["many"]), len(data["wide"])) == (MOST_ITEMS, MOST_ENTRIES)
    assert [note.partition(" only")[0] for note in left_out] == ["Of 2,501 items of many", "Of 502 entries of wide"]
    data, left_out = bounded([{"text": "x" * LONGEST_TEXT} for _ in range(12)])
    assert sum(len(name) + len(text) for one in data for name, text in one.items()) == MOST_CHARACTERS
    assert left_out[0].startswith("Of the text [9].text only the first ")
    data, left_out = bounded([list(range(MOST_ITEMS)) for _ in range(40)])
    assert sum(1 + len(one) for one in data) <= MOST_VALUES + 40
    assert left_out[-1].startswith("Of 2,500 items of [")
    assert bounded({"a": ["b", None, 1.5]}) == ({"a": ["b", None, 1.5]}, ())
