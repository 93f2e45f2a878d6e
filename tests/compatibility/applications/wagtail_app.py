"""Wagtail with the site of its own tests: a tree of pages with revisions, translations, images, full-text search."""

import datetime
import os
import secrets
import sys
import uuid
from urllib.parse import parse_qs, urlsplit

import django
from django.core.management import call_command


def settings_of(url: str) -> None:
    """Wagtail's test settings, on this database; what pages hold is indexed for search as they are saved."""
    parts, given = urlsplit(url), parse_qs(urlsplit(url).query)
    os.environ |= {"DJANGO_SETTINGS_MODULE": "wagtail.test.settings", "DATABASE_NAME": parts.path[1:]}
    if parts.scheme != "sqlite":
        os.environ["DATABASE_ENGINE"] = "django.db.backends.postgresql"
        os.environ |= {"DATABASE_USER": parts.username or "", "DATABASE_HOST": given["host"][0]}
        os.environ |= {"DATABASE_PORT": given["port"][0]}
    from wagtail.test import settings

    settings.WAGTAILSEARCH_BACKENDS = {"default": {"BACKEND": "wagtail.search.backends.database"}}
    settings.STORAGES["default"] = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"


def write() -> None:
    """Wagtail's sample site at first; then everything that an editor does."""
    from wagtail.test.testapp.models import EventPage

    if not EventPage.objects.exists():
        call_command("loaddata", "test", verbosity=0)
    mark = secrets.token_hex(4)
    _accounts(mark)
    _pages(mark)
    _snippets(mark)
    _files(mark)
    _forms(mark)


def _accounts(mark: str) -> None:
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Group
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.cache import cache

    for number in range(4):
        user = get_user_model().objects.create_superuser(f"zoë-{mark}-{number}", f"{mark}@example.org", "secret")
        user.groups.set(Group.objects.all()[:2])
        session = SessionStore()
        session["user"] = str(user.pk)
        session.set_expiry(3600 * number + 1)
        session.save()
        cache.set(f"{mark}-{number}", {"words": "Zoë 🎉", "n": number}, timeout=[None, 60][number % 2])
    cache.delete(f"{mark}-0")
    user.delete()
    session.delete()


def _pages(mark: str) -> None:
    """Pages that are written, published, scheduled, moved, copied, translated, commented and deleted."""
    from django.contrib.auth import get_user_model
    from django.utils import timezone
    from wagtail.models import Comment, Locale, Page, PageLogEntry, Site, Workflow, WorkflowPage
    from wagtail.test.testapp.models import EventPage, EventPageSpeaker, SimplePage, StreamPage

    home, user = Site.objects.get(is_default_site=True).root_page, get_user_model().objects.first()
    section = home.add_child(instance=SimplePage(title=f"Section {mark} 🎉", slug=f"section-{mark}", content="Zoë"))
    pages = [
        section.add_child(instance=SimplePage(title=f"Page {n}", slug=f"page-{n}", content="it's\n" * 20))
        for n in range(6)
    ]
    today = datetime.date(2024, 2, 29)
    event = EventPage(title="An event", slug="event", date_from=today, audience="public", location="Oslo", cost="$5")
    event.time_from = datetime.time(9, 30)
    event.speakers = [EventPageSpeaker(first_name="Ann", last_name="Ö"), EventPageSpeaker(first_name="Bob")]
    section.add_child(instance=event)
    body = [("text", "Zoë 🎉"), ("rich_text", "<p>it's <b>bold</b></p>")]
    section.add_child(instance=StreamPage(title="A stream", slug="stream", body=body))
    for page in pages[:4]:
        page.content += "more"
        page.save_revision(user=user, changed=True, log_action=True).publish()
    pages[0].go_live_at = timezone.now() + datetime.timedelta(days=1)
    pages[0].save_revision(user=user, log_action=True).publish()
    Comment.objects.create(page=pages[1], user=user, text="Is it so?", contentpath="content", position="")
    pages[2].unpublish(user=user)
    pages[3].move(pages[4], pos="last-child", user=user)
    section.copy(to=home, recursive=True, update_attrs={"slug": f"copy-{mark}", "title": "A copy"}, user=user)
    french, _ = Locale.objects.get_or_create(language_code="fr")
    for page in (home, section, pages[1]):
        if not page.has_translation(french):
            page.copy_for_translation(french, copy_parents=True)
    WorkflowPage.objects.update_or_create(page=section, defaults={"workflow": Workflow.objects.first()})
    if (workflow := section.get_workflow()) is not None:
        pages[4].save_revision(user=user)
        workflow.start(pages[4], user)
        pages[4].current_workflow_state.cancel(user=user)
    pages[5].delete(user=user)
    Page.objects.filter(slug="event", path__startswith=section.path).first().delete()
    PageLogEntry.objects.log_action(pages[1], "wagtail.edit", user=user, uuid=uuid.uuid4(), data={"n": [1, 2.5, "ü"]})


