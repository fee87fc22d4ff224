"""Phone numbers: what a gateway sends as a sender, and what people write, is one E.164 form or is refused."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from circular import people, settings
from circular.errors import Refusal

SENDERS = st.from_regex(r"\+(596|590|594|262|33)(69[0-9]|6[0-9]{2}|7[0-9]{2}|[0-9]{3})[0-9]{5,7}", fullmatch=True)


@given(SENDERS)
@example("+596696000001")
@example("+596596500000")  # a fixed line
@example("+33612345678")
def test_the_short_way_for_senders_agrees_with_the_whole_rules(sender: str) -> None:
    """A sender taken at a glance is exactly what the library calls a mobile number, unchanged; the others are refused."""
    settings.use(settings.load({}))
    number = phonenumbers.parse(sender)
    mobile = phonenumbers.is_valid_number(number) and phonenumbers.number_type(number) in (
        phonenumbers.PhoneNumberType.MOBILE,
        phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE,
    )
    if mobile:
        assert people.normalize_phone(sender) == sender
    else:
        with pytest.raises(Refusal, match="bad_phone"):
            people.normalize_phone(sender)
