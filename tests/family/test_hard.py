"""Negatives of JaQuAD's questions: passages that full text ranks high, without the answer."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

from jnlp_family.search.hard import KEPT, asked
from jnlp_family.similarity import is_development


def test_negatives_share_words_but_have_no_answer(tmp_path: Path) -> None:
    rows = [
        ("城は誰が建てたか", "この城は武田氏が建てた。", "武田氏"),
        ("城の堀の深さは", "城の堀は深さ三メートルである。", "三メートル"),
        ("城の門の色は", "城の門は赤い。城を建てたのは武田氏とされる。", "赤い"),
        ("港はいつ開いたか", "港は明治に開いた。", "明治"),
    ]
    titles = [title for title in map(str, range(99)) if not is_development(title)]
    folder = tmp_path / "tasks/jaquad"
    folder.mkdir(parents=True)
    with lzma.open(folder / "train.jsonl.xz", "wt", encoding="utf-8") as file:
        for number, (question, context, answer) in enumerate(rows):
            row = {
                "id": str(number), "title": titles[number], "question": question, "context": context,
                "answers": [{"text": answer, "start": context.index(answer)}],
            }  # fmt: skip
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    pairs = {pair.query: pair for pair in asked(tmp_path)}
    first = pairs["城は誰が建てたか"]
    assert first.document == rows[0][1]
    assert rows[1][1] in first.negatives, "it has a word of the question"
    assert rows[2][1] not in first.negatives, "it has the answer"
    assert all(len(pair.negatives) <= KEPT and pair.document not in pair.negatives for pair in pairs.values())
    assert not pairs["港はいつ開いたか"].negatives
    assert len(asked(tmp_path, most=2)) == 2