def _snippets(mark: str) -> None:
    """Rows with keys of their own: texts, UUIDs, and those of a parent."""
    from wagtail.test.testapp.models import (
        AdvertWithCustomPrimaryKey,
        AdvertWithCustomUUIDPrimaryKey,
        FullFeaturedSnippet,
        RevisableGrandChildModel,
        VariousOnDeleteModel,
    )

    for number in range(4):
        AdvertWithCustomPrimaryKey.objects.create(advert_id=f"{mark}/{number}", text="an advert")
        advert = AdvertWithCustomUUIDPrimaryKey.objects.create(text=f"advert {number}")
        VariousOnDeleteModel.objects.create(text="x", object_id=advert.pk, rich_text="<p>Zoë</p>")
        FullFeaturedSnippet.objects.create(text=f"snippet {mark}", some_number=number).save_revision().publish()
        RevisableGrandChildModel.objects.create(text=mark, secret_text="s").save_revision()
    AdvertWithCustomPrimaryKey.objects.filter(advert_id=f"{mark}/0").delete()
    advert.delete()
    FullFeaturedSnippet.objects.filter(text=f"snippet {mark}").first().delete()


def _files(mark: str) -> None:
    """Images with renditions and tags, documents, redirects, search terms."""
    from django.core.files.base import ContentFile
    from wagtail.contrib.redirects.models import Redirect
    from wagtail.contrib.search_promotions.models import Query
    from wagtail.documents.models import Document
    from wagtail.images.models import Image
    from wagtail.images.tests.utils import get_test_image_file

    for number in range(3):
        image = Image.objects.create(title=f"Image {mark}", file=get_test_image_file(size=(64, 32 + number)))
        image.tags.add("zoë", mark)
        image.get_rendition("width-16")
        document = Document.objects.create(title=mark, file=ContentFile(b"text", name=f"{mark}.txt"))
        document.get_file_size()  # which saves it
        Redirect.add_redirect(f"/{mark}/{number}", "/elsewhere/")
        Query.get(f"{mark} {number % 2}").add_hit(date=datetime.date(2024, 1, 1 + number))
    image.delete()
    document.delete()


def _forms(mark: str) -> None:
    from wagtail.contrib.forms.models import FormSubmission
    from wagtail.models import Site
    from wagtail.test.testapp.models import FormField, FormPage

    page = FormPage(title="A form", slug=f"form-{mark}", to_address="a@example.org", from_address="", subject="")
    page.form_fields = [FormField(label="Your name", field_type="singleline", sort_order=1)]
    Site.objects.get(is_default_site=True).root_page.add_child(instance=page)
    for number in range(3):
        FormSubmission.objects.create(page=page, form_data={"your_name": f"Zoë {number}", "half": number / 2})


if __name__ == "__main__":
    step, url = sys.argv[1:]
    settings_of(url)
    django.setup()
    if step == "migrate":
        call_command("migrate", verbosity=0)
        call_command("createcachetable", verbosity=0)
    else:
        write()
