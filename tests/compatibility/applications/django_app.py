"""Django with the applications of its own: accounts, permissions, sessions, the admin's log."""

import datetime
import secrets
import sys
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings
from django.core.management import call_command


def database(url: str) -> dict[str, object]:
    """The database of a URL as Django's settings name it."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": parts.path[1:], "OPTIONS": {"timeout": 10}}
    given = parse_qs(parts.query)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path[1:],
        "USER": parts.username,
        "HOST": given["host"][0],
        "PORT": given["port"][0],
    }


def write() -> None:
    """Accounts with permissions and sessions, changed and deleted through the ORM."""
    from django.contrib.admin.models import CHANGE, LogEntry
    from django.contrib.auth.models import Group, Permission, User
    from django.contrib.contenttypes.models import ContentType
    from django.contrib.sessions.models import Session
    from django.utils import timezone

    group, _ = Group.objects.get_or_create(name="editors")
    group.permissions.set(Permission.objects.all()[:5])
    for number in range(8):
        name = f"{secrets.token_hex(6)}-{number}"
        user = User.objects.create(username=name, first_name="Zoë 🎉", email=f"{number}@example.org", password="!")
        user.user_permissions.set(Permission.objects.order_by("?")[:3])
        user.groups.add(group)
        expires = timezone.now() + datetime.timedelta(days=number)
        Session.objects.create(session_key=secrets.token_hex(16), session_data="x" * 50, expire_date=expires)
        LogEntry.objects.create(
            user=user,
            content_type=ContentType.objects.get_for_model(User),
            object_id=str(user.pk),
            object_repr=name,
            action_flag=CHANGE,
            change_message='[{"changed": {"fields": ["Email"]}}]',
        )
    User.objects.order_by("?").first().delete()
    User.objects.filter(is_active=True).update(last_login=timezone.now())
    Session.objects.filter(expire_date__lt=timezone.now() + datetime.timedelta(days=2)).delete()


if __name__ == "__main__":
    step, url = sys.argv[1:]
    settings.configure(
        SECRET_KEY="not a secret",
        USE_TZ=True,
        DATABASES={"default": database(url)},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "sessions", "messages")],
    )
    django.setup()
    if step == "migrate":
        call_command("migrate", verbosity=0)
    else:
        write()
