"""Tables of results, whatever kind of set they are of."""

from rich.console import Console

from evaluate.report import results_table


class Found:
    """A result of a protocol that the tables do not know."""

    def summary(self):
        return {"accuracy": 0.98765, "by_age": {"30": 0.5}, "pairs": 12}


def test_a_result_without_a_table_of_its_own_is_shown_with_all_its_numbers():
    console = Console(width=120)
    with console.capture() as shown:
        console.print(results_table({"student": {"ages": Found()}}))
    for word in ("student", "ages", "accuracy", "by_age_30", "pairs", "0.9877", "0.5", "12"):
        assert word in shown.get(), word
