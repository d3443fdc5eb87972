"""Two peers based on Django: djangorestframework-api-key, and introspection by django-oauth-toolkit.

    python project.py drf|dot            makes the tables and tokens, and prints how to ask
    gunicorn project:application         serves; both find the database by BENCH_HOST and BENCH_DATABASE
"""

import datetime
import json
import os
import sys

import django
from django.conf import settings

TOKENS = 1_000

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": os.environ["BENCH_HOST"],
            "NAME": os.environ["BENCH_DATABASE"],
            "USER": "tessera",
            # Keep connections open.
            "CONN_MAX_AGE": None,
        }
    },
    DEBUG=False,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "oauth2_provider",
        "rest_framework",
        "rest_framework_api_key",
    ],
    LOGGING_CONFIG=None,
    # Nothing that an API call does not need.
    MIDDLEWARE=[],
    OAUTH2_PROVIDER={"SCOPES": {"introspection": "Introspection", "rivers:run": "Run rivers"}},
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
    ROOT_URLCONF=__name__,
    SECRET_KEY="a secret for a benchmark",
    USE_TZ=True,
)
django.setup()

from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils import timezone  # noqa: E402
from oauth2_provider.models import AccessToken, Application  # noqa: E402
from oauth2_provider.views import IntrospectTokenView  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from rest_framework_api_key.models import APIKey  # noqa: E402
from rest_framework_api_key.permissions import HasAPIKey  # noqa: E402


class Checked(APIView):
    """Lets through whoever has a key."""

    permission_classes = [HasAPIKey]

    def get(self, request):
        return Response({"valid": True})


urlpatterns = [
    path("checked", Checked.as_view()),
    path("introspect", IntrospectTokenView.as_view()),
]
application = get_wsgi_application()


def keys():
    """Keys, and how to present one."""
    return {
        "method": "GET",
        "path": "/checked",
        "headers": {"Authorization": "Api-Key {token}"},
        "body": "",
        "good": '"valid":true',
        "bad": "HTTP/1.1 403",
        "tokens": [APIKey.objects.create_key(name="bench")[1] for _ in range(TOKENS)],
    }


def access_tokens():
    """Access tokens, and how to ask about one: by a token of its own, which costs less than a client's
    secret, hashed as passwords are."""
    client = Application.objects.create(
        name="bench",
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
    )
    end = timezone.now() + datetime.timedelta(days=1)

    def make(token, scope):
        AccessToken.objects.create(token=token, application=client, expires=end, scope=scope)
        return token

    own = make("o" * 30, "introspection")
    return {
        "path": "/introspect",
        "headers": {"Authorization": f"Bearer {own}", "Content-Type": "application/x-www-form-urlencoded"},
        "body": "token={token}",
        "good": '"active": true',
        "bad": '"active": false',
        "tokens": [make(f"t{number:029}", "rivers:run") for number in range(TOKENS)],
    }


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    print(json.dumps(keys() if sys.argv[1] == "drf" else access_tokens()))
