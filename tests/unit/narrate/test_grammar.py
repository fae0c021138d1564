"""The grammar: ours is well-formed, and a malformed one is found before a model could get it."""

import pytest

from ppp.narrate.grammar import build_grammar, grammar_errors


def test_root_fixes_the_order_and_a_line_is_one_of_its_renderings() -> None:
    assert build_grammar([("One.", "Uno."), ("Two.",)]) == (
        'root ::= line1 "\\n" line2\nline1 ::= "One." | "Uno."\nline2 ::= "Two."\n'
    )


def test_quotes_and_backslashes_stay_literal() -> None:
    text = build_grammar([('She said "no\\yes".',)])
    assert text == 'root ::= line1\nline1 ::= "She said \\"no\\\\yes\\"."\n'
    assert grammar_errors(text) == []


@pytest.mark.parametrize(
    "lines",
    [
        [("A line\nand another.",)],
        [("A. | B ::= C",)],
        [("root",), ("line1",)],
    ],
)
def test_grammar_syntax_in_a_sentence_stays_literal(lines: list[tuple[str, ...]]) -> None:
    assert grammar_errors(build_grammar(lines)) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "it does not end with a line feed"),
        ("\n", "line 1 is not a rule"),
        ('root ::= "a"', "it does not end with a line feed"),
        ("root ::= \n", "line 1 is not a rule"),
        ('root ::= ""\n', "line 1 is not a rule"),
        ('root ::= "a\n', "line 1 is not a rule"),
        ('root ::= "a\\q"\n', "line 1 is not a rule"),
        ('root ::= "a" |\n', "line 1 is not a rule"),
        ('root ::= "\x07"\n', "line 1 is not a rule"),
        ('root ::= "é"\n', "line 1 is not a rule"),
        ("root ::= [a-z]+\n", "line 1 is not a rule"),
        ('line1 ::= "a"\n', "root is not defined"),
        ("root ::= line1\n", "line1 is not defined"),
        ('root ::= "a"\nroot ::= "b"\n', "line 2 defines root again"),
        ("root ::= root\n", "root is recursive"),
        ('root ::= "a" a | b\na ::= b\nb ::= "x" a\n', "a is recursive"),
    ],
)
def test_a_malformed_grammar_is_found(text: str, fault: str) -> None:
    assert fault in grammar_errors(text)


def test_an_empty_choice_is_found() -> None:
    assert grammar_errors(build_grammar([()])) != []
    assert grammar_errors(build_grammar([("",)])) != []
