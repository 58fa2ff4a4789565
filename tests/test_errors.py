import pytest

from scaling_search.errors import UserError, first_line


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("", "OSError"),
        ("\n \n", "OSError"),
        ("one\ntwo", "one"),
        ("\n\n one \n", "one"),
        ("\x1b[1mbold\x1b[0m and \x07bell", "bold and bell"),
        ("half a pair \ud800", "half a pair \\ud800"),
    ],
)
def test_the_first_line_of_any_message_can_be_shown(message, line):
    assert first_line(OSError(message)) == line


def test_a_users_error_is_one_line_without_control_codes():
    error = UserError("name 'a\x1b[31m\nb' given.", "x\ty", "try\u2028z")
    assert str(error) == "name 'a b' given; x y; try z"
