"""The whole story of the sample, from the first look to the signed report, while somebody browses the dashboard.

The story itself fails when a stage does not hold what it promised, or when a client saw what nobody wrote. The browser
looks at it with a person's eyes: a list, a video, no page of an error, and none of the videos that were deleted.
"""

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest
from harness import wait_for
from playwright.async_api import Browser, Error, Page, async_playwright

from cdc.resources import folder

STORY: Final = folder("ytv2") / "story"
CHROMIUM: Final = shutil.which("chromium")
HANDOVER_SECONDS: Final = 10.0  # within which an address that no longer answers was left for another one
LOOK_SECONDS: Final = 0.1
_INTERRUPTED: Final = "is interrupted by another navigation"


class Visitor:
    """Opens the dashboard where it is served, again and again; `seen` counts the pages."""

    def __init__(self, stage: Path, story: asyncio.subprocess.Process) -> None:
        self._stage = stage
        self._story = story
        self.seen = 0

    async def browse(self, page: Page) -> None:
        """Until the story has ended."""
        while self._story.returncode is None:
            if (address := self._address()) is None:
                await asyncio.sleep(LOOK_SECONDS)
                continue
            try:
                await self._look(page, f"http://{address}")
            except Error as error:
                # The browser's own page about an address that was left may come after the next one was asked for.
                if _INTERRUPTED not in str(error):
                    await self._require_moved(address)

    async def _look(self, page: Page, url: str) -> None:
        """The list, its first video, and a video that is gone, as its old link would show it."""
        gone = self._deleted()
        assert await _status(page, f"{url}/?sort=title") == 200
        shown = await page.locator("li.card").evaluate_all("cards => cards.map(card => card.dataset.id)")
        assert shown
        assert not gone.intersection(shown)
        # Videos of the other users come and go.
        video = page.locator('li.card:not([data-id*="Traffic"])').first
        name = await video.get_attribute("data-id")
        link = await video.locator("h2 a").get_attribute("href")
        if await _status(page, f"{url}{link}") == 200:
            assert await page.locator("main.report h1").count() == 1, await page.content()
        else:
            # A user was told just now that it is deleted, or is about to be.
            await wait_for(lambda: self._is_deleted(name), f"{name} to be there or deleted")
        for deleted in sorted(gone)[-1:]:
            assert await _status(page, f"{url}/{deleted}.html") == 404
        self.seen += 1

    def _address(self) -> str | None:
        file = self._stage / "address"
        return file.read_text(encoding="ascii") if file.exists() else None

    def _deleted(self) -> set[str]:
        """What a user was told is deleted, before the page is asked for."""
        file = self._stage / "deleted"
        return set(file.read_text(encoding="utf-8").split()) if file.exists() else set()

    async def _is_deleted(self, name: str | None) -> bool:
        return name in self._deleted()

    async def _require_moved(self, address: str) -> None:
        """A page that did not come is right only where users were told to go elsewhere, or the story is over."""
        for _ in range(int(HANDOVER_SECONDS / LOOK_SECONDS)):
            if self._story.returncode is not None or self._address() != address:
                return
            await asyncio.sleep(LOOK_SECONDS)
        pytest.fail(f"{address} does not answer a browser")


async def _status(page: Page, url: str) -> int:
    answer = await page.goto(url)
    assert answer is not None
    return answer.status


async def test_the_whole_story_while_somebody_browses(tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    story = await asyncio.create_subprocess_exec(
        *(sys.executable, STORY, "--brisk", "--keep", stage),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    visitor = Visitor(stage, story)
    told = asyncio.create_task(story.communicate())
    try:
        if CHROMIUM is not None:
            async with async_playwright() as playwright:
                # Chromium keeps its sandbox from root, who runs tests on a machine of their own.
                browser: Browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                await visitor.browse(await browser.new_page())
                await browser.close()
            assert visitor.seen > 20
        output, _ = await told
    finally:
        told.cancel()
        if story.returncode is None:
            story.terminate()
            await story.wait()
    assert story.returncode == 0, output.decode()
