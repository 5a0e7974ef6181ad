"""tools/reveals.py: truths that stood in a stored notebook are withheld, and nothing is lost."""

import copy

from nbformat import v4

from gptlib.exercises.predictions import Predictions
from tools.reveals import SUMMARY, convert

ANSWER = """print("first")
predictions.reveal("loss", 1.5, "nats")

print("a table")
plt.show()"""


def old_notebook():
    """A guess, an answer that prints more, another one that does not, and the board."""
    folded = {"tags": ["answer", "tinyshakespeare"], "jupyter": {"outputs_hidden": True}, "collapsed": True}
    output = v4.new_output("stream", text="first\nloss: no guess; measured:\n1.5 nats\na table\n")
    picture = v4.new_output("display_data", data={"image/png": "", "text/plain": "<Figure>"})
    plain = v4.new_output("stream", text="heads: no guess; measured:\n7\n")
    cells = [
        v4.new_code_cell('predictions.guess("loss", None)\npredictions.guess("heads", None)'),
        v4.new_code_cell(ANSWER, metadata=folded, outputs=[output, picture]),
        v4.new_markdown_cell("As you see."),
        v4.new_code_cell('predictions.reveal("heads", 7)', metadata={"tags": ["answer"]}, outputs=[plain]),
        v4.new_markdown_cell(f"{SUMMARY}\n\n7.\n\n</details>"),
        v4.new_code_cell("predictions.board()", outputs=[v4.new_output("stream", text="loss 1.5\n")]),
    ]
    return v4.new_notebook(cells=cells)


def test_truths_are_withheld_and_what_follows_them_has_a_cell_of_its_own(capsys):
    notebook = old_notebook()
    convert(notebook)
    guess, answer, measured, more, words, plain, told, board = notebook.cells
    own = Predictions()
    own.reveal("loss", 1.5, "nats")
    withheld = capsys.readouterr().out.strip()
    assert answer.outputs[0].text == "first\n" and answer.outputs[1].data["text/plain"] == withheld
    assert answer.source.endswith('"nats")') and answer.metadata == {"tags": ["answer", "tinyshakespeare"]}
    assert measured.source == f"{SUMMARY}\n\nloss: 1.5 nats.\n\n</details>"
    assert more.source == 'print("a table")\nplt.show()' and more.metadata["jupyter"] == {
        "outputs_hidden": True
    }
    assert more.outputs[0].text == "a table\n" and "image/png" in more.outputs[1].data
    assert words.source == "As you see." and told.source.startswith(SUMMARY)
    assert "heads: no guess yet" in plain.outputs[0].data["text/plain"]
    assert "1.5" not in str(board.outputs) and "no guess yet" in board.outputs[0].data["text/plain"]
    assert [cell.execution_count for cell in (guess, answer, more, plain, board)] == [1, 2, 3, 4, 5]


def test_what_is_converted_stays_as_it_is():
    notebook = old_notebook()
    convert(notebook)
    before = copy.deepcopy(notebook)
    convert(notebook)
    assert notebook == before
