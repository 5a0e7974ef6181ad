"""Chapter 12 in JupyterLab: the next-token sampler follows the reader."""

import pytest
from playwright.sync_api import expect


@pytest.mark.stress
def test_generation_runs_and_its_sampler_follows_the_reader(notebook):
    notebook.open("12_generation")
    notebook.run(through="playground.write()")
    page = notebook.page
    assert notebook.failures() == []

    sampler = page.locator(".jp-OutputArea-output:has-text('after the filters'):has(select)").first
    prompt = sampler.locator("input[type=text]").first
    prompt.fill("KING: {")
    prompt.press("Enter")
    sampler.get_by_text("unknown character").wait_for(timeout=30_000)
    prompt.fill("KING:\\nI will no")
    prompt.press("Enter")
    sampler.get_by_text("unknown character").wait_for(state="detached", timeout=30_000)
    sampler.get_by_text("1 of 65 tokens can come").wait_for(
        timeout=30_000
    )  # top-p is 0.9 since the driver cell
    sampler.locator("button:has-text('Draw')").click()
    sampler.get_by_text("◀ drawn").wait_for(timeout=30_000)
    sampler.locator("button:has-text('Continue with t')").click()
    sampler.locator("div:text-matches('I will not')").first.wait_for(timeout=30_000)
    space = sampler.locator("button:text-is('␣')")
    expect(space).to_have_count(1, timeout=30_000)  # rows change one after the other
    space.click()  # a token's own button
    sampler.locator("button:has-text('One back')").focus()
    page.keyboard.press("Enter")  # the keyboard presses buttons, too
    sampler.locator("select").select_option("3")
    assert sampler.locator("button:disabled").count() == 0
    assert notebook.errors == [] and notebook.outgoing == []
