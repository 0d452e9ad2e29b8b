"""What rules say of whom."""

from typing import Any

import pytest

from collabd.auth.base import ANONYMOUS, Access, Principal
from collabd.auth.rules import Rules
from collabd.errors import MalformedInput

ADA = Principal("ada", "Ada", groups=frozenset({"staff"}), claims={"level": 3, "sites": ["rome", "oslo"]})
BEN = Principal("ben", "Ben")


def rule(documents: str | list[str], access: str, **conditions: Any) -> dict[str, Any]:
    return {"documents": documents, "access": access, **conditions}


@pytest.mark.parametrize(
    ("conditions", "those"),
    [
        ({"anyone": True}, [ANONYMOUS, ADA, BEN]),
        ({"signed_in": True}, [ADA, BEN]),
        ({"users": ["ben"]}, [BEN]),
        ({"users": ["anonymous"]}, []),
        ({"groups": ["staff", "guests"]}, [ADA]),
        ({"claims": {"level": 3}}, [ADA]),
        ({"claims": {"sites": "oslo"}}, [ADA]),
        ({"claims": {"sites": "paris"}}, []),
        ({"claims": {"level": 3, "sites": "paris"}}, []),
        ({"claims": {"level": 3}, "users": ["ben"]}, [ADA, BEN]),
    ],
)
async def test_a_rule_holds_for_those_who_fulfil_any_condition(
    conditions: dict[str, Any], those: list[Principal]
) -> None:
    rules = Rules([rule("**", "read", **conditions)])
    everybody = [ANONYMOUS, ADA, BEN]
    assert [each for each in everybody if await rules.authorize(each, "notes") == Access.READ] == those


async def test_the_largest_right_counts_and_without_one_there_is_none() -> None:
    rules = Rules(
        [
            rule(["team/**", "home"], "write", users=["ada"]),
            rule("team/plan", "read", anyone=True),
            rule("team/plan", "none", users=["ada"]),
        ]
    )
    assert await rules.authorize(ADA, "team/plan") == Access.WRITE
    assert await rules.authorize(BEN, "team/plan") == Access.READ
    assert await rules.authorize(BEN, "team/other") == Access.NONE
    assert await rules.authorize(ADA, "elsewhere") == Access.NONE


@pytest.mark.parametrize(
    "table",
    [
        rule("**", "read"),
        rule([], "read", anyone=True),
        rule("a**", "read", anyone=True),
        rule("**", "reed", anyone=True),
        rule("**", "read", anyone="yes"),
        rule("**", "read", users="", signed_in=True) | {"users": 3},
        rule("**", "read", anyone=True, group=["staff"]),
        rule("**", "read", claims=["level"]),
        {"access": "read", "anyone": True},
        {"documents": "**", "anyone": True},
    ],
)
def test_what_is_no_rule_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(MalformedInput):
        Rules([table])
