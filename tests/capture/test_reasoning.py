"""Reasoning before an answer goes; the answer stays, to the last letter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.capture.reasoning import without_reasoning

TAGS = ("think", "thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>2 and 2</think>4", "4"),
        ("\n<think>\n2 and 2\n</think>\n\nIt is 4.\n", "It is 4.\n"),
        ("<THINK>a</THINK> b", "b"),
        ("[THINK]a[/THINK]b", "b"),
        ("<think>a</think><reasoning>b</reasoning>c", "c"),
        ("<think>a <think>b</think> c</think>d", "d"),
        # the template wrote the opening tag already (DeepSeek, QwQ)
        ("first I add, then\n</think>\n\n4", "4"),
        # cut off by the token limit: there is no answer
        ("<think>and so on and so", ""),
        ("<think></think>", ""),
        # reasoning that speaks of its own tag
        ("<think>the tag <think> opens it</think>yes", "yes"),
        # Harmony channels
        (
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>",
            "4",
        ),
        ("<|channel|>analysis<|message|>hm", ""),
    ],
)
def test_reasoning_goes(text: str, answer: str) -> None:
    assert without_reasoning(text) == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4",
        "  4  ",
        "I think it is 4.",
        "Use <b>think</b>.",
        "[Reason: late] the parcel came on Monday",
        "The tag <think>x</think> marks reasoning.",
        "```\nx </think> y\n```\nis code",
        '{"a": "<think>b</think>"}',
    ],
)
def test_an_answer_without_reasoning_stays_as_it_is(text: str) -> None:
    assert without_reasoning(text) == text


words = st.text(alphabet=st.characters(exclude_characters="<[|`", exclude_categories=["Cs"]), max_size=60)


@given(st.sampled_from(TAGS), words, words)
def test_any_block_goes_and_any_answer_stays(tag: str, reasoning: str, answer: str) -> None:
    assert without_reasoning(f"<{tag}>{reasoning}</{tag}>{answer}") == answer.lstrip()


@given(words)
def test_any_text_without_marks_stays(text: str) -> None:
    assert without_reasoning(text) == text


marked = st.lists(
    st.one_of(words, st.sampled_from(["<think>", "</think>", "<reasoning>", "</reasoning>", "[THINK]", "[/THINK]"])),
    max_size=8,
).map("".join)


@given(marked)
def test_stripping_twice_is_stripping_once(text: str) -> None:
    once = without_reasoning(text)
    assert without_reasoning(once) == once
    assert text.endswith(once)
