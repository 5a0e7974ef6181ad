"""A workbook in JupyterLab: a task written by keyboard, its check, the export, the next chapter with it."""

import json

from lab import FINISHED, ROOT

WRITTEN = "return torch.arange(T, device=device)[:, None] >= torch.arange(T, device=device)"
# the index of the first code cell that holds a text
HOLDS = """text => window.jupyterapp.shell.currentWidget.content.widgets.findIndex(
    cell => cell.model.type === 'code' && cell.model.sharedModel.getSource().includes(text))"""
THROUGH = """last => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    notebook.activeCellIndex = last + 1;
    const all = last === notebook.widgets.length - 1;
    window.jupyterapp.commands.execute(all ? 'notebook:run-all-cells' : 'notebook:run-all-above');
}"""


def open_workbook(notebook, name: str) -> None:
    """Put the template of a chapter into mine/, as `make workbook` does, and open it."""
    notebook.page.goto(f"{notebook.address}/lab?reset")
    cookies = {cookie["name"]: cookie["value"] for cookie in notebook.page.context.cookies()}
    headers = {"Content-Type": "application/json", "X-XSRFToken": cookies.get("_xsrf", "")}
    template = ROOT / "notebooks" / "workbook" / f"{name}.ipynb"
    content = json.loads(template.read_text(encoding="utf-8"))
    parts = {"mine": {"type": "directory"}, f"mine/{name}.ipynb": {"type": "notebook", "content": content}}
    for path, data in parts.items():
        url = f"{notebook.address}/api/contents/{path}"
        answer = notebook.page.request.put(url, data=json.dumps(data), headers=headers)
        assert answer.ok, answer.text()
    notebook.page.goto(f"{notebook.address}/lab/tree/mine/{name}.ipynb?reset")
    notebook.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    notebook.page.wait_for_selector("#jp-main-statusbar >> text=/Python 3.*Idle/", timeout=90_000)


def run_through(notebook, text: str) -> None:
    """Run the cells down to the first one that holds a text, and wait until that one is done."""
    last = notebook.page.evaluate(HOLDS, text)
    assert last >= 0, text
    notebook.page.evaluate(THROUGH, last)
    notebook.page.wait_for_function(FINISHED, arg=last, timeout=180_000)


def test_a_task_is_written_checked_exported_and_used(notebook):
    page = notebook.page
    open_workbook(notebook, "05_attention")
    run_through(notebook, 'workbook.check("causal_mask")')
    page.get_by_text("causal_mask: open. The cells below use the book's").wait_for(timeout=30_000)

    cell = page.locator(".jp-Notebook .jp-Cell").nth(page.evaluate(HOLDS, "def causal_mask("))
    line = cell.locator(".cm-line", has_text="raise NotImplementedError").first
    line.scroll_into_view_if_needed()
    line.click()
    page.keyboard.press("Home")
    page.keyboard.press("Shift+End")
    page.keyboard.type(WRITTEN)
    page.keyboard.press("Shift+Enter")
    run_through(notebook, 'workbook.check("causal_mask")')
    page.get_by_text("causal_mask: correct").wait_for(timeout=30_000)

    page.keyboard.press("Control+s")
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty", timeout=30_000)
    run_through(notebook, "workbook.export()")
    page.get_by_text("written by you: causal_mask").wait_for(timeout=60_000)
    page.get_by_text("attention.py takes the book's place in the next kernel").wait_for(timeout=60_000)
    assert notebook.failures() == []

    open_workbook(notebook, "06_block")
    run_through(notebook, "from gptlib.exercises.workbook import Workbook")
    page.get_by_text("yours: attention").wait_for(timeout=60_000)
    assert notebook.failures() == []
    assert notebook.errors == [] and notebook.outgoing == []
