"""A journal of its own: what is changed in place here would cost the more, the more runs there were beside it."""

import pytest

from journal.store import connect
from tests.integration.fixtures import opened


@pytest.fixture(scope="session")
def store(request, tmp_path_factory):
    """A connection to a migrated journal, or to what `make mutants` lends to all of its children."""
    lent = [each.lent for each in request.config.pluginmanager.get_plugins() if hasattr(each, "lent")]
    if lent:
        with connect(*lent) as lent_store:
            yield lent_store
        return
    made = opened(tmp_path_factory)
    yield next(made).store
    next(made, None)
