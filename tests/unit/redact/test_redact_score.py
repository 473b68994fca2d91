"""What README and docs/redaction.md promise, on the outputs of corpus.jsonl.gz."""

from tests.unit.redact.cases import by_hand, corpus
from tests.unit.redact.score import main, score


def test_the_promise_is_kept() -> None:
    n = score(corpus())
    assert n["secrets"] > 450
    assert n["gone"] >= 0.95 * n["secrets"]
    assert n["kept"] >= 0.99 * n["keeps"]
    assert n["changed"] <= 0.01 * n["clean"]
    assert n["broken"] == 0


def test_outputs_of_other_applications() -> None:
    n = score(by_hand())
    assert n["gone"] >= 0.9 * n["secrets"]
    assert n["kept"] >= 0.99 * n["keeps"]
    assert n["changed"] <= 1


def test_a_redactor_that_does_nothing_scores_nothing() -> None:
    n = score(corpus(), str)
    assert n["gone"] == n["changed"] == n["broken"] == 0


def test_one_that_takes_all_is_no_better() -> None:
    n = score(corpus(), lambda _text: "")
    assert n["kept"] == 0
    assert n["changed"] == n["clean"]
    assert n["broken"] == n["json"] > 0


def test_the_table_names_each_class(capsys) -> None:
    main()
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} >= {"env-yaml", "clean-table", "all"}
