"""Oscar, a shop on Django: a catalogue, stock, baskets, orders, vouchers; prices are decimals."""

import datetime
import secrets
import sys
from decimal import Decimal

import django
from django.conf import settings
from django.core.management import call_command
from django_app import database

_PARTS = (
    *("analytics", "checkout", "address", "shipping", "catalogue", "catalogue.reviews", "communication", "partner"),
    *("basket", "payment", "offer", "order", "customer", "search", "voucher", "wishlists", "dashboard"),
)
_DESKS = (
    *("reports", "users", "orders", "catalogue", "offers", "partners", "pages", "ranges", "reviews", "vouchers"),
    *("communications", "shipping"),
)


def write() -> None:
    """Products that are sold, priced anew, reviewed, wished for, and taken out of the catalogue."""
    from oscar.core.loading import get_model
    from oscar.test import factories

    mark = secrets.token_hex(4)
    factories.RangeFactory.reset_sequence(secrets.randbelow(10**9))  # names count from 0 in each process
    products = [
        factories.create_product(title=f"Zoë {mark} {n} 🎉", price=Decimal("10.10") * n, num_in_stock=20)
        for n in range(6)
    ]
    user = factories.UserFactory(username=f"{mark}", email=f"{mark}@example.org")
    for number in range(4):
        basket = factories.create_basket(empty=True)
        basket.add_product(products[number], quantity=number + 1)
        basket.add_product(products[5])
        order = factories.create_order(number=f"{mark}-{number}", basket=basket, user=user)
        order.notes.create(user=user, message="it's\nso")
        factories.ProductReviewFactory(product=products[number], user=user, score=number + 1)
    now = datetime.datetime.now(datetime.UTC)
    ends = now + datetime.timedelta(days=7)
    factories.VoucherFactory(code=mark.upper(), name=mark, start_datetime=now, end_datetime=ends)
    factories.ConditionalOfferFactory(name=f"offer {mark}", slug=f"offer-{mark}")
    factories.WishListFactory(owner=user, name=mark)
    get_model("partner", "StockRecord").objects.filter(product__in=products[:2]).update(price=Decimal("0.10"))
    products[4].delete()
    order.delete()


if __name__ == "__main__":
    step, url = sys.argv[1:]
    from oscar import defaults

    settings.configure(
        SECRET_KEY="not a secret",
        USE_TZ=True,
        SITE_ID=1,
        DATABASES={"default": database(url)},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        HAYSTACK_CONNECTIONS={"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}},
        INSTALLED_APPS=[
            *(f"django.contrib.{n}" for n in ("auth", "contenttypes", "sessions", "messages", "sites", "flatpages")),
            "oscar.config.Shop",
            *(f"oscar.apps.{part}.apps.{part.title().replace('.', '')}Config" for part in _PARTS),
            *(f"oscar.apps.dashboard.{desk}.apps.{desk.title()}DashboardConfig" for desk in _DESKS),
            *("haystack", "treebeard", "django_tables2"),
        ],
        **{name: getattr(defaults, name) for name in dir(defaults) if name.startswith("OSCAR_")},
    )
    django.setup()
    if step == "migrate":
        call_command("migrate", verbosity=0)
    else:
        write()
